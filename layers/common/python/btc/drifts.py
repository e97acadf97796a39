"""Whether a model that serves still does what it was promoted for, by more than chance."""

from collections.abc import Iterable, Mapping
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
"""Blocks, a day of them, that tell how much blocks differ."""
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
    blocks: int

    def out_of(self, bounds: Bounds) -> list[str]:
        """Which of CAUSES are out of bounds by more than chance (95 %, one-sided)."""
        if self.forecasts < bounds.least_forecasts or self.blocks < _FEWEST:
            return []
        sure = _sure(self.blocks)
        slack = sure * self.coverage_error
        covers = self.coverage + slack >= bounds.coverage_low and self.coverage - slack <= bounds.coverage_high
        skilled = self.skill is None or self.skill + sure * self.skill_error >= bounds.skill_low
        return [cause for cause, fine in zip(CAUSES, (covers, skilled), strict=True) if not fine]


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
    guessed = sqrt(len(blocks) / max(1, len(blocks) - 1))  # of the blocks' own mean, from which they stray less
    duels = [block.duels.get(whole.best_baseline or "", Duel()) for block in blocks]
    rival = whole.duels.get(whole.best_baseline or "", Duel())
    skill = rival.skill
    return Live(
        forecasts=whole.forecasts,
        coverage=coverage,
        coverage_error=guessed
        * _norm(block.covered - coverage * block.forecasts for block in blocks)
        / whole.forecasts,
        skill=skill,
        # The error of a ratio by linearisation (Cochran 1977, 6.4): blocks differ in length and in volatility.
        skill_error=0.0
        if skill is None
        else guessed * _norm((1 - skill) * duel.baseline - duel.own for duel in duels) / rival.baseline,
        blocks=len(blocks),
    )


def drifted(by_horizon: Mapping[int, Live], bounds: Bounds) -> dict[str, list[int]]:
    """The horizons at which a model is out of bounds, by cause."""
    found: dict[str, list[int]] = {}
    for horizon, each in by_horizon.items():
        for cause in each.out_of(bounds):
            found.setdefault(cause, []).append(horizon)
    return found


def _sure(blocks: int) -> float:
    """As _SURE, of errors that are guessed from so many blocks: the 95 % point of Student's t, by the expansion of
    Abramowitz and Stegun (1964), 26.7.5.
    """
    z, free = _SURE, blocks - 1
    terms = (z, (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return float(sum(term / free**power for power, term in enumerate(terms)))


def _norm(values: Iterable[float]) -> float:
    return sqrt(sum(value**2 for value in values))
