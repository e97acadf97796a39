"""From a venue's feed into the stream: history first, then live trades, holes repaired, watermarks never across one."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from btc.aws.streams import TradeStream
from btc.feeds.connection import Connection, ConnectionLostError
from btc.feeds.continuity import Continuity
from btc.feeds.feed import (
    Acknowledged,
    Clock,
    Closing,
    Event,
    Feed,
    History,
    HistoryError,
    Malformed,
    Newest,
    Refused,
    Status,
)
from btc.times import minute_of
from btc.trades import Market, Trades
from functions.ingest_trades.malformed import SetAside
from functions.ingest_trades.pings import Pings
from functions.ingest_trades.reconnects import WORKS_FOR, Reconnects
from functions.ingest_trades.repairing import Log, Repairs
from functions.ingest_trades.tracks import Tally, Track

ACKNOWLEDGED_WITHIN: Final = 10.0
HISTORY_AGAIN: Final = 30.0
"""How long a history that has tried all patience is left alone while the feed goes on."""
REJOINED_WITHIN: Final = 10.0
"""How long the trades after a frame that did not read are waited for, before another connection's snapshot is."""


class RefusedError(RuntimeError):
    """The venue refuses a subscription, in its own words: asking again would not help."""


@dataclass(slots=True)
class Ingestion:
    """One feed's markets into one stream, in one thread; `stopped` is asked often."""

    feed: Feed
    history: History
    stream: TradeStream
    connect: Callable[[], Connection]
    log: Log
    lag: int
    """How far (µs) watermarks stay behind the venue's clock."""
    stopped: Callable[[], bool]
    on_tick: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    tally: Tally = field(default_factory=Tally)
    _repairs: Repairs = field(init=False)
    _pings: Pings = field(init=False)
    _tracks: dict[Market, Track] = field(default_factory=dict)
    _set_aside: SetAside = field(default_factory=SetAside)
    _closing: bool = False
    _acknowledge_by: float = 0.0
    _history_from: float = 0.0

    def __post_init__(self) -> None:
        self._pings = Pings(self.lag)
        self._repairs = Repairs(self.history, self.log, self.tally, self.clock, self._pass_on)

    @property
    def markets(self) -> list[Market]:
        return list(self._tracks)

    def catch_up(self, market: Market, last_id: int | None, since: int) -> None:
        """Send the trades above `last_id`, or all, from `since` (µs) up to the venue's present. Raises HistoryError."""
        track = self._tracks[market] = Track(Continuity(market, last_id, since))
        backfill = self.history.after(market, last_id, since)
        while not self.stopped():
            self._wait(self.history.wait())
            page = backfill.step()
            if page is None:
                break
            if page.ids:
                self._pass_on(track, page)
                self._mark(track, track.continuity.time - 1)
                self.log.info("history", extra={"market": str(market), "until": track.continuity.time})
            self._tick()
            while self.stream.full and not self.stopped():
                self._wait(0.1)
        self.log.info("caught up", extra={"market": str(market), "last_id": track.continuity.last_id})

    def run(self) -> None:
        """Stream until stopped, connecting again as often as it takes. Raises RefusedError."""
        reconnects = Reconnects()
        while not self.stopped():
            before, opened, cause = self.tally.trades, self.clock(), ""
            try:
                with self.connect() as connection:
                    self._follow(connection)
            except ConnectionLostError as error:
                cause = str(error)
            if (not cause and not self._closing) or self.stopped():
                continue
            worked = self.tally.trades > before and self.clock() - opened >= WORKS_FOR
            pause = reconnects.pause(worked=worked, asked=not cause, halted=not self.tally.matching)
            pause *= 0.5 + self.jitter() / 2
            self.log.warning(
                "connection lost", extra={"cause": cause or "the venue asked", "again_in_s": round(pause, 1)}
            )
            self._wait(pause)

    def _follow(self, connection: Connection) -> None:
        """Subscribe and pass on what comes, until stopped. Raises ConnectionLostError."""
        self.tally.connections += 1
        self._closing = False
        for track in self._tracks.values():
            track.begin()
        for frame in self.feed.subscribe([market.symbol for market in self._tracks]):
            connection.send(frame)
        opened = heard = self.clock()
        self._acknowledge_by = opened + ACKNOWLEDGED_WITHIN
        self._pings.begin(opened)
        while not self.stopped() and not self._closing:
            now = self.clock()
            if now - opened > self.feed.lifetime:
                self.log.info("connection left for a fresh one", extra={"age_s": round(now - opened)})
                return
            if not self._pings.wait(now) and (ping := self.feed.ping()):
                connection.send(ping)
                self._pings.sent(now)
            if self.stream.full:
                # The socket fills, and the venue waits or hangs up; what is missed then comes from its history.
                self._wait(0.1)
                heard = self.clock()
                continue
            due = now >= self._history_from and self._repairs.due(self._tracks.values())
            frames = connection.receive(0.001 if due else min(0.05, self._pings.wait(now) or 0.05))
            if frames:
                heard = self.tally.last_frame = self.clock()
                self._read(frames)
            elif now - heard > self.feed.silence:
                raise ConnectionLostError(f"no frame of any kind for {now - heard:.0f} s")
            self._expect(now)
            self._ask_history()
            self._tick()

    def _ask_history(self) -> None:
        """Look up, and repair. A history that stays away does not end a feed that speaks: it is asked again later."""
        if self.clock() < self._history_from:
            return
        try:
            self._look_up()
            self._repairs.step(self._tracks.values())
        except HistoryError as error:
            self._history_from = self.clock() + HISTORY_AGAIN
            self.log.warning("no history", extra={"cause": str(error), "again_in_s": HISTORY_AGAIN})

    def _expect(self, now: float) -> None:
        """Raises ConnectionLostError where the venue has kept from us for too long what must come."""
        if now > self._acknowledge_by and not all(track.acknowledged for track in self._tracks.values()):
            raise ConnectionLostError(f"not every subscription was acknowledged within {ACKNOWLEDGED_WITHIN:g} s")
        if any(track.in_doubt(now) > REJOINED_WITHIN for track in self._tracks.values()):
            raise ConnectionLostError("a frame did not read, and no trades have shown since what it told")

    def _look_up(self) -> None:
        """Ask the venue's history for the newest trade of one market that the feed is quiet about.

        Without this a venue that is silent while nothing trades could not be told from one that lost our trades. A
        venue whose clock goes on by itself is asked when a minute has ended and no later trade has shown it whole.
        """
        over = minute_of(self.tally.venue_time - self.lag)
        for track in self._tracks.values():
            quiet = self.clock() - track.told >= self.feed.quiet
            ended = track.joined and track.confirmed < over and not track.continuity.missing
            if track.acknowledged and (quiet or ended) and not self.history.wait():
                asked = self.tally.venue_time
                newest = self.history.newest(track.continuity.market, track.continuity.time)
                track.told = self.clock()
                if newest and newest.last_id > (track.continuity.last_id or 0) and not newest.time:
                    # A page may end before the newest trade: once these are fetched, the venue is asked again.
                    track.continuity.reach(newest.last_id)
                    track.join()
                elif newest:
                    self._hear(newest._replace(time=newest.time or asked))
                return

    def _read(self, frames: Sequence[bytes]) -> None:
        self.tally.frames += len(frames)
        for event in self.feed.read(frames):
            if not isinstance(event, Trades):
                self._hear(event)
            elif track := self._tracks.get(event.market):
                track.join()
                track.told = self.clock()
                # Others of the newest trade's moment may still come.
                track.confirmed = max(track.confirmed, *(time - 1 for time in event.times))
                self._pass_on(track, event)
            else:
                self.tally.ignored += 1

    def _hear(self, event: Event) -> None:
        match event:
            case Clock(time):
                self._pings.hear(time, self.clock())
                self.tally.venue_time = max(self.tally.venue_time, time)
                for track in self._tracks.values():
                    # Before the first trades of a connection nobody knows what was missed since the last one.
                    if track.joined:
                        self._mark(track, min(time - self.lag, track.confirmed))
            case Newest(market, last_id, time):
                self.tally.venue_time = max(self.tally.venue_time, time)
                if market in self._tracks:
                    self._reach(self._tracks[market], last_id, time)
            case Closing(reason):
                self._closing = True
                self.log.info("the venue closes the connection", extra={"reason": reason})
            case Acknowledged(market):
                if market in self._tracks:
                    self._tracks[market].acknowledged = True
                self.log.info("subscribed", extra={"market": str(market)})
            case _:
                self._heed(event)

    def _heed(self, event: Event) -> None:
        """What says nothing of a market's trades."""
        match event:
            case Refused(None, reason):
                raise ConnectionLostError(f"the venue refuses: {reason}")
            case Refused(symbol, reason) if not self.tally.matching:
                raise ConnectionLostError(f"the venue halts and refuses the trades of {symbol}: {reason}")
            case Refused(symbol, reason):
                raise RefusedError(f"the venue refuses the trades of {symbol}: {reason}")
            case Status(text, matching):
                self.tally.matching = matching
                # A venue that halts may keep a subscription waiting until it goes on.
                self._acknowledge_by = self.clock() + ACKNOWLEDGED_WITHIN if matching else math.inf
                (self.log.info if matching else self.log.warning)("venue status", extra={"status": text})
            case Malformed():
                self.tally.malformed += 1
                for track in self._tracks.values():
                    track.doubt(self.clock())
                if entry := self._set_aside.entry(event, self.clock()):
                    self.log.warning("malformed frame", extra=entry)
            case _:
                self.tally.ignored += 1

    def _pass_on(self, track: Track, trades: Trades) -> None:
        new = track.continuity.add(trades)
        self.tally.repeats += len(trades) - len(new)
        if not new.ids:
            return
        self.tally.trades += len(new)
        self.tally.trade_time = max(self.tally.trade_time, new.times[-1])
        self.stream.put(new)

    def _reach(self, track: Track, last_id: int, time: int) -> None:
        track.told = self.clock()
        track.continuity.reach(last_id)
        track.confirmed = max(track.confirmed, time)
        # Whoever knows the newest trade knows what was missed before this connection.
        if last_id > 0:
            track.join()
        if track.joined:
            self._mark(track, time - self.lag)

    def _mark(self, track: Track, time: int) -> None:
        """Tell of the minutes that are over; what is claimed of the one under way closes no bar."""
        mark = track.continuity.watermark(time) if minute_of(time) > track.over else None
        if mark and minute_of(mark.time) > track.over:
            track.over = minute_of(mark.time)
            self.stream.put(mark)

    def _tick(self) -> None:
        self.stream.pump()
        self.on_tick()

    def _wait(self, seconds: float) -> None:
        """Pass the time without neglecting the stream."""
        until = self.clock() + seconds
        while not self.stopped():
            self._tick()
            left = until - self.clock()
            if left <= 0:
                return
            self.sleep(min(left, 0.05))
