"""How the heads of a horizon grow: each booster on the exact gradient of what it is judged by.

The spread head maximises the likelihood of a Laplace distribution, which hears what every return says of its size. The
quantile head minimises the pinball loss over all levels at once, in a few modes: ways in which the quantiles move
together (up, apart, askew, at the tails), which tell almost all that trees find and cost a third of single levels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from btc.forecasts import LEVELS
from btc.minutes import Floats
from training.losses import pinball

Singles = npt.NDArray[np.float32]

MODES: Final = 4
FOREST: Final = 4
"""Trees grown in each round, on rows and features of their own: their mean varies less than one tree."""
MAX_BIN: Final = 64
MAX_ROUNDS: Final = 250
PATIENCE: Final = 10
"""Rounds without a better validation loss after which a booster stops growing."""

_LEVELS: Final = np.array(LEVELS, dtype=np.float32)
_ROWS_AT_ONCE: Final = 1 << 16
_STEEPEST: Final = 4.0
"""The natural logarithm of the most a spread may be away from 1."""


@dataclass(frozen=True, eq=False)
class Laplace:
    """Objective of the logarithm of sizes (n,): log spread + size / spread; NaN weighs nothing."""

    sizes: Floats

    def __call__(self, predicted: Any, _: xgb.DMatrix) -> tuple[Singles, Singles]:
        known = np.isfinite(self.sizes)
        slope = np.where(known, 1 - self.sizes * np.exp(-np.clip(predicted, -_STEEPEST, _STEEPEST)), 0.0)
        return slope.astype(np.float32), known.astype(np.float32)

    def losses(self, predicted: Any) -> Floats:
        return np.asarray(predicted + self.sizes * np.exp(-np.clip(predicted, -_STEEPEST, _STEEPEST)))


@dataclass(frozen=True, eq=False)
class Pinball:
    """Objective of the amounts of `modes` (modes, levels) to add to `shape` (levels,); NaN weighs nothing."""

    truth: Floats
    """Returns (n,) in units of their spread."""
    shape: Floats
    modes: Floats

    def __call__(self, predicted: Any, _: xgb.DMatrix) -> tuple[Singles, Singles]:
        """Newton steps: the modes are orthonormal under the density, so that each curvature is 1."""
        truth, modes, slopes = self.truth.astype(np.float32), self.modes.astype(np.float32), []
        amounts = predicted.reshape(len(truth), len(modes))
        for first in range(0, len(truth), _ROWS_AT_ONCE):
            part = slice(first, first + _ROWS_AT_ONCE)
            quantiles = amounts[part] @ modes + self.shape.astype(np.float32)
            slopes.append(((truth[part, None] < quantiles) - _LEVELS) @ modes.T)
        slope = np.concatenate(slopes)
        slope[~np.isfinite(truth)] = 0.0
        weight = np.broadcast_to(np.isfinite(truth).astype(np.float32)[:, None], slope.shape)
        return slope, np.ascontiguousarray(weight)

    def losses(self, predicted: Any) -> Floats:
        amounts = np.asarray(predicted).reshape(len(self.truth), len(self.modes))
        return pinball(self.truth, np.sort(self.shape + amounts @ self.modes, axis=1))


def modes(shape: Floats) -> Floats:
    """Ways (MODES, levels) in which quantiles around `shape` move together, orthonormal under the density there.

    They span a shift, the width, the skew and what is left between the middle and the tails.
    """
    levels = np.array(LEVELS)
    shape = (shape - shape[::-1]) / 2  # the ways are the same for rises and falls; what differs is learnt
    distance = np.maximum(np.gradient(shape, levels), 1e-3 * (shape[-1] - shape[0]) + 1e-9)
    density = 1 / distance
    density = np.minimum(density, 2.5 * np.median(density))
    ways = np.stack([np.ones_like(shape), shape, np.abs(shape), levels - 0.5])
    rotated, _ = np.linalg.qr((ways * np.sqrt(density)).T)
    return np.asarray((rotated / np.sqrt(density)[:, None]).T)


def grow(  # noqa: PLR0913 - what growing takes
    params: dict[str, Any],
    matrix: xgb.QuantileDMatrix,
    objective: Laplace | Pinball,
    *,
    start: Floats | None = None,
    rounds: int = MAX_ROUNDS,
    validation: tuple[xgb.QuantileDMatrix, Laplace | Pinball, Floats | None] | None = None,
) -> xgb.Booster:
    """A booster of so many rounds, or until the mean loss on the validation rows stops falling.

    `start` (n,) is what is predicted before any tree; the validation is its matrix, its objective and its start.
    """
    outputs = len(objective.modes) if isinstance(objective, Pinball) else 1
    told = {**params, "base_score": [0.0] * outputs if outputs > 1 else 0.0, "disable_default_eval_metric": 1}
    if outputs > 1:
        told |= {"num_target": outputs, "multi_strategy": "multi_output_tree"}
    _begin(matrix, outputs, start)
    if validation is None:
        return xgb.train(told, matrix, rounds, obj=objective)
    beside, judge, first = validation
    _begin(beside, outputs, first)

    def loss(predicted: Any, _: xgb.DMatrix) -> tuple[str, float]:
        return "loss", float(np.nanmean(judge.losses(predicted)))

    return xgb.train(
        told,
        matrix,
        rounds,
        obj=objective,
        custom_metric=loss,
        evals=[(beside, "validate")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )


def quantised(rows: Any, threads: int, like: xgb.QuantileDMatrix | None = None) -> xgb.QuantileDMatrix:
    """Rows (n, features) in bins; `like` lends its cuts."""
    return xgb.QuantileDMatrix(rows, max_bin=MAX_BIN, nthread=threads, ref=like)


def booster_params(params: Mapping[str, float], rows: int, seed: int, threads: int) -> dict[str, Any]:
    """XGBoost's parameters; a leaf's least weight is a share of the rows, whatever their number."""
    known = {name: value for name, value in params.items() if name != "min_child_share"}
    return {
        "tree_method": "hist",
        "max_bin": MAX_BIN,
        "num_parallel_tree": FOREST,
        "min_child_weight": max(1.0, params["min_child_share"] * rows),
        "seed": seed,
        "nthread": threads,
        **known,
    }


def _begin(matrix: xgb.QuantileDMatrix, outputs: int, start: Floats | None) -> None:
    """Objectives hold the truth themselves: the matrix is told the number of outputs and where they begin."""
    rows = matrix.num_row()
    margin = np.zeros((rows, outputs)) if start is None else start
    matrix.set_info(label=np.zeros((rows, outputs) if outputs > 1 else rows), base_margin=margin)
