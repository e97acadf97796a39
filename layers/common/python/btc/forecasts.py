"""A forecast: the distribution of the price at one time to come, as quantiles."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any, Final

from btc.times import MINUTE, iso
from btc.trades import Market

LEVELS: Final[tuple[float, ...]] = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Probabilities whose quantiles make a forecast: 0.05, 0.10 … 0.95."""
MEDIAN: Final = LEVELS.index(0.5)
HORIZONS: Final = (1, 5, 15, 60)
"""Minutes ahead that forecasts look."""


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

    def to_dict(self) -> dict[str, Any]:
        """The forecast as JSON tells it: times in ISO 8601, quantiles by level."""
        return {
            "market": str(self.market),
            "symbol": self.market.symbol,
            "as_of": iso(self.as_of),
            "horizon": self.horizon,
            "target_time": iso(self.target_time),
            "reference_price": self.reference_price,
            "predicted_price": self.predicted_price,
            "quantiles": {f"{level:.2f}": price for level, price in zip(LEVELS, self.quantiles, strict=True)},
            "probability_up": self.probability_up,
            "model_version": self.model_version,
            "baseline": self.baseline,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the future said of a forecast."""

    realised_price: float
    """The last price at the target time."""
    pinball_loss: float
    """The mean over LEVELS, in dollars."""
    covered: bool
    """Whether the realised price lies between the outermost quantiles."""
    baseline_pinball_loss: float | None = None
    """The baseline's for the same target; None where that was not made."""


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
) -> list[Forecast]:
    """One forecast a horizon from the log return's quantiles (levels,) by horizon in minutes; crossings are sorted."""
    forecasts = []
    for horizon, values in sorted(quantiles.items()):
        returns = sorted(float(value) for value in values)
        prices = tuple(_rounded(reference_price * exp(value)) for value in returns)
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


def _rounded(price: float) -> float:
    """Ten significant digits: no venue quotes more, and JSON stays short."""
    return float(f"{price:.10g}")
