"""The leak alarm: controls that must find nothing, checks that name what has seen the future, and results too good.

A forecast of the price minutes ahead is right about the sign a little more often than a coin. Whatever does much better
has seen the answer: through a feature of a later minute, through rows that share their future with the test, or through
labels in the wrong place.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from btc import features
from btc.features import LOOK_BACK, NAMES
from btc.forecasts import HORIZONS, MEDIAN
from btc.heads import Heads, seen
from btc.minutes import Floats, Ints, Minutes
from btc.times import DAY, MINUTE
from training import split
from training.dataset import Dataset
from training.growth import Laplace, Pinball, booster_params, grow, modes, quantised
from training.losses import BLOCK, block_bootstrap, pinball
from training.plain import shape
from training.split import EMBARGO, Fold, Split
from training.views import View

DIRECTION: Final[Mapping[int, float]] = {1: 0.62, 5: 0.56, 15: 0.57, 60: 0.58}
"""A sign that is right more often, by horizon and beyond luck, is a leak; at one minute bid and ask are no secret."""
SKILL: Final = 0.15
"""A CRPS skill against the best baseline that no market gives."""
ROWS: Final = 20_000
ROUNDS: Final = 20
PROBES: Final = 50
HIGHEST: Final[Mapping[str, float]] = {"shuffled": 0.0, "shifted": 0.0, "next_minute": 0.05}
_CAUSES: Final = {
    "shuffled": "rows that are learnt from lie among those that are judged",
    "shifted": "features hold the prices of a day later",
    "next_minute": "features hold minutes after their own",
}

Making = Callable[[Minutes], npt.NDArray[np.float32]]
"""What makes features (n, columns) of minutes."""


class LeakError(ValueError):
    """What is measured cannot be true: the message says what has seen the future."""


def refuse_future_features(minutes: Minutes, rows: Ints, matrix: npt.NDArray[np.float32], make: Making) -> None:
    """Each of PROBES rows is made anew from the minutes up to its own only: it must come out the same.

    Raises LeakError naming the columns that differ: they were made of a later minute, or of history out of reach.
    """
    for row in rows[:: max(1, len(rows) // PROBES)]:
        alone = make(minutes[max(0, row - LOOK_BACK) : row + 1])[-1]
        differing = np.flatnonzero(~((alone == matrix[row]) | (np.isnan(alone) & np.isnan(matrix[row]))))
        if len(differing):
            names = ", ".join(NAMES[column] if column < len(NAMES) else f"column {column}" for column in differing[:5])
            raise LeakError(f"{names} of row {row} cannot be made from the minutes up to its own: it saw another one")


def refuse_shared_futures(start: Ints, learnt: Ints, judged: Ints) -> None:
    """No row that is learnt from may have a label that ends within the embargo before the judged rows, or after them.

    Raises LeakError: folds were shuffled, or nothing was purged at the cut.
    """
    ends = int(start[learnt].max()) + (1 + max(HORIZONS)) * MINUTE
    begins = int(start[judged].min()) + MINUTE
    if ends + EMBARGO * MINUTE > begins:
        later = int((start[learnt] + (1 + max(HORIZONS) + EMBARGO) * MINUTE > begins).sum())
        raise LeakError(
            f"the labels of {later} rows that are learnt from reach into the judged rows or their embargo of {EMBARGO} "
            "minutes: cut by time, and purge"
        )


def refuse_leaks(data: Dataset, parts: Split) -> None:
    """Raises LeakError where a feature or a row that is learnt from has seen the future of what is judged."""
    start = data.minutes.start
    refuse_future_features(data.minutes, data.rows, data.matrix, features.matrix)
    refuse_shared_futures(start, parts.train, parts.calibrate)
    refuse_shared_futures(start, parts.learnt, parts.test)
    for fold in split.folds(data, parts, split.FOLDS):
        refuse_shared_futures(start, fold.fit, fold.validate)


def refuse_too_good(metrics: Mapping[str, Any]) -> None:
    """Raises LeakError where a horizon's direction or skill is better than any forecast can be."""
    for name, measured in metrics.items():
        horizon = int(name)
        luck = 3 * 0.5 / max(measured["rows"] / horizon, 1) ** 0.5  # three standard errors of a coin
        if measured["direction"] > DIRECTION[horizon] + luck:
            raise LeakError(f"at {horizon} min the direction is right {measured['direction']:.1%} of the time: a leak")
        if measured["crps_skill_low"] > SKILL:
            raise LeakError(f"at {horizon} min the skill is {measured['crps_skill']:.1%}: a leak")


