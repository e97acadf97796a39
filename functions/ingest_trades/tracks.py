"""What the ingest task knows of each market and of itself."""

from dataclasses import dataclass

from btc.feeds.continuity import Continuity
from btc.feeds.feed import Backfill


@dataclass(slots=True)
class Tally:
    """Sums since the start, and the newest times seen."""

    frames: int = 0
    trades: int = 0
    repeats: int = 0
    ignored: int = 0
    malformed: int = 0
    connections: int = 0
    matching: bool = True
    """Whether the venue's engine makes trades, by its own last word; without one it is taken to."""
    gaps: int = 0
    """Holes found."""
    unrepaired: int = 0
    """Holes given up."""
    venue_time: int = 0
    """The venue's clock (µs)."""
    trade_time: int = 0
    """The newest trade's time (µs)."""
    last_frame: float = 0.0
    """When the last frame came, on the process's clock (s)."""


@dataclass(slots=True)
class Track:
    """One market: what is held of it, whether this connection has joined it, and the repair under way."""

    continuity: Continuity
    acknowledged: bool = False
    joined: bool = False
    """Whether it is known what this connection has missed: nothing may be claimed before."""
    doubted: float | None = None
    """Since when a frame that did not read may have told of trades, on the process's clock (s)."""
    confirmed: int = 0
    """Until when (µs) the venue's own word tells which trade was the newest: a later one, or an answer about it."""
    over: int = 0
    """The minute (µs of its start) that the last watermark lies in: those before it are over."""
    told: float = 0.0
    """When the venue last spoke of this market, on the process's clock (s)."""
    repair: Backfill | None = None
    hole: tuple[int, int] | None = None
    tries: int = 0
    retry_at: float = 0.0

    def begin(self) -> None:
        """A connection opens: what came before it is missed."""
        self.acknowledged = self.joined = False
        self.doubted = None
        self.told = 0.0

    def doubt(self, now: float) -> None:
        """A frame did not read: nobody knows which trades it told of, until those that follow show the hole."""
        self.joined = False
        self.doubted = now if self.doubted is None else self.doubted

    def join(self) -> None:
        """The newest trade is known, and so whatever is missing before it."""
        self.joined = True
        self.doubted = None

    def in_doubt(self, now: float) -> float:
        """For how many seconds it has been unknown what a frame told."""
        return 0.0 if self.doubted is None else now - self.doubted
