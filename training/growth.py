"""How the heads of a horizon grow: each booster on the exact gradient of what it is judged by.

The spread head maximises the likelihood of a Laplace distribution, which hears what every return says of its size. The
quantile head minimises the pinball loss over all levels at once, in a few modes: ways in which the quantiles move
together (up, apart, askew, at the tails), which tell almost all that trees find and cost a third of single levels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from btc.forecasts import LEVELS
from btc.minutes import Floats
from training.losses import pinball

Singles = npt.NDArray[np.float32]
Truths = npt.NDArray[np.bool_]

MODES: Final = 4
"""Ways to move in that trees learn: each costs a tree as much as the first."""
FINE: Final = 7
"""Those that networks learn, to whom a few outputs more cost nothing."""
MAX_BIN: Final = 64
SHARD: Final = 135_000
"""Rows a tree learns from, about: with more the trees take turns, for a tree's time grows with its rows."""
MAX_ROUNDS: Final = 900
ETA: Final = 0.03
"""The step of a tree where there is time: with a larger one fewer rounds come as far, and overshoot more."""
PATIENCE: Final = 40
"""Rounds of ETA without a better validation loss after which a booster stops growing."""

_LEVELS: Final = np.array(LEVELS, dtype=np.float32)
_ROWS_AT_ONCE: Final = 1 << 11
"""Few enough for the cache, and for one thread: the others have trees of their own to grow."""
_JUDGED: Final = 8
"""Rounds of ETA between two looks at the validation rows."""
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

    def part(self, rows: slice) -> Self:
        """Of some of the rows."""
        return replace(self, sizes=self.sizes[rows])

    def losses(self, predicted: Any) -> Floats:
        """The loss (n,) of each row."""
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
        truth, modes, shape = (part.astype(np.float32) for part in (self.truth, self.modes, self.shape))
        amounts = predicted.reshape(len(truth), len(modes))
        slope = np.empty_like(amounts, dtype=np.float32)
        for first in range(0, len(truth), _ROWS_AT_ONCE):
            part = slice(first, first + _ROWS_AT_ONCE)
            quantiles = amounts[part] @ modes + shape
            slope[part] = (truth[part, None] < quantiles).astype(np.float32) @ modes.T
        slope -= modes @ _LEVELS
        slope[~np.isfinite(truth)] = 0.0
        weight = np.broadcast_to(np.isfinite(truth).astype(np.float32)[:, None], slope.shape)
        return slope, np.ascontiguousarray(weight)

    def part(self, rows: slice) -> Self:
        """Of some of the rows."""
        return replace(self, truth=self.truth[rows])

    def losses(self, predicted: Any) -> Floats:
        """The loss (n,) of each row."""
        amounts, found = np.asarray(predicted).reshape(len(self.truth), len(self.modes)), []
        for first in range(0, len(amounts), _ROWS_AT_ONCE):
            part = slice(first, first + _ROWS_AT_ONCE)
            found.append(pinball(self.truth[part], np.sort(self.shape + amounts[part] @ self.modes, axis=1)))
        return np.concatenate(found)


def modes(shape: Floats, count: int = MODES) -> Floats:
    """Ways (count, levels) in which quantiles around `shape` move together, orthonormal under the density there.

    The first four span a shift, the width, the skew and what is left between the middle and the tails; the others the
    middle itself, into which a market that often stands still gathers.
    """
    levels = np.array(LEVELS)
    shape = (shape - shape[::-1]) / 2  # the ways are the same for rises and falls; what differs is learnt
    distance = np.maximum(np.gradient(shape, levels), 1e-3 * (shape[-1] - shape[0]) + 1e-9)
    density = 1 / distance
    density = np.minimum(density, 2.5 * np.median(density))
    away = levels - 0.5
    middle = np.exp(-((away / 0.15) ** 2))
    beside = np.sign(away.round(9)) * np.exp(-np.abs(away) / 0.1)
    ways = np.stack([np.ones_like(shape), shape, np.abs(shape), away, away * middle, middle, beside])[:count]
    rotated, _ = np.linalg.qr((ways * np.sqrt(density)).T)
    return np.asarray((rotated / np.sqrt(density)[:, None]).T)


class Shards:
    """Quantised rows, every so manieth in one shard: trees learn from one shard after the other.

    What a booster begins with is written into the matrices; where it stands there already it is left alone, so that
    several boosters may grow on them at a time.
    """

    def __init__(self, matrices: Sequence[xgb.QuantileDMatrix], absent: Truths | None = None) -> None:
        self.matrices = tuple(matrices)
        self.absent = absent
        self._outputs = 0
        self._beginning = Lock()

    @classmethod
    def of(
        cls,
        take: Callable[[slice], Singles],
        rows: int,
        threads: int,
        like: Self | None = None,
        *,
        shard: int | None = None,
    ) -> Self:
        """So many rows in shards of about `shard` or SHARD; `take` gives the features (n, features) of some.

        `like` lends its cuts, and with them which features are taken for absent.
        """
        count, made = max(1, round(rows / (shard or SHARD))), list[xgb.QuantileDMatrix]()
        cuts, absent = (None, None) if like is None else (like.matrices[0], like.absent)
        for number in range(count):
            taken = take(slice(number, None, count))
            absent = unknown(taken) if absent is None else absent
            made.append(quantised(taken, threads, cuts, absent))
            cuts = made[0] if cuts is None else cuts
        return cls(made, absent)

    @property
    def parts(self) -> list[slice]:
        """The rows of each shard."""
        return [slice(number, None, len(self.matrices)) for number in range(len(self.matrices))]

    @property
    def tree_rows(self) -> int:
        return int(self.matrices[0].num_row())

    def num_row(self) -> int:
        return sum(int(each.num_row()) for each in self.matrices)

    def begin(self, outputs: int, start: Floats | None) -> None:
        """Objectives hold the truth themselves: the matrices are told the number of outputs and where they begin."""
        with self._beginning:
            if start is None and outputs == self._outputs:
                return
            self._outputs = outputs if start is None else 0
            for matrix, part in zip(self.matrices, self.parts, strict=True):
                rows = matrix.num_row()
                margin = np.zeros((rows, outputs)) if start is None else start[part]
                matrix.set_info(label=np.zeros((rows, outputs) if outputs > 1 else rows), base_margin=margin)