def controls(data: Dataset, fold: Fold, *, seed: int, threads: int, horizon: int = 5) -> dict[str, float]:
    """What three small models can do at the least, by name: skills of which HIGHEST tells the largest that is honest.

    `shuffled` learns labels whose blocks of BLOCK minutes are in random order, and is judged by them: only rows that
    lie among the judged ones tell which block is where. `shifted` does so with labels of a day later: features tell how
    calm the market is, but not which way it will go, so that its median is judged. `next_minute` learns the return of
    one minute as it is: bid and ask tell a little of that, a feature of the minute itself nearly all.
    """
    judged = fold.validate[:ROWS]
    away = np.maximum(judged[0] - fold.fit, fold.fit - judged[-1])
    fit = np.sort(fold.fit[np.argsort(np.maximum(away, 0), kind="stable")[:ROWS]])
    target, day = data.targets[horizon], DAY // MINUTE
    shifted = np.full_like(target, np.nan)
    shifted[:-day] = target[day:]
    tasks = {
        "shuffled": (_shuffled(target, min(fit[0], judged[0]), max(fit[-1], judged[-1]) + 1, seed), horizon),
        "shifted": (shifted, horizon),
        "next_minute": (data.targets[1], 1),
    }
    found = {}
    for name, (labels, ahead) in tasks.items():
        quantiles = _taught(data, fit, judged, labels, horizon=ahead, seed=seed, threads=threads)
        truth, flat = labels[judged], shape(labels[fit], ahead)
        known = np.isfinite(truth)
        if name == "shuffled":
            mine, other = pinball(truth, quantiles), pinball(truth, flat[None, :])
        else:
            mine, other = np.abs(truth - quantiles[:, MEDIAN]), np.abs(truth - flat[MEDIAN])
        skills = block_bootstrap(mine[known], other[known], seed, block=BLOCK)
        found[name] = float(np.quantile(skills, 0.005))
    return found


def refuse_skilled_controls(found: Mapping[str, float]) -> None:
    """Raises LeakError where a control has more skill than is honest: the answer lies in the rows."""
    for name, low in found.items():
        if low > HIGHEST[name]:
            raise LeakError(
                f"the {name} control has a skill of {low:.2%} at the least, an honest one of {HIGHEST[name]:.0%} at the"
                f" most: {_CAUSES[name]}"
            )


def _shuffled(labels: Floats, first: int, last: int, seed: int) -> Floats:
    """The labels (n,) with their blocks between two rows in random order; NaN where no whole block is left."""
    count = (last - first) // BLOCK
    mixed = np.full_like(labels, np.nan)
    end = first + count * BLOCK
    mixed[first:end] = np.random.default_rng(seed).permutation(labels[first:end].reshape(count, BLOCK)).ravel()
    return mixed


def _taught(  # noqa: PLR0913 - what teaching takes
    data: Dataset, fit: Ints, judged: Ints, labels: Floats, *, horizon: int, seed: int, threads: int
) -> Floats:
    """Quantiles (n, levels) of the scaled return on the judged rows, of boosters grown on such labels."""
    params = booster_params(
        {"eta": 0.1, "max_depth": 4, "min_child_share": 0.005, "subsample": 0.7, "lambda": 20.0},
        len(fit),
        seed,
        threads,
    )
    matrix = quantised(data.matrix[fit], threads)
    size = grow(params, matrix, Laplace(np.abs(labels[fit])), rounds=ROUNDS)
    returns = labels[fit] / np.exp(View(data, fit).of(size))
    plain = shape(returns, horizon)
    ways = modes(plain)
    heads = Heads(size, grow(params, matrix, Pinball(returns, plain, ways), rounds=ROUNDS), shape=plain, modes=ways)
    # As one view sees it: a leak need not have a mirror image.
    quantiles, width = seen(heads, data.matrix[judged])
    return np.asarray(np.sort(quantiles, axis=1) * np.exp(width))
