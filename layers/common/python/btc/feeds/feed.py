"""What a feed of trades says, whichever venue speaks: one protocol, one set of events."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from btc.trades import Market, Trades


class Clock(NamedTuple):
    """The venue's own clock said `time` (µs): no local clock is trusted."""

    time: int


class Newest(NamedTuple):
    """At `time` (µs) by the venue's own clock the market's newest trade was `last_id`; 0: it did not say."""

    market: Market
    last_id: int
    time: int


class Closing(NamedTuple):
    """The venue is about to end this connection, in its own word: another is wanted at once."""

    reason: str


class Alive(NamedTuple):
    """The venue is there and has nothing to tell."""


class Status(NamedTuple):
    """The state of the venue's engine in its own word; without matching there are no trades, and that is normal."""

    text: str
    matching: bool


class Acknowledged(NamedTuple):
    """The trades of this market are coming."""

    market: Market


class Refused(NamedTuple):
    """The venue said no, in its own words; `symbol` as it spelled it, None where it refused the connection's pace."""

    symbol: str | None
    reason: str


class Ignored(NamedTuple):
    """A frame that is none of our business."""

    kind: str


class Malformed(NamedTuple):
    """A frame that should have been ours and does not read: set aside with its cause."""

    cause: str
    frame: bytes


Event = Trades | Clock | Newest | Closing | Alive | Status | Acknowledged | Refused | Ignored | Malformed


class HistoryError(RuntimeError):
    """The venue's history cannot be had: it refused the question, or stayed away beyond all patience."""


class Feed(Protocol):
    """A venue's live trades. `parse` is a pure function of the frame; nothing here opens a connection."""

    @property
    def venue(self) -> str: ...

    @property
    def url(self) -> str:
        """The public WebSocket address."""
        ...

    @property
    def silence(self) -> float:
        """Seconds without any frame after which the connection is dead."""
        ...

    @property
    def quiet(self) -> float:
        """Seconds without a word of a market after which its newest trade is looked up in the venue's history."""
        ...

    @property
    def lifetime(self) -> float:
        """Seconds after which a connection is left for a fresh one, before the venue ends it."""
        ...

    def address(self, url: str, symbols: Sequence[str]) -> str:
        """Where to connect for these canonical symbols, on the server at `url`."""
        ...

    def symbol(self, text: str) -> str:
        """The canonical symbol (`BTC-USD`) of any spelling this venue uses; raises ValueError on none."""
        ...

    def subscribe(self, symbols: Sequence[str]) -> Sequence[str]:
        """The frames that ask for the trades of these canonical symbols, the most recent ones first."""
        ...

    def ping(self) -> str | None:
        """The frame whose answer proves the connection alive; None where the venue gives proof unasked."""
        ...

    def parse(self, frame: bytes) -> Sequence[Event]:
        """What a frame says, in order; never raises, whatever the bytes."""
        ...

    def read(self, frames: Sequence[bytes]) -> Iterable[Event]:
        """What many frames say, in order; trades of a market that follow each other may come as one event."""
        ...


class Backfill(Protocol):
    """A run of past trades being fetched, one request a step."""

    def step(self) -> Trades | None:
        """The next trades in the order of their ids, or None: the venue has no more. Raises HistoryError.

        No trades (empty columns) mean that the venue asks for patience; the next step waits for it.
        """
        ...


class History(Protocol):
    """A venue's past trades."""

    def after(self, market: Market, last_id: int | None, since: int) -> Backfill:
        """Trades with ids above `last_id`, or all, from `since` (µs) on. `since` lies before all of them."""
        ...

    def now(self) -> int:
        """The venue's clock (µs). Raises HistoryError."""
        ...

    def newest(self, market: Market, since: int) -> Newest | None:
        """The market's newest trade by the venue's clock; all trades until `since` (µs) are known.

        Its time is 0 where the history does not tell its clock: then it is what the venue's clock said before. None
        where the venue asks for patience, or cannot tell. Raises HistoryError.
        """
        ...

    def wait(self) -> float:
        """Seconds until the venue may be asked again."""
        ...
