"""A forecast: the distribution of the price at one time to come, as quantiles."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import exp
from types import MappingProxyType
from typing import Final

from btc.times import MINUTE
from btc.trades import Market

LEVELS: Final[tuple[float, ...]] = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Probabilities whose quantiles make a forecast: 0.05, 0.10 … 0.95."""
MEDIAN: Final = LEVELS.index(0.5)
HORIZONS: Final = (1, 5, 15, 60)
"""Minutes ahead that forecasts look."""


class Reason(StrEnum):
    """Why the baseline is served instead of a model."""

    NO_CHAMPION = "no model has been promoted"
    EXPIRED = "the champion is too old"
    UNREADABLE = "the champion cannot be read by this version"
    INCOMPLETE = "too many minutes of the look-back are unproven or absent"


@dataclass(frozen=True, slots=True)
class Forecast:
    """Prices in whole dollars, times in µs UTC, `horizon` in minutes."""

    market: Market
    as_of: int
    """The close of the last bar used: nothing later was seen."""
    horizon: int
    target_time: int
    reference_price: float
    """The last price at `as_of`."""
    predicted_price: float
    """The median."""
    quantiles: tuple[float, ...]
    """The price at each of LEVELS, never falling."""
    probability_up: float
    """That the price at `target_time` is above the reference price."""
    model_version: str
    baseline: bool
    """No promoted model could be used: this is the calibrated baseline."""
    baseline_reason: str | None = None
    """Why it is the baseline's: a Reason, or one that a later version gave; None where it is a model's."""
    baselines: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """What each baseline says of the same price, as `quantiles`, by name: known at `as_of` as the forecast was."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the future said of a forecast; losses in basis points of the price, the mean over LEVELS."""

    realised_price: float
    """The last price at the target time."""
    pinball_loss: float
    below: int
    """How many of the quantiles the realised price lies above."""
    covered: bool
    """Whether it lies within the 90 % interval, edges included."""
    covered_50: bool
    direction: bool | None
    """Whether the median lay on its side of the reference price; None where one of them did not move."""
    baseline_losses: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Scored:
    """A forecast with its outcome, once that is known."""

    forecast: Forecast
    outcome: Outcome | None = None


def of(  # noqa: PLR0913 - what a forecast is made of
    market: Market,
    as_of: int,
    reference_price: float,
    quantiles: Mapping[int, Iterable[float]],
    *,
    model_version: str,
    baseline: bool,
    baseline_reason: Reason | None = None,
    baselines: Mapping[str, Mapping[int, Iterable[float]]] = MappingProxyType({}),
) -> list[Forecast]:
    """One forecast a horizon from the log return's quantiles (levels,) by horizon in minutes; crossings are sorted.

    `baselines` are such quantiles by the baseline's name.
    """
    forecasts = []
    for horizon, values in sorted(quantiles.items()):
        returns = sorted(float(value) for value in values)
        prices = _prices(reference_price, returns)
        forecasts.append(
            Forecast(
                market=market,
                as_of=as_of,
                horizon=horizon,
                target_time=as_of + horizon * MINUTE,
                reference_price=reference_price,
                predicted_price=prices[MEDIAN],
                quantiles=prices,
                probability_up=round(probability_above_zero(returns), 4),
                model_version=model_version,
                baseline=baseline,
                baseline_reason=baseline_reason,
                baselines={name: _prices(reference_price, rival[horizon]) for name, rival in baselines.items()},
            )
        )
    return forecasts


def probability_above_zero(returns: Sequence[float]) -> float:
    """The share of the distribution above 0 of ascending quantiles (levels,), linear between the levels.

    Beyond the outermost quantiles the line through the outer two goes on, between 0.5 % and 99.5 %.
    """
    ties = [level for level, value in zip(LEVELS, returns, strict=True) if value == 0]
    if ties:
        # Where quantiles coincide at 0, half of their mass counts as above.
        return 1 - (ties[0] + ties[-1]) / 2
    right = min(max(bisect_left(returns, 0.0), 1), len(returns) - 1)
    (low, low_level), (high, high_level) = (
        (returns[right - 1], LEVELS[right - 1]),
        (returns[right], LEVELS[right]),
    )
    if high == low:
        return 0.995 if low > 0 else 0.005
    below = low_level - low * (high_level - low_level) / (high - low)
    return 1 - min(max(below, 0.005), 0.995)


def _prices(reference_price: float, returns: Iterable[float]) -> tuple[float, ...]:
    return tuple(sorted(_rounded(reference_price * exp(value)) for value in returns))


def _rounded(price: float) -> float:
    """Ten significant digits: no venue quotes more, and JSON stays short."""
    return float(f"{price:.10g}")
