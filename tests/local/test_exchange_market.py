"""The simulated market: the same for the same seed, alive in its volatility, honest in its direction."""

import numpy as np
import pytest

from btc.times import DAY, HOUR, MINUTE, minute_of, parse_iso
from local.exchange.market import Market, Tape
from local.exchange.pairs import listed

NOW = parse_iso("2026-11-20T14:30:20Z")


def market(seed: int = 7, symbol: str = "BTC-USD", start: int = NOW - 10 * DAY) -> Market:
    return Market(listed(symbol), seed=seed, start=start, trades_per_minute=12)


def same(one: Tape, other: Tape) -> bool:
    names = ("times", "prices", "sizes", "taker_buys", "market_orders")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.fixture(scope="module")
def month() -> Tape:
    return market(start=NOW - 30 * DAY).until(NOW)


@pytest.fixture(scope="module")
def minutes(month: Tape) -> np.ndarray:
    """Where the month's whole minutes begin, and where the last of them ends."""
    return np.arange(minute_of(int(month.times[0])) + MINUTE, NOW, MINUTE)


@pytest.fixture(scope="module")
def flow(month: Tape, minutes: np.ndarray) -> np.ndarray:
    """Takers' buys less their sells, minute by minute."""
    return np.histogram(month.times, minutes, weights=np.where(month.taker_buys, 1.0, -1.0))[0]


@pytest.fixture(scope="module")
def returns(month: Tape, minutes: np.ndarray) -> np.ndarray:
    """Log returns minute by minute, zero over empty minutes."""
    last = np.searchsorted(month.times, minutes) - 1
    return np.diff(np.log(month.prices[last]))


def correlation(series: np.ndarray, lag: int) -> float:
    return float(np.corrcoef(series[:-lag], series[lag:])[0, 1])


def test_same_seed_and_start_give_the_same_trades_however_they_are_asked_for():
    at_once, piecewise = market(), market()
    for time_asked in range(NOW - 10 * DAY, NOW, 7 * HOUR):
        piecewise.until(time_asked)
    piecewise.time_of(100_000)

    assert same(at_once.until(NOW), piecewise.until(NOW))
    assert same(at_once.until(NOW - DAY), piecewise.until(NOW)[: len(at_once.until(NOW - DAY))])


def test_another_seed_or_symbol_is_another_market():
    assert not same(market(seed=7).until(NOW - 9 * DAY), market(seed=8).until(NOW - 9 * DAY))
    assert not same(market().until(NOW - 9 * DAY), market(symbol="ETH-USD").until(NOW - 9 * DAY))


def test_time_never_steps_back_and_nothing_lies_outside_what_was_asked(month):
    assert np.all(np.diff(month.times) >= 0)
    assert minute_of(NOW - 30 * DAY) <= month.times[0]
    assert month.times[-1] <= NOW


def test_prices_lie_on_the_tick_and_sizes_are_positive(month):
    assert np.all(month.prices % listed("BTC-USD").tick == 0)
    assert np.all(month.prices > 0)
    assert np.all(month.sizes > 0)


def test_trades_come_at_the_rate_asked_for_and_some_minutes_have_none(month):
    counts = np.bincount((month.times - month.times[0]) // MINUTE)

    assert 9 < counts.mean() < 15
    assert 0.02 < np.mean(counts == 0) < 0.15


def test_volatility_clusters_has_heavy_tails_and_bitcoins_size(returns):
    size = np.abs(returns)

    assert 0.35 < returns.std() * np.sqrt(365 * 1440) < 0.8
    assert all(correlation(size, lag) > 0.1 for lag in (1, 5, 15, 60))
    assert np.mean(returns**4) / np.mean(returns**2) ** 2 > 8


def test_activity_keeps_a_daily_rhythm(month):
    by_hour = np.bincount(month.times // HOUR % 24, minlength=24)

    assert by_hour[13:18].sum() > 1.5 * by_hour[1:6].sum()


def test_direction_cannot_be_told_from_past_returns_or_past_order_flow(flow, returns):
    signs = np.sign(returns)

    assert all(abs(correlation(signs, lag)) < 0.03 for lag in (1, 2, 5, 15))
    assert abs(np.corrcoef(flow[:-1], signs[1:])[0, 1]) < 0.03


def test_order_flow_persists_and_moves_the_price(month, flow, returns):
    assert correlation(np.where(month.taker_buys, 1.0, -1.0), 1) > 0.3
    assert np.corrcoef(flow, np.sign(returns))[0, 1] > 0.1


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_never_trades_is_refused(rate):
    with pytest.raises(ValueError, match="trades a minute"):
        Market(listed("BTC-USD"), seed=7, start=NOW, trades_per_minute=rate)
