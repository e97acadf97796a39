"""Whether a model that serves still does what it was promoted for, by more than chance."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Final, NamedTuple

from btc.scores import Duel, Sums, merge
from btc.times import HOUR

DAYS: Final = 7
"""The window (whole UTC days and the current one) that a model is judged over."""
BLOCK: Final = 6 * HOUR
"""What is taken as one observation where errors are estimated: neighbouring forecasts share their future."""

CAUSES: Final = ("coverage", "skill")
"""What a model may have lost."""

_FEWEST: Final = 4
"""Whole blocks, a day of them, that tell how much blocks differ."""
_SURE: Final = 1.6449
"""Standard errors beyond which what is out of bounds is so with 95 %, were they known."""


class Bounds(NamedTuple):
    """What live scores may be before a model counts as drifted."""

    least_forecasts: int
    coverage_low: float
    coverage_high: float
    skill_low: float


class Live(NamedTuple):
    """A model's recent scores with their standard errors, from the spread between blocks of time."""

    forecasts: int
    coverage: float
    coverage_error: float
    skill: float | None
    """Against the best baseline; None where none was forecast beside."""
    skill_error: float
    coverage_blocks: float
    """How many whole blocks tell of it."""
    skill_blocks: float

    def out_of(self, bounds: Bounds) -> list[str]:
        """Which of CAUSES are out of bounds by more than chance (95 %, one-sided)."""
        if self.forecasts < bounds.least_forecasts:
            return []
        slack = _sure(self.coverage_blocks) * self.coverage_error
        uncovered = self.coverage + slack < bounds.coverage_low or self.coverage - slack > bounds.coverage_high
        unskilled = (
            self.skill is not None and self.skill + _sure(self.skill_blocks) * self.skill_error < bounds.skill_low
        )
        told = zip(CAUSES, (uncovered, unskilled), (self.coverage_blocks, self.skill_blocks), strict=True)
        return [cause for cause, is_out, blocks in told if is_out and blocks >= _FEWEST]


def live(hours: Mapping[int, Sums]) -> Live | None:
    """The scores of these hours (by their start in µs) together; None without a single forecast."""
    whole = merge(hours.values())
    if not whole.forecasts:
        return None
    by_block: dict[int, list[Sums]] = {}
    for hour, part in hours.items():
        by_block.setdefault(hour // BLOCK, []).append(part)
    blocks = [merge(parts) for parts in by_block.values()]
    coverage = whole.covered / whole.forecasts
    strays = [block.covered - coverage * block.forecasts for block in blocks]
    coverage_error, coverage_blocks = _error(strays, [block.forecasts for block in blocks])
    skill_error, skill_blocks = 0.0, 0.0
    rival = whole.duels.get(whole.best_baseline or "", Duel())
    if (skill := rival.skill) is not None:
        duels = [block.duels.get(whole.best_baseline or "", Duel()) for block in blocks]
        strays = [(1 - skill) * duel.baseline - duel.own for duel in duels]
        skill_error, skill_blocks = _error(strays, [duel.baseline for duel in duels])
    return Live(whole.forecasts, coverage, coverage_error, skill, skill_error, coverage_blocks, skill_blocks)


def drifted(by_horizon: Mapping[int, Live], bounds: Bounds) -> dict[str, list[int]]:
    """The horizons at which a model is out of bounds, by cause."""
    found: dict[str, list[int]] = {}
    for horizon, each in by_horizon.items():
        for cause in each.out_of(bounds):
            found.setdefault(cause, []).append(horizon)
    return found


def _error(strays: Sequence[float], weights: Sequence[float]) -> tuple[float, float]:
    """Of a ratio of sums over blocks, by linearisation (Cochran 1977, 6.4): blocks differ in length and in volatility;
    with the number of whole blocks that tell as much as these.

    `strays` is by how much each block's numerator exceeds what the ratio and its denominator, its weight, say.
    """
    whole, squares = sum(weights), sum(weight**2 for weight in weights)
    blocks = whole**2 / squares  # Kish (1965), 11.7
    guessed = sqrt(blocks / max(blocks - 1, 1e-9))  # blocks stray less from the mean that they make
    return guessed * sqrt(sum(stray**2 for stray in strays)) / whole, blocks


def _sure(blocks: float) -> float:
    """As _SURE, of errors that are guessed from so many blocks: the 95 % point of Student's t, by the expansion of
    Abramowitz and Stegun (1964), 26.7.5.
    """
    z, free = _SURE, max(blocks - 1, 1.0)
    terms = (z, (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return float(sum(term / free**power for power, term in enumerate(terms)))
