"""One schedule: a venue's trades through the real code under the faults a seed draws, and the verdict once quiet."""

from __future__ import annotations

import logging
import os
import random as chance
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache, partial
from io import StringIO
from random import Random
from types import ModuleType
from typing import Any, Self
from unittest import mock

from btc import ranges
from btc.aws import clients, folding, tables
from btc.aws.state import StateTable
from btc.aws.tables import BarTable, bar_of
from btc.settings import AggregateBars, IngestTrades
from btc.tape import Watermark
from btc.times import FOREVER, MINUTE, SECOND, minute_of
from btc.trades import Market, Trades
from tests.faults import laws
from tests.faults.dialects import DIALECTS
from tests.faults.faults import Faults
from tests.faults.lambdas import Poller
from tests.faults.laws import Verdict
from tests.faults.services import Services, restore_time
from tests.faults.tapes import NOON, draw_tape, expected_bars
from tests.faults.tasks import Service
from tests.faults.venue import Venue
from tests.faults.world import World
from tests.unit.aws import CONTEXT, load

_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "POWERTOOLS_METRICS_NAMESPACE": "Faults",
    "POWERTOOLS_SERVICE_NAME": "faults",
}
_PAST = 2
"""Minutes that the venue has traded before the first start."""
_LATEST = 4 * SECOND
"""How much later (µs) than watermarks wait a late trade is shown, at most, beside what they wait."""
_PATIENCE_S = 120.0
"""How long after the last fault and the last trade everything may take to become quiet."""

