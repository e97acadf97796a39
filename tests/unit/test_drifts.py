"""When a model counts as drifted: out of bounds, on enough forecasts, by more than chance."""

import numpy as np
import pytest

from btc import drifts
from btc.drifts import BLOCK, Bounds
from btc.scores import Duel, Sums
from btc.times import HOUR

BOUNDS = Bounds(least_forecasts=1000, coverage_low=0.85, coverage_high=0.95, skill_low=0.0)


def week(coverage: float = 0.9, skill: float = 0.02, noise: float = 0.0, hours: int = 168) -> dict[int, Sums]:
    """Sixty forecasts an hour that come to this, each block of hours with a luck of its own."""
    luck = np.random.default_rng(5).normal(scale=noise, size=(hours, 2)) if noise else np.zeros((hours, 2))
    luck = np.repeat(luck[:: BLOCK // HOUR], BLOCK // HOUR, axis=0)[:hours]
    return {
        row * HOUR: Sums(
            forecasts=60,
            covered=int(np.clip(round(60 * (coverage + luck[row, 0])), 0, 60)),
            duels={
                "har": Duel(60, round(1e6 * (1 - skill + luck[row, 1])), 1_000_000),
                "naive": Duel(60, 1_000_000, 2_000_000),
            },
        )
        for row in range(hours)
    }


def test_the_hardest_baseline_is_the_one_that_counts():
    live = drifts.live(week(skill=0.02))

    assert live.skill == pytest.approx(0.02)
    assert live.coverage == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("coverage", "skill", "causes"),
    [
        (0.9, 0.02, []),
        (0.7, 0.02, ["coverage"]),
        (1.0, 0.02, ["coverage"]),
        (0.9, -0.05, ["skill"]),
        (0.5, -0.05, ["coverage", "skill"]),
    ],
)
def test_what_is_out_of_bounds_is_named(coverage, skill, causes):
    assert drifts.live(week(coverage, skill)).out_of(BOUNDS) == causes
    assert drifts.drifted({5: drifts.live(week(coverage, skill))}, BOUNDS) == {cause: [5] for cause in causes}


def test_what_chance_explains_is_no_drift():
    lucky, unlucky = drifts.live(week(skill=-0.01, noise=0.001)), drifts.live(week(skill=-0.01, noise=0.2))

    assert lucky.out_of(BOUNDS) == ["skill"]
    assert unlucky.out_of(BOUNDS) == []


def test_too_few_forecasts_or_blocks_of_them_say_nothing():
    few = BOUNDS._replace(least_forecasts=1801)

    assert drifts.live(week(coverage=0.1, hours=30)).out_of(few) == []
    assert drifts.live(week(coverage=0.1, hours=31)).out_of(few) == ["coverage"]
    assert drifts.live(week(coverage=0.1, hours=23)).out_of(BOUNDS) == [], "three blocks and a stub"
    assert drifts.live(week(coverage=0.1, hours=24)).out_of(BOUNDS) == ["coverage"]
    assert drifts.live({}) is None


@pytest.mark.parametrize("sizes", [[6] * 4, [1, 6, 6, 6, 6, 1], [3, 6, 6, 6, 6, 3], [6] * 8, [6] * 28])
def test_a_sound_model_is_suspected_no_more_often_than_said_however_few_the_blocks(sizes):
    """It is at its very bound, and blocks differ by chance."""
    suspected = 0
    for seed in range(2_000):
        luck = np.random.default_rng(seed).normal(scale=0.07, size=len(sizes))
        parts = {}
        for row, size in enumerate(sizes):
            duel = Duel(60 * size, round(1e6 * size * (1 + luck[row])), size * 10**6)
            parts[row * BLOCK] = Sums(forecasts=60 * size, covered=54 * size, duels={"har": duel})
        suspected += "skill" in drifts.live(parts).out_of(BOUNDS)

    assert suspected / 2_000 == pytest.approx(0.05, abs=0.015)


def test_without_a_baseline_beside_it_a_model_has_no_skill_to_lose():
    live = drifts.live({0: Sums(forecasts=2000, covered=1800)})

    assert live.skill is None
    assert live.out_of(BOUNDS) == []


def test_the_error_is_the_spread_of_weeks_like_it():
    weeks = []
    for seed in range(300):
        luck = np.random.default_rng(seed).normal(scale=0.1, size=28)
        blocks = {
            row * BLOCK: Sums(forecasts=1, covered=1, duels={"har": Duel(1, round(1e6 * (0.98 + luck[row])), 10**6)})
            for row in range(28)
        }
        weeks.append(drifts.live(blocks))

    spread = np.std([week.skill for week in weeks])
    assert np.mean([week.skill_error for week in weeks]) == pytest.approx(spread, rel=0.1)


def test_a_baseline_that_one_block_alone_knows_tells_nothing_of_skill():
    rival = Duel(360, 1_001_000, 1_000_000)
    parts = {
        row * BLOCK: Sums(forecasts=360, covered=324, duels={"har": rival} if row == 20 else {}) for row in range(28)
    }

    assert drifts.live(parts).skill == pytest.approx(-0.001)
    assert drifts.live(parts).out_of(BOUNDS) == []