def grow(  # noqa: PLR0913 - what growing takes
    params: dict[str, Any],
    matrix: Shards | xgb.QuantileDMatrix,
    objective: Laplace | Pinball,
    *,
    start: Floats | None = None,
    rounds: int = MAX_ROUNDS,
    validation: tuple[Shards | xgb.QuantileDMatrix, Laplace | Pinball] | None = None,
) -> xgb.Booster:
    """A booster of so many trees, or until the mean loss on the validation rows stops falling: see `best_iteration`.

    `start` (n,) is what is predicted before any tree; the validation is one shard and its objective.
    """
    outputs = len(objective.modes) if isinstance(objective, Pinball) else 1
    told = {**params, "base_score": [0.0] * outputs if outputs > 1 else 0.0, "disable_default_eval_metric": 1}
    if outputs > 1:
        told |= {"num_target": outputs, "multi_strategy": "multi_output_tree"}
    shards = _shards(matrix)
    shards.begin(outputs, start)
    turns = [(each, objective.part(part)) for each, part in zip(shards.matrices, shards.parts, strict=True)]
    booster = xgb.Booster(told, list(shards.matrices))
    judge = None if validation is None else _judge(outputs, *validation)
    haste = max(1.0, params["eta"] / ETA)
    best, least, judged = 0, np.inf, max(1, round(_JUDGED / haste))
    for number in range(rounds):
        shard, told_by = turns[number % len(turns)]
        booster.update(shard, number, fobj=told_by)
        if judge is None or (number + 1) % judged:
            continue
        loss = judge(booster)
        if loss < least:
            best, least = number, loss
        elif number - best >= PATIENCE / haste**0.5:  # what chance adds to the curve grows with the step as well
            break
    if judge is not None:
        booster.best_iteration = best
    booster.set_param({"device": "cpu"})  # where its rows lie from here on
    return booster.reset()  # without the matrices, which others begin with other outputs


def _shards(matrix: Shards | xgb.QuantileDMatrix) -> Shards:
    return matrix if isinstance(matrix, Shards) else Shards([matrix])


def _judge(
    outputs: int, matrix: Shards | xgb.QuantileDMatrix, judge: Laplace | Pinball
) -> Callable[[xgb.Booster], float]:
    shards = _shards(matrix)
    shards.begin(outputs, None)
    [whole] = shards.matrices
    return lambda booster: float(np.nanmean(judge.losses(booster.predict(whole, output_margin=True))))


def quantised(
    rows: Any, threads: int, like: xgb.QuantileDMatrix | None = None, absent: Truths | None = None
) -> xgb.QuantileDMatrix:
    """Rows (n, features) in bins; `like` lends its cuts. Where a feature is `absent` no value is missing, but 0.

    By default it is absent where no row knows it; no tree splits by it, so that 0 tells as little as a missing value.
    """
    absent = unknown(rows) if absent is None else absent
    if absent.any():  # without a missing value a row's bins take a byte each instead of four, and trees grow faster
        rows = np.where(absent & np.isnan(rows), np.float32(0), rows)
    return xgb.QuantileDMatrix(rows, max_bin=MAX_BIN, nthread=threads, ref=like)


def unknown(rows: Any) -> Truths:
    """The features (features,) that no row (n, features) knows."""
    return np.asarray(np.isnan(rows).all(axis=0))


def device(asked: str) -> str:
    """The device asked for; for "auto" cuda where this xgboost was built for it and the machine has a card."""
    if asked != "auto":
        return asked
    cards = Path("/proc/driver/nvidia/gpus")
    return "cuda" if xgb.build_info()["USE_CUDA"] and cards.is_dir() and any(cards.iterdir()) else "cpu"


def booster_params(
    params: Mapping[str, float], rows: int, seed: int, threads: int, device: str = "cpu"
) -> dict[str, Any]:
    """XGBoost's parameters; a leaf's least weight is a share of a tree's rows, whatever their number."""
    known = {name: value for name, value in params.items() if name != "min_child_share"}
    return {
        "tree_method": "hist",
        "max_bin": MAX_BIN,
        "min_child_weight": max(1.0, params["min_child_share"] * rows),
        "seed": seed,
        "nthread": threads,
        **({} if device == "cpu" else {"device": device}),
        **known,
    }
