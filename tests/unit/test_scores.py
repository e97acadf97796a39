"""Outcomes of forecasts, and sums of them that may be cut and merged anywhere."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from btc import forecasts, scores
from btc.bars import Bar, Source
from btc.forecasts import LEVELS, Outcome, Scored
from btc.scores import Sums, merge, sums
from btc.times import DAY, HOUR, MINUTE
from btc.units import UNIT
from tests.unit.market import BTC, NOON
from training import evaluate

RETURNS = st.lists(st.integers(-9_000, 9_000), min_size=len(LEVELS), max_size=len(LEVELS)).map(
    lambda steps: sorted(step / 1e6 for step in steps)
)
MOVES = st.one_of(st.just(0), st.integers(-12_000, 12_000)).map(lambda step: step / 1e6)
KNOWN_OR_NOT = st.booleans()
REFERENCE = 60_000.0


@st.composite
def scored(draw: st.DrawFn, known: st.SearchStrategy[bool] = KNOWN_OR_NOT) -> list[Scored]:
    """Forecasts of some minutes in a row by one of two models, some beside baselines, some with an outcome."""
    made = []
    for row in range(draw(st.integers(0, 12))):
        rivals = {name: {1: draw(RETURNS)} for name in draw(st.sets(st.sampled_from(["naive", "har"])))}
        version = draw(st.sampled_from(["one", "two"]))
        [forecast] = forecasts.of(
            BTC,
            NOON + row * MINUTE,
            REFERENCE,
            {1: draw(RETURNS)},
            model_version=version,
            baseline=False,
            baselines=rivals,
        )
        price = REFERENCE * math.exp(draw(MOVES))
        made.append(Scored(forecast, scores.outcome(forecast, price) if draw(known) else None))
    return made


def bar(minute: int, price: float, **changes) -> Bar:
    """The proven bar of one trade in that minute after noon."""
    units = round(price * UNIT)
    told = {"ranges": ((minute, minute),), "prior_id": minute - 1, "next_id": minute + 1, "closed": True} | changes
    return Bar(BTC, NOON + minute * MINUTE, units, units, units, units, 1, trade_count=1, **told)


@given(scored(), st.data())
def test_sums_come_out_the_same_in_any_order_and_any_parts(whole, data):
    shuffled = data.draw(st.permutations(whole))
    cut = data.draw(st.integers(0, len(whole)))
    parts = [sums(shuffled[:cut]), sums(shuffled[cut:])]

    versions = {version for part in parts for version in part}
    merged = {version: merge(part[version] for part in parts if version in part) for version in versions}
    assert merged == sums(whole)
    assert merge(sums(whole).values()) == merge(one for each in whole for one in sums([each]).values())


@given(scored(st.just(True)))
def test_coverage_is_the_share_at_or_below_each_quantile(whole):
    added = merge(sums(whole).values())
    below = np.array([[each.outcome.realised_price <= price for price in each.forecast.quantiles] for each in whole])

    if whole:
        assert added.coverage == pytest.approx(tuple(below.mean(axis=0)))
        assert list(added.coverage) == sorted(added.coverage)
        assert added.covered_50 <= added.covered <= added.forecasts
        assert added.hits <= added.sided <= added.forecasts
        assert added.until == whole[-1].forecast.target_time
    else:
        assert added == Sums()


@given(RETURNS, MOVES)
def test_the_loss_is_the_one_that_training_measures(returns, move):
    [forecast] = forecasts.of(BTC, NOON, REFERENCE, {1: returns}, model_version="m", baseline=False)
    expected = evaluate.BASIS_POINTS * evaluate.pinball(np.array([move]), np.array([returns]))[0]

    assert scores.outcome(forecast, REFERENCE * math.exp(move)).pinball_loss == pytest.approx(expected, abs=2e-5)


@given(RETURNS, st.lists(MOVES, min_size=1, max_size=9))
def test_what_is_forecast_as_a_baseline_does_has_no_skill_against_it(returns, moves):
    [forecast] = forecasts.of(
        BTC, NOON, REFERENCE, {1: returns}, model_version="m", baseline=True, baselines={"ewma": {1: returns}}
    )
    added = sums(Scored(forecast, scores.outcome(forecast, REFERENCE * math.exp(move))) for move in moves)["m"]

    assert added.duels["ewma"].own == added.duels["ewma"].baseline == added.loss
    assert added.duels["ewma"].skill in (0, None)


@given(scored(), st.lists(st.integers(0, 12)))
def test_settling_again_changes_nothing_and_a_bar_that_changed_only_its_own_forecast(whole, minutes):
    bars = [bar(minute, 60_000.5) for minute in minutes]
    once = scores.settled(whole, bars)
    changed = scores.settled(once, [bar(minute, 59_999.5) for minute in minutes[:1]])

    assert scores.settled(once, bars) == once
    ends = {each.end for each in bars[:1]}
    assert [now for then, now in zip(once, changed, strict=True) if now != then] == [
        now for now in changed if now.forecast.target_time in ends
    ]
    assert merge(sums(changed).values()).forecasts == merge(sums(once).values()).forecasts


def test_the_outcome_says_what_was_covered_and_which_side_was_right():
    returns = [(level - 0.45) / 100 for level in LEVELS]  # the median lies half a hundredth above
    [forecast] = forecasts.of(BTC, NOON, REFERENCE, {1: returns}, model_version="m", baseline=False)
    at = dict(zip(LEVELS, forecast.quantiles, strict=True))

    def of(price: float) -> tuple[int, bool, bool, bool | None]:
        outcome: Outcome = scores.outcome(forecast, price)
        return outcome.below, outcome.covered, outcome.covered_50, outcome.direction

    assert of(at[0.05]) == (0, True, False, False)
    assert of(at[0.05] - 1) == (0, False, False, False)
    assert of(at[0.25]) == (4, True, True, False)
    assert of(at[0.75]) == (14, True, True, True)
    assert of(at[0.75] + 1) == (15, True, False, True)
    assert of(at[0.95] + 1) == (19, False, False, True)
    assert of(REFERENCE) == (8, True, True, None)


@pytest.mark.parametrize(
    ("changes", "price"),
    [
        ({}, 61_000.0),
        ({"ranges": (), "prior_id": 6, "next_id": 7}, 61_000.0),  # proven empty: the price stood
        ({"closed": False}, None),
        ({"next_id": None}, None),
        ({"next_id": 9}, None),  # a trade of this minute is missing
        ({"ranges": (), "prior_id": None, "next_id": None, "source": Source.KLINES}, 61_000.0),
    ],
)
def test_a_price_counts_once_the_minute_is_proven_or_the_venue_says_it(changes, price):
    assert scores.realised(bar(7, 61_000.0, **changes)) == price


def test_each_hour_that_is_kept_comes_round_within_a_day_and_the_last_ones_each_hour():
    last = scores.due(NOON + 5 * MINUTE, NOON + MINUTE, 24, 60)
    seen: set[int] = set()
    for hour in range(24):
        now = NOON + hour * HOUR + MINUTE
        found = scores.due(now, now - 5 * MINUTE, 24, 60)
        assert {NOON + (hour - back) * HOUR for back in range(25)} <= set(found)
        seen |= set(found)

    assert last == [NOON - HOUR, NOON]
    assert seen >= set(range(NOON - 57 * DAY, NOON + 23 * HOUR + 1, HOUR))
    assert min(seen) >= NOON - 60 * DAY, "what expires is left alone"


def test_a_mark_tells_of_the_prices_that_outcomes_are_of_and_of_nothing_else():
    bar = Bar(BTC, NOON, *[10_002_000_000_000] * 4, trade_count=3, closed=True, source=Source.KLINES)
    later = replace(bar, start=NOON + MINUTE)

    assert scores.mark([bar, later]) == scores.mark([replace(later, high=bar.high + 1), bar])
    assert scores.mark([bar, replace(later, closed=False)]) == scores.mark([bar])
    assert len({scores.mark(each) for each in ([], [bar], [bar, later], [replace(bar, close=1)])}) == 4


def test_a_window_begins_at_midnight_so_many_days_ago():
    assert scores.since(NOON, 7) == NOON - HOUR * 12 - 7 * DAY
