"""What predicts one horizon: two heads of trees, a share of networks, and how they are joined.

One head predicts how far the price goes, the other the quantiles of the return in units of that. Neither starts from
nothing: trees and the networks move the first away from a line, the second away from a shape, and what they say of a
market and of its mirror image is averaged.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from btc import features
from btc.baselines import HAR_WINDOWS
from btc.forecasts import LEVELS
from btc.minutes import Floats
from btc.mirrors import mirrored
from btc.nets import Net, mean_outputs
from btc.paths import LARGEST_RETURN, SOFT

_NO_HAR: Final = np.zeros(0)
_LEAST: Final = 0.1
"""Of the scale: a HAR is straight, and far from what it has learnt it may fall below zero."""
_LEVEL: Final = features.NAMES.index("scale_level")
_LAST: Final = features.NAMES.index("return_1")
_VOLATILITIES: Final = [features.NAMES.index(f"volatility_{minutes}") for minutes in HAR_WINDOWS[1:]]


class Line(NamedTuple):
    """A prediction (n,) from features (n, features): linear, from the logarithm of a HAR on, where there is one."""

    level: float
    centre: Floats
    width: Floats
    weights: Floats
    """Of the feature's distance from its centre, in widths."""
    har: Floats = _NO_HAR
    """Weights (1 + windows,) of a HAR; see `btc.baselines.Har`."""

    def inputs(self, rows: npt.NDArray[Any]) -> Floats:
        """The distances (n, features) the weights are for: none where a feature is unknown, and three widths at the
        most, for beyond them nothing was learnt.
        """
        return np.asarray(np.nan_to_num(np.clip((rows - self.centre) / self.width, -3, 3)))

    def at(self, rows: npt.NDArray[Any]) -> Floats:
        # Row by row, so that a row alone comes out bit for bit as it does among others.
        told = self.level + (self.inputs(rows) * self.weights).sum(axis=1)
        return np.asarray(told + self.expected(rows) if len(self.har) else told)

    def expected(self, rows: npt.NDArray[Any]) -> Floats:
        """The logarithm (n,) of the volatility that the HAR expects, in units of the scale, as features tell it."""
        variances = np.exp(2 * rows[:, _VOLATILITIES].astype(np.float64)) - SOFT
        inputs = np.empty((len(rows), len(self.har)))
        inputs[:, 0] = np.exp(-rows[:, _LEVEL].astype(np.float64))
        inputs[:, 1] = np.minimum(np.abs(rows[:, _LAST]), LARGEST_RETURN * inputs[:, 0])
        inputs[:, 2:] = np.sqrt(np.maximum(variances, 0))
        return np.asarray(np.log(np.maximum((inputs * self.har).sum(axis=1), _LEAST)))

    def to_dict(self) -> dict[str, Any]:
        return {"level": self.level, **{name: getattr(self, name).tolist() for name in self._fields[1:]}}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        return cls(float(told["level"]), *(np.array(told[name], dtype=np.float64) for name in cls._fields[1:]))


FLAT: Final = Line(0.0, np.zeros(len(features.NAMES)), np.ones(len(features.NAMES)), np.zeros(len(features.NAMES)))
POINT: Final = np.zeros(len(LEVELS))
APART: Final = np.eye(len(LEVELS))
"""Modes of a booster that gives each level's quantile by itself."""


class Heads(NamedTuple):
    """The boosters of one horizon, and what they were grown on."""

    spread: xgb.Booster
    """What to add to `line`."""
    quantiles: xgb.Booster
    """How much of the first modes to add to `shape`."""
    line: Line = FLAT
    """The logarithm of the scaled return's size."""
    shape: Floats = POINT
    """Quantiles (levels,) of the scaled return over the exponential of `line` and `spread` together."""
    modes: Floats = APART
    """Ways in which the quantiles move together (modes, levels)."""
    nets: tuple[Net, ...] = ()
    """What they would add to the line, and how much of each mode to the shape (1 + modes outputs), in the mean."""
    weight: float = 0.0
    """The networks' share of what is added; the trees have the rest."""


def predicted(heads: Heads, rows: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Quantiles (n, levels) in units of the size of the scaled return that is expected, and that size (n, 1).

    Not calibrated, possibly crossing; the mean of what is seen in the market and in its mirror image.
    """
    quantiles, size = seen(heads, np.concatenate([rows, mirrored(rows)]))
    (here, there), (near, far) = np.split(quantiles, 2), np.split(size, 2)
    return (here - there[:, ::-1]) / 2, np.exp((near + far) / 2)


def seen(heads: Heads, rows: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Quantiles (n, levels) and the logarithm of the size (n, 1) as `predicted` of one view alone."""
    added, amounts = raw(heads.spread, rows), np.zeros((len(rows), len(heads.modes)))
    coarse = raw(heads.quantiles, rows)
    amounts[:, : coarse.shape[1]] = coarse
    if heads.nets:
        outputs = mean_outputs(heads.nets, rows)
        added = (1 - heads.weight) * added + heads.weight * outputs[:, :1]
        amounts = (1 - heads.weight) * amounts + heads.weight * outputs[:, 1:]
    quantiles = np.broadcast_to(heads.shape, (len(rows), len(LEVELS)))
    # One mode after the other, so that a row alone comes out bit for bit as it does among others.
    for amount, mode in zip(amounts.T, heads.modes, strict=True):
        quantiles = quantiles + amount[:, None] * mode
    return np.asarray(quantiles), heads.line.at(rows)[:, None] + added


def raw(booster: xgb.Booster, rows: npt.NDArray[np.float32]) -> Floats:
    """A booster's predictions (n, outputs)."""
    return np.asarray(booster.inplace_predict(rows), dtype=np.float64).reshape(len(rows), -1)
