"""Holes in a market's ids filled from its venue's history, a request at a time, for as long as that has a chance."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from btc.feeds.feed import History
from btc.times import SECOND
from btc.trades import Trades
from functions.ingest_trades.tracks import Tally, Track

TRIES: Final = 6
"""How often the venue's history is searched for a hole's trades before the hole is left as it is."""


class Log(Protocol):
    """Where what happened is told, with its figures."""

    def info(self, msg: str, /, *, extra: Mapping[str, object]) -> None: ...

    def warning(self, msg: str, /, *, extra: Mapping[str, object]) -> None: ...


@dataclass(frozen=True, slots=True)
class Repairs:
    """The repairs of one feed's markets; `pass_on` takes what the history tells."""

    history: History
    log: Log
    tally: Tally
    clock: Callable[[], float]
    pass_on: Callable[[Track, Trades], None]

    def due(self, tracks: Iterable[Track]) -> bool:
        """Whether there is a hole to ask about now."""
        now = self.clock()
        return any(track.continuity.missing and now >= track.retry_at for track in tracks)

    def step(self, tracks: Iterable[Track]) -> None:
        """Ask for the trades of one hole, one request at most. Raises HistoryError."""
        for track in tracks:
            hole = track.continuity.missing
            if hole is None:
                track.repair = track.hole = None
            elif self.clock() >= track.retry_at and not self.history.wait():
                self._ask(track, hole)
                return

    def _ask(self, track: Track, hole: tuple[int, int]) -> None:
        market = track.continuity.market
        if track.hole is None or hole[1] != track.hole[1]:
            self.tally.gaps += 1
            track.tries, track.repair = 0, None
            self.log.warning("hole", extra={"market": str(market), "hole": list(hole)})
        track.hole = hole
        if track.repair is None:
            # The venue's clock may step back between two trades: each search begins earlier than the one before.
            since = track.continuity.time - (SECOND << 2 * track.tries)
            track.repair = self.history.after(market, hole[0] - 1, since)
        page = track.repair.step()
        if page is not None and page.ids:
            self.pass_on(track, page)
        rest = track.continuity.missing
        if rest is None or rest[1] != hole[1]:
            self.log.info("hole repaired", extra={"market": str(market), "hole": list(hole)})
        elif page is None or (page.ids and page.ids[-1] > hole[1]):
            self._search_again(track, rest)

    def _search_again(self, track: Track, rest: tuple[int, int]) -> None:
        """The history ended before the hole did, or lacks it: it may know more a little later."""
        track.repair = None
        track.tries += 1
        track.retry_at = self.clock() + 2.0**track.tries / 4
        if track.tries >= TRIES:
            self.tally.unrepaired += 1
            track.continuity.skip()
            self.log.warning("hole given up", extra={"market": str(track.continuity.market), "hole": list(rest)})
