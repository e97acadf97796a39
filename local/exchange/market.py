"""A seeded market: stochastic volatility, jumps, rhythm and order flow, the same trades for the same seed and start.

Direction is honest: the price is a martingale given everything that happened before, its own order flow included.
What can be forecast is volatility, as in life. Symbols move independently of one another.
"""

from dataclasses import dataclass
from threading import Lock
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from btc.times import HOUR, MINUTE, minute_of
from btc.units import UNIT
from local.exchange.pairs import Pair

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

FIRST_ID: Final = 100_000_001
MINUTES: Final = HOUR // MINUTE
"""The market is generated an hour at a time, each hour from a random stream of its own."""

# Log-volatility is a sum of mean-reverting parts on three time scales: together they look like long memory. Over three
# weeks, real Bitcoin's |1-min return| has an autocorrelation of about 0.39, 0.25, 0.22, 0.16, 0.09 at lags of 1, 5, 15,
# 60, 240 minutes in lively times (upper quartile, Bitfinex 2017-2019); these parts give 0.39, 0.29, 0.22, 0.18, 0.11.
REVERSION: Final = np.array([1440.0, 3 * 60.0, 5.0])  # minutes to revert by 1/e
SPREAD: Final = np.array([0.55, 0.48, 0.55])  # each part's stationary deviation
PERSISTENCE: Final = np.exp(-1 / REVERSION)
INNOVATION: Final = SPREAD * np.sqrt(1 - PERSISTENCE**2)
LOG_VARIANCE: Final = float(np.sum(SPREAD**2))

ANNUAL_VOLATILITY: Final = 0.6
JUMPS_A_DAY: Final = 1.0
JUMP: Final = 4.0  # a jump's deviation, in the deviations of its minute
JUMP_SHARE: Final = JUMPS_A_DAY / 1440 * JUMP**2
AFTERSHOCK: Final = 2.0  # deviations by which a jump lifts the fastest part of log-volatility

FILLS: Final = 2.0  # trades a taker's order makes, on average
ACTIVITY_OF_VOLATILITY: Final = 0.6
BURSTS: Final = 3.0  # shape of the gamma that mixes the minutes' activity: small = bursts and empty minutes
FLOW: Final = 0.45  # correlation of a taker's side with the side before it
IMPACT: Final = 0.15  # share of the price's variance that comes with the surprise in the side
SIZE_SPREAD: Final = 1.8
SMALLEST_SIZE: Final = UNIT // 100_000
WALKS: Final = 0.3  # chance that an order's next fill lies deeper in the book


@dataclass(frozen=True, slots=True)
class Tape:
    """Trades in order: `times` in µs, `prices` and `sizes` in 1e-8 units; trade `i` has the id `FIRST_ID + i`."""

    times: Ints
    prices: Ints
    sizes: Ints
    taker_buys: Flags
    market_orders: Flags

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, part: slice) -> Self:
        return type(self)(
            self.times[part], self.prices[part], self.sizes[part], self.taker_buys[part], self.market_orders[part]
        )

    def then(self, later: "list[Tape]") -> "Tape":
        """This tape with the later ones appended."""
        tapes = [self, *later]
        return Tape(
            times=np.concatenate([tape.times for tape in tapes]),
            prices=np.concatenate([tape.prices for tape in tapes]),
            sizes=np.concatenate([tape.sizes for tape in tapes]),
            taker_buys=np.concatenate([tape.taker_buys for tape in tapes]),
            market_orders=np.concatenate([tape.market_orders for tape in tapes]),
        )

    def count_until(self, time: int) -> int:
        """How many trades happened at or before `time` (µs)."""
        return int(np.searchsorted(self.times, time, side="right"))


_NO_NUMBERS, _NO_FLAGS = np.empty(0, np.int64), np.empty(0, np.bool_)
EMPTY: Final = Tape(_NO_NUMBERS, _NO_NUMBERS, _NO_NUMBERS, _NO_FLAGS, _NO_FLAGS)


