"""What a fill tells while it works: a line that keeps changing on a terminal, structured lines elsewhere."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TextIO

from aws_lambda_powertools import Logger

LINE_EVERY_S: Final = 0.2
LOG_EVERY_S: Final = 15.0


@dataclass(slots=True)
class Progress:
    """Rows and the share of the whole that is done; what is left is told by the pace so far."""

    name: str
    logger: Logger
    terminal: TextIO | None = field(default_factory=lambda: sys.stderr if sys.stderr.isatty() else None)
    clock: Callable[[], float] = time.monotonic
    rows: int = 0
    _began: float = 0.0
    _began_at: float = 0.0
    _told: float = 0.0

    def begin(self, share: float) -> None:
        self._began = self._told = self.clock()
        self._began_at = share

    def tick(self, rows: int, share: float) -> None:
        """So many rows more are done, and this share of the whole."""
        self.rows += rows
        now = self.clock()
        if now - self._told < (LINE_EVERY_S if self.terminal else LOG_EVERY_S):
            return
        self._told = now
        spent = max(now - self._began, 1e-9)
        gained = share - self._began_at
        figures = {
            "done_percent": round(100 * share, 1),
            "rows": self.rows,
            "rows_per_s": round(self.rows / spent),
            "left_s": round(spent * (1 - share) / gained) if gained > 0 else None,
        }
        if self.terminal is None:
            self.logger.info("filling", extra={"fill": self.name, **figures})
        else:
            left = "?" if figures["left_s"] is None else f"{figures['left_s']:,} s"
            self._line(
                f"{self.name}  {100 * share:5.1f} %  {self.rows:,} rows, {self.rows / spent:,.0f}/s, {left} left"
            )

    def end(self) -> None:
        if self.terminal is not None:
            self._line("")

    def _line(self, text: str) -> None:
        assert self.terminal is not None
        self.terminal.write(f"\r\x1b[K{text}")
        self.terminal.flush()
