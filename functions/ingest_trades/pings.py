"""When to ask the venue for its time: each second, and at the moment from which a minute may be called over."""

import math
from dataclasses import dataclass
from typing import Final

from btc.times import MINUTE, SECOND, minute_of

EVERY_S: Final = 1.0


@dataclass(slots=True)
class Pings:
    """One connection's. Moments are the process's clock (s).

    A second's rhythm of its own would close a bar half a second later than it may be, on average.
    """

    lag: int
    """How long (µs) after a minute's end on the venue's clock it may be called over."""
    _sent: float = -math.inf
    _over: float = math.inf
    """The moment that a ping must not wait beyond."""

    def begin(self, now: float) -> None:
        """A connection opens: the venue's clock is not known yet."""
        self._sent, self._over = now - EVERY_S, math.inf

    def sent(self, now: float) -> None:
        self._sent = now

    def hear(self, time: int, now: float) -> None:
        """The venue's clock said `time` (µs), on its way here for a while: so it is never asked too early."""
        self._over = now + (MINUTE - (time - self.lag - minute_of(time - self.lag))) / SECOND

    def wait(self, now: float) -> float:
        """Seconds until the next ping; 0 where it is due."""
        regular = self._sent + EVERY_S
        return max(0.0, min(regular, self._over if self._over > self._sent else regular) - now)