@dataclass(frozen=True, slots=True)
class State:
    """What one hour hands to the next: `variance` and `jump` have accrued since the last order and await the next."""

    log_volatility: Floats
    log_price: float
    side: int = 1
    variance: float = 0.0
    jump: float = 0.0


class Market:
    """One symbol's endless trades from `start` (µs, cut to its minute) on; generated as they are asked for.

    Safe to share between threads.
    """

    def __init__(self, pair: Pair, *, seed: int, start: int, trades_per_minute: float) -> None:
        if not trades_per_minute > 0:
            raise ValueError(f"{trades_per_minute} trades a minute never trade: the rate must be above zero")
        self.pair = pair
        self._key = [seed, *pair.symbol.encode()]
        self._orders_per_minute = trades_per_minute / FILLS
        self._start = self._covered = minute_of(start)
        parts = np.random.default_rng([*self._key, 0]).normal(0, SPREAD)
        self._state = State(parts, float(np.log(pair.first_price)))
        self._tape = EMPTY
        self._lock = Lock()

    def until(self, time: int) -> Tape:
        """All trades at or before `time` (µs)."""
        tape = self._cover(time)
        return tape[: tape.count_until(time)]

    def time_of(self, index: int) -> int:
        """When the trade at this place on the tape happens (µs)."""
        while index >= len(self._tape):
            self._cover(self._covered)
        return int(self._tape.times[index])

    def _cover(self, time: int) -> Tape:
        with self._lock:
            hours = []
            while self._covered <= time:
                number = (self._covered - self._start) // HOUR
                rng = np.random.default_rng([*self._key, 1 + number])
                hour, self._state = trade_hour(
                    rng, self._state, start=self._covered, pair=self.pair, orders_per_minute=self._orders_per_minute
                )
                hours.append(hour)
                self._covered += HOUR
            if hours:
                self._tape = self._tape.then(hours)
            return self._tape


