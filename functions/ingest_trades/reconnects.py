"""How long to wait before the next connection: venues ban whoever comes back too often."""

from dataclasses import dataclass
from typing import Final

LONGEST_PAUSE: Final = 60.0
WORKS_FOR: Final = 10.0
"""A connection that ends sooner has failed, whatever it brought."""
HALTED_PAUSE: Final = 10.0
"""The shortest while a venue does not match orders: it wants no crowd when it goes on."""


@dataclass(slots=True)
class Reconnects:
    """The connections that have failed in a row."""

    failures: int = 0

    def pause(self, *, worked: bool, asked: bool, halted: bool) -> float:
        """Seconds to wait after a connection that was lost, or that the venue asked to leave; half of it is chance's.

        Who is asked to go elsewhere goes at once; but not again and again.
        """
        self.failures = 0 if worked else self.failures + 1
        if asked and self.failures < 2:
            return 0.0
        return max(min(2.0**self.failures, LONGEST_PAUSE), HALTED_PAUSE if halted else 0.0)
