"""The exchange's clock: life's seconds, or faster ones."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from btc.times import SECOND


@dataclass(frozen=True, slots=True)
class Clock:
    """Exchange time that starts at `start` (µs) and runs at `speed` times the pace of `elapsed` (s)."""

    start: int
    speed: float = 1.0
    elapsed: Callable[[], float] = time.monotonic
    origin: float = field(init=False)

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ValueError(f"speed {self.speed} stops the clock: it must be above zero")
        object.__setattr__(self, "origin", self.elapsed())

    def now(self) -> int:
        """The exchange's time in µs."""
        return self.start + int((self.elapsed() - self.origin) * self.speed * SECOND)

    def seconds_until(self, moment: int) -> float:
        """Wall seconds until the exchange's time reaches `moment` (µs); negative where it has passed."""
        return (moment - self.now()) / (self.speed * SECOND)
