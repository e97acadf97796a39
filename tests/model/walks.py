"""Minutes of made-up markets: volatility that changes slowly, quiet minutes, and what a test asks for besides."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from btc.minutes import Minutes
from btc.times import DAY, MINUTE

MONDAY = 20_003 * DAY


def walk(length: int, *, seed: int = 1, quiet: float = 0.05, flows: bool = True, unknown: float = 0.0) -> Minutes:
    """A random walk on a grid from a Monday's midnight on, with stochastic volatility (log AR(1))."""
    generator = np.random.default_rng(seed)
    shocks = generator.normal(size=length)
    log_volatility = np.zeros(length)
    for row in range(1, length):
        log_volatility[row] = 0.995 * log_volatility[row - 1] + 0.08 * shocks[row]
    still = generator.random(length) < quiet
    steps = np.where(still, 0.0, 5e-4 * np.exp(log_volatility) * generator.normal(size=length))
    close = np.round(50_000 * np.exp(np.cumsum(steps)), 1)
    opened = np.concatenate([[50_000.0], close[:-1]])
    wick = np.where(still, 0.0, np.abs(generator.normal(size=(2, length))) * 5)
    volume = np.where(still, 0.0, np.round(generator.gamma(1.0, 2.0, size=length), 8))
    return Minutes.of_columns(
        MONDAY + MINUTE * np.arange(length, dtype=np.int64),
        opened,
        np.maximum(opened, close) + wick[0],
        np.minimum(opened, close) - wick[1],
        close,
        volume=volume,
        buy_volume=np.round(volume * generator.random(length), 8) if flows else None,
        trade_count=np.where(still, 0, generator.integers(1, 90, size=length)).astype(np.float64) if flows else None,
        known=generator.random(length) >= unknown,
    )


def beat(length: int, *, seed: int = 1, turned: int = 0) -> Minutes:
    """A random walk that is wild and calm by turns, a quarter of an hour each, and two hours of each four.

    Before the row `turned` wild and calm stand in each other's place.
    """
    generator = np.random.default_rng(seed)
    minute = np.arange(length)
    quarter, hours = ((minute // span) % 2 == (minute < turned) for span in (15, 120))
    steps = 4e-4 * np.where(quarter, 2.5, 0.5) * np.where(hours, 2.0, 0.6) * generator.normal(size=length)
    close = np.round(50_000 * np.exp(np.cumsum(steps)), 2)
    opened = np.concatenate([[50_000.0], close[:-1]])
    volume = np.round(generator.gamma(1.0, 2.0, size=length), 8)
    start = MONDAY + MINUTE * np.arange(length, dtype=np.int64)
    return Minutes.of_columns(start, opened, np.maximum(opened, close), np.minimum(opened, close), close, volume=volume)


def busy(minutes: Minutes, ahead: int = 0) -> Minutes:
    """The minutes with more volume the further the price goes, in the same minute or so many before."""
    sizes = np.abs(np.diff(np.log(minutes.close), prepend=np.log(minutes.close[0])))
    return replace(minutes, volume=minutes.volume * np.exp(1e3 * np.roll(sizes, -ahead)))


def save(minutes: Minutes, path: str) -> None:
    """The minutes as a plain Parquet file; unknown ones are left out."""
    known = minutes.known
    names = ("open", "high", "low", "close", "volume", "buy_volume", "trade_count")
    table = {name: getattr(minutes, name)[known] for name in names}
    start = pa.array(minutes.start[known], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"start": start, **table}), path)