def trade_hour(
    rng: np.random.Generator, state: State, *, start: int, pair: Pair, orders_per_minute: float
) -> tuple[Tape, State]:
    """The trades of the hour from `start` (µs) on, and the state in which it leaves the market."""
    minutes = start + MINUTE * np.arange(MINUTES)
    jumps = rng.random(MINUTES) < JUMPS_A_DAY / 1440
    parts = log_volatility_path(rng, state.log_volatility, jumps)
    deviation = parts.sum(axis=1)
    variance = minute_variance(minutes, deviation)
    times = order_times(rng, minutes, deviation, orders_per_minute)
    sides = order_sides(rng, state.side, len(times))

    accrued = np.interp(times, np.append(minutes, start + HOUR), np.append(0.0, np.cumsum(variance)))
    steps = np.diff(accrued, prepend=-state.variance)
    surprise = (sides[1:] - FLOW * sides[:-1]) / np.sqrt(1 - FLOW**2)
    shocks = np.sqrt(1 - IMPACT) * rng.standard_normal(len(times)) + np.sqrt(IMPACT) * surprise
    # One place more than there are orders: what falls there waits for the next hour's first order.
    moves = np.append(np.sqrt(steps) * shocks - steps / 2, 0.0)
    sizes = JUMP * np.sqrt(variance) * rng.standard_normal(MINUTES)
    moves[0] += state.jump
    np.add.at(moves, np.searchsorted(times, minutes[jumps] + MINUTE // 2), sizes[jumps])

    path = state.log_price + np.cumsum(moves[:-1])
    after = State(
        log_volatility=parts[-1],
        log_price=float(path[-1]) if len(path) else state.log_price,
        side=int(sides[-1]),
        variance=float(np.sum(variance) - accrued[-1]) if len(path) else state.variance + float(np.sum(variance)),
        jump=float(moves[-1]),
    )
    return fill_orders(rng, pair, times, np.exp(path), sides[1:]), after


def log_volatility_path(rng: np.random.Generator, before: Floats, jumps: Flags) -> Floats:
    """The parts of log-volatility minute by minute, minutes × parts; a jump is followed by aftershocks."""
    shocks = rng.standard_normal((len(jumps), len(before)))
    shocks[:, -1] += AFTERSHOCK * jumps
    age = np.arange(len(jumps))
    lags = age[:, None] - age
    kernels = np.where(lags >= 0, PERSISTENCE[:, None, None] ** np.maximum(lags, 0), 0.0)
    path: Floats = PERSISTENCE ** (age[:, None] + 1) * before + np.einsum("kij,jk->ik", kernels, INNOVATION * shocks)
    return path


def minute_variance(minutes: Ints, deviation: Floats) -> Floats:
    """Variance of the log price in each minute, jumps apart; on average that of ANNUAL_VOLATILITY with them."""
    mean = ANNUAL_VOLATILITY**2 / (365 * 1440) / (1 + JUMP_SHARE)
    return mean * np.exp(2 * (deviation + rhythm(minutes)) - 2 * LOG_VARIANCE) / RHYTHM_SQUARED


def order_times(rng: np.random.Generator, minutes: Ints, deviation: Floats, orders_per_minute: float) -> Ints:
    """Taker orders arrive by a Poisson process whose rate follows volatility, the rhythm and bursts of its own."""
    excitement = ACTIVITY_OF_VOLATILITY * deviation - ACTIVITY_OF_VOLATILITY**2 * LOG_VARIANCE / 2
    bursts = rng.gamma(BURSTS, 1 / BURSTS, len(minutes))
    counts = rng.poisson(orders_per_minute * np.exp(excitement + 2 * rhythm(minutes)) / RHYTHM_SQUARED * bursts)
    return np.sort(np.repeat(minutes, counts) + rng.integers(0, MINUTE, int(np.sum(counts))))


def order_sides(rng: np.random.Generator, before: int, orders: int) -> Ints:
    """The takers' sides, +1 or -1, correlated by FLOW: `orders + 1` of them, the first the one `before`."""
    turns = rng.random(orders) < (1 - FLOW) / 2
    return before * np.cumprod(np.append(1, np.where(turns, -1, 1)))


def fill_orders(rng: np.random.Generator, pair: Pair, times: Ints, mids: Floats, sides: Ints) -> Tape:
    """Each order takes one or more resting orders: buys at the tick above the middle and up, sells below and down."""
    fills = rng.geometric(1 / FILLS, len(times))
    order = np.repeat(np.arange(len(times)), fills)
    first = (np.cumsum(fills) - fills)[order]
    deeper = np.cumsum(rng.geometric(0.4, len(order)) * (rng.random(len(order)) < WALKS))
    depth = deeper - deeper[first]
    ticks = mids * UNIT / pair.tick
    best = np.where(sides > 0, np.ceil(ticks), np.floor(ticks)).astype(np.int64)
    sizes = np.rint(pair.median_size * UNIT * rng.lognormal(0, SIZE_SPREAD, len(order))).astype(np.int64)
    return Tape(
        times=times[order],
        prices=np.maximum(best[order] + sides[order] * depth, 1) * pair.tick,
        sizes=np.maximum(sizes, SMALLEST_SIZE),
        taker_buys=sides[order] > 0,
        market_orders=(rng.random(len(times)) < 0.5)[order],
    )


def rhythm(times: Ints) -> Floats:
    """Log-volatility's daily and weekly rhythm: lively when America wakes, quiet at dawn in Europe and on weekends."""
    hours = times / HOUR % 24
    days = (times / (24 * HOUR) + 3) % 7  # the epoch was a Thursday: 0 = Monday
    daily = 0.22 * np.cos(2 * np.pi * (hours - 15) / 24) + 0.08 * np.cos(4 * np.pi * (hours - 14.5) / 24)
    weekend = 1 / (1 + np.exp(-8 * (np.abs(days - 6) - 1)))  # 0 on the weekend, 1 in the week
    return np.asarray(daily + 0.3 * weekend)


RHYTHM_SQUARED: Final = float(np.mean(np.exp(2 * rhythm(MINUTE * np.arange(7 * 1440)))))
"""What the rhythm does to variance, and to activity, over a whole week."""