Audit = Callable[["Scene"], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a seed: the verdict, the faults that struck, and what the schedule was."""

    seed: int
    venue: str
    verdict: Verdict
    struck: Counter[str]
    trades: int


class Scene:
    """All parts of one schedule, before their start."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.world = World()
        venue = random.choices(["kraken", "coinbase", "binance"], [5, 2, 2])[0]
        dialect = DIALECTS[venue]
        self.speed, minutes = random.choice([4.0, 8.0, 15.0]), random.randint(2, 4)
        self.end = NOON + (_PAST + minutes) * MINUTE
        live = minutes * 60 / self.speed
        self.faults = Faults(random, self.world.clock, calm=live * random.uniform(0.5, 1.2))
        self.venue = Venue(self.world, self.faults, dialect, NOON + _PAST * MINUTE, self.speed)
        self.venue.halts = [(at, at + random.uniform(1, 6)) for at in self.faults.moments("maintenance")]
        self.venue.stalls = [(at, at + random.choice([2.0, 6.0, 25.0])) for at in self.faults.moments("silent stall")]
        self.faults.struck["silent stall"] = len(self.venue.stalls)
        markets = [Market(venue, symbol) for symbol in dialect.symbols[: random.choice([1, 1, 1, 2])]]
        self.lag = random.choice([500_000, 2 * SECOND])
        self.tapes = {market: self._tape(market, _PAST + minutes) for market in markets}
        forever = self.end + 60 * MINUTE
        self.expected = {market: expected_bars(trades, forever) for market, trades in self.tapes.items()}
        for market, trades in self.tapes.items():
            self.venue.list(market, trades, [self._delay() for _ in trades])
        # No watermark can know of what was shown after it waited, and no bar says then what it will hold.
        late = {market: self.venue.late(market, self.lag) for market in markets}
        self.in_time = {
            market: [trade for trade in trades if trade not in late[market]] for market, trades in self.tapes.items()
        }
        self.surprised = {market: {minute_of(trade.time) for trade in late[market]} for market in markets}
        self.services = Services(self.world, self.faults)
        self.verdict = Verdict()
        self.poison: list[bytes] = []
        self.loaded: dict[Market, ranges.Ranges] = {}

    def _tape(self, market: Market, minutes: int) -> list[Any]:
        now = self.venue.now()
        halts = [
            (now + int(begin * self.speed * SECOND) - self.lag, now + int(end * self.speed * SECOND))
            for begin, end in self.venue.halts
        ]
        return draw_tape(self.random, market, minutes, halts)

    def _delay(self) -> int:
        """From a trade to its showing (µs): within the lag, or now and then beyond all that watermarks wait for."""
        beyond = self.random.randrange(_LATEST) if self.faults.strikes("late trade") else 0
        return self.random.randrange(self.lag) + (self.lag + beyond if beyond else 0)

    def run(self, audit: Audit | None) -> None:
        """Let it all happen, until the law holds or nobody would wait any longer."""
        world, services = self.world, self.services
        services.on_put = self._hear
        with _own_clients(services), self._one_thread():
            handler = aggregate_bars().handler
            self.poller = Poller(world, self.faults, services.shard, lambda event: handler(event, CONTEXT))
            self.service = Service(world, self.faults, self.venue, self._settings())
            world.spawn("poller", self.poller.run)
            world.spawn("service", self.service.run)
            world.spawn("poisoner", self._poison)
            world.spawn("loaders", self._load)
            try:
                self._wait()
                if audit:
                    audit(self)
                    self._wait()
            finally:
                world.close()
        self._judge()

    def _settings(self) -> IngestTrades:
        [venue] = {market.venue for market in self.tapes}
        return IngestTrades(
            stream="trades",
            state_table="state",
            venue=venue,
            symbols=tuple(market.symbol for market in self.tapes),
            history_days=1,
            batch_ms=self.random.choice([100, 1000, 5000]),
            watermark_lag_ms=self.lag // 1000,
            websocket_url="",
            rest_url="",
        )

    @contextmanager
    def _one_thread(self) -> Iterator[None]:
        """Writes that would be under way at once come one after the other, in any order."""
        random = self.random

        class Pool:
            def __init__(self, workers: int) -> None:
                pass

            def __enter__(self) -> Self:
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def map(self, put: Callable[[Any], bool], items: Sequence[Any]) -> list[bool]:
                order = random.sample(range(len(items)), len(items))
                done = {row: put(items[row]) for row in order}
                return [done[row] for row in range(len(items))]

        with mock.patch.object(tables, "ThreadPoolExecutor", Pool):
            yield

    def _poison(self) -> None:
        for at in self.faults.moments("poison record"):
            self.world.sleep(at - self.world.now)
            self.faults.struck["poison record"] += 1
            self.poison.append(self.random.randbytes(self.random.randint(1, 60)))
            self.services.shard.records.append((str(next(iter(self.tapes))), self.poison[-1]))

    def _load(self) -> None:
        """Now and then someone folds trades of the venue's past beside the function, and may die of it."""
        for at in self.faults.moments("a loader beside it"):
            self.world.sleep(at - self.world.now)
            for market, trades in self.venue.shown().items():
                # Before the first trade is stored there is no past: a start would take the loader's for the first.
                if any(low == trades[0].trade_id for low, _ in laws.held(self.services.tables, market)):
                    self.faults.struck["a loader beside it"] += 1
                    first = self.random.randrange(len(trades))
                    part = Trades.of(market, trades[first : first + self.random.randint(1, 40)])
                    self.loaded[market] = ranges.union(self.loaded.get(market, ()), ranges.runs(part.ids))
                    loader = self.world.spawn("loader", partial(self._fold, part))
                    loader.halting = self.random.choice([0.0, 0.5])

    def _fold(self, part: Trades) -> None:
        client = clients.dynamodb()
        folding.fold(BarTable("bars", client), StateTable("state", client), [part], [], FOREVER)

    def _hear(self, table: str, item: dict[str, Any]) -> None:
        if table == "bars":
            bar = bar_of(item)
            if bar.start not in self.surprised[bar.market]:
                laws.judge_proof(bar, self.expected[bar.market].get(bar.start), self.verdict)
        if table == "state":
            market = Market.parse(item["name"]["S"].removeprefix("watermark:"))
            mark = Watermark(market, int(item["alive_until"]["N"]), int(item["last_id"]["N"]))
            laws.judge_stored_claim(mark, self.in_time, self.services.tables, self.verdict)

    def _wait(self) -> None:
        quiet = max(self.venue.moment(self.end + MINUTE + self.lag), self.faults.calm) + 1.0
        self.world.sleep(quiet - self.world.now)
        while self.world.now < quiet + _PATIENCE_S and not self._lawful():
            self.world.sleep(2.0)

    def _lawful(self) -> bool:
        if not self.poller.idle:
            return False
        verdict = Verdict()
        self._judge_bars(verdict)
        return verdict.holds

    def _judge_bars(self, verdict: Verdict) -> None:
        for market, trades in self.tapes.items():
            laws.judge_bars(trades, laws.stored_bars(self.services.tables, market), self.end, verdict)

    def _judge(self) -> None:
        self._judge_bars(self.verdict)
        laws.judge_claims(self.in_time, self.services.shard, self.loaded, self.verdict)
        laws.judge_poison(self.poison, self.poller.given_up, self.verdict)
        for error in self.service.died:
            self.verdict.unproven += 1
            self.verdict.notes.append(f"the task died of {error!r}")


def run(seed: int, audit: Audit | None = None) -> Outcome:
    """The schedule of this seed, from its first trade to its verdict."""
    chance.seed(seed)
    with mock.patch.dict(os.environ, _ENVIRONMENT), _silence():
        scene = Scene(seed)
        scene.run(audit)
    trades = sum(map(len, scene.tapes.values()))
    return Outcome(seed, next(iter(scene.tapes)).venue, scene.verdict, scene.faults.struck, trades)


@contextmanager
def _silence() -> Iterator[None]:
    """No log and no metrics: a thousand schedules would drown what went wrong."""
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()), warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(logging.NOTSET)


@cache
def aggregate_bars() -> ModuleType:
    return load("aggregate_bars", AggregateBars(bars_table="bars", state_table="state", retention_days=30))


@contextmanager
def _own_clients(services: Services) -> Iterator[None]:
    """The product's own clients, fresh: what one has learned of retries is forgotten before the next schedule."""
    made = (clients.dynamodb, clients.kinesis)
    for make in made:
        make.cache_clear()
        services.attach(make())
    try:
        yield
    finally:
        restore_time()
        for make in made:
            make.cache_clear()
