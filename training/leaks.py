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
from btc.paths import steps
from btc.times import DAY, MINUTE
from training import measures, split
from training.dataset import Dataset
from training.growth import Laplace, Pinball, booster_params, grow, modes, quantised
from training.losses import BLOCK, block_bootstrap, pinball
from training.plain import shape
from training.split import EMBARGO, Fold, Split
from training.views import View

DIRECTION: Final[Mapping[int, float]] = {1: 0.7, 5: 0.56, 15: 0.57, 60: 0.58}
"""A sign of what comes after the first minute that is right more often, by horizon and beyond luck, is a leak; at one
minute bid and ask are no secret, the less the fewer minutes move the price."""
BEYOND: Final = 0.04
"""How much more often it may be right than a bet on the last move, where that is right as often."""
JUDGED: Final = frozenset({"rows", "direction_later", "reversal", "crps_skill", "crps_skill_low"})
"""What `too_good` reads of a horizon's metrics."""
SKILL: Final = 0.15
"""A CRPS skill against the best baseline that no market gives."""
ROWS: Final = 20_000
ROUNDS: Final = 20
PROBES: Final = 50
HIGHEST: Final[Mapping[str, float]] = {"shuffled": 0.01, "shifted": 0.01, "next_minute": 0.05}
"""Skill that is honest, the last beside a line on the last move."""
_COMPARED: Final = 50_000
_FEWEST: Final = 1_000
_EARLY: Final = 0.05
"""By how much more than luck volumes may go with the next minute's move rather than their own."""
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
    for row in _probes(rows):
        alone = make(minutes[max(0, row - LOOK_BACK) : row + 1])[-1]
        differing = np.flatnonzero(~((alone == matrix[row]) | (np.isnan(alone) & np.isnan(matrix[row]))))
        if len(differing):
            names = ", ".join(NAMES[column] if column < len(NAMES) else f"column {column}" for column in differing[:5])
            raise LeakError(f"{names} of row {row} cannot be made from the minutes up to its own: it saw another one")


def refuse_future_scale(minutes: Minutes, rows: Ints, scale: Floats) -> None:
    """As `refuse_future_features`, what returns are told in units of."""
    for row in _probes(rows):
        if features.scale(minutes[max(0, row - LOOK_BACK) : row + 1])[-1] != scale[row]:
            raise LeakError(f"the scale of row {row} cannot be made from the minutes up to its own: it saw another one")


def _probes(rows: Ints) -> Ints:
    return rows[:: max(1, len(rows) // PROBES)]


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


def refuse_early_volume(minutes: Minutes) -> None:
    """A minute's volume goes with its own move: raises LeakError where it goes with the next one's instead."""
    sizes, volume = np.abs(steps(np.log(minutes.close))), minutes.volume
    traded = np.flatnonzero(volume[:-1] > 0)
    traded = traded[:: 1 + len(traded) // _COMPARED]
    if len(traded) < _FEWEST:
        return
    ranks, own, ahead = (np.argsort(np.argsort(each)) for each in (volume[traded], sizes[traded], sizes[traded + 1]))
    with_own, with_next = (float(np.corrcoef(ranks, each)[0, 1]) for each in (own, ahead))
    luck = 3 * (2 / len(traded)) ** 0.5
    if with_next > with_own + _EARLY + luck:
        raise LeakError(
            f"volumes go with the next minute's move ({with_next:.2f}) more than with their own minute's "
            f"({with_own:.2f}): they are a minute early, or prices a minute late"
        )


def refuse_leaks(data: Dataset, parts: Split, *, seed: int, threads: int) -> dict[str, float]:
    """Raises LeakError where something has seen the future of what is judged; returns what `controls` found."""
    start = data.minutes.start
    refuse_early_volume(data.minutes)
    refuse_future_features(data.minutes, data.rows, data.matrix, features.matrix)
    refuse_future_scale(data.minutes, data.rows, data.scale)
    refuse_shared_futures(start, parts.train, parts.calibrate)
    refuse_shared_futures(start, parts.learnt, parts.test)
    folds = split.folds(data, parts, split.FOLDS)
    for fold in folds:
        refuse_shared_futures(start, fold.fit, fold.validate)
    found = controls(data, folds[-1], seed=seed, threads=threads)
    refuse_skilled_controls(found)
    return found


def too_good(metrics: Mapping[str, Any]) -> list[str]:
    """In words, the horizons' directions and skills that are better than any forecast's can be."""
    found = []
    for name, measured in metrics.items():
        horizon = int(name)
        luck = 3 * 0.5 / max(measured["rows"] / horizon, 1) ** 0.5  # three standard errors of a coin
        right, turned = measured["direction_later"], measured["reversal"]
        # That the next minute goes on as the last did may itself be the leak.
        bet = turned if horizon == 1 else max(turned, 1 - turned)
        if right > max(DIRECTION[horizon], bet + BEYOND) + luck:
            found.append(f"at {horizon} min the direction is right {right:.1%} of the time: a leak")
        if measured["crps_skill_low"] > SKILL:
            found.append(f"at {horizon} min the skill is {measured['crps_skill']:.1%}: a leak")
    return found


def refuse_too_good(metrics: Mapping[str, Any]) -> None:
    """Raises LeakError where `too_good` finds something."""
    if found := too_good(metrics):
        raise LeakError("; ".join(found))


def controls(data: Dataset, fold: Fold, *, seed: int, threads: int, horizon: int = 5) -> dict[str, float]:
    """What three small models can do at the least, by name: skills of which HIGHEST tells the largest that is honest.

    `shuffled` learns labels that were taken from elsewhere by blocks of BLOCK minutes, and is judged by them: only rows
    that lie among the judged ones tell which labels are where. `shifted` does so with labels of a day later: features
    tell how calm the market is, but not which way it will go, so that its median is judged. `next_minute` learns the
    return of one minute as it is: bid and ask tell some of that, as a line on the last move does, a feature of the
    minute itself nearly all.
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
            plain = _bounced(data, fit, judged) if name == "next_minute" else flat[MEDIAN]
            mine, other = np.abs(truth - quantiles[:, MEDIAN]), np.abs(truth - plain)
        skills = block_bootstrap(mine[known], other[known], seed)
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


def _bounced(data: Dataset, fit: Ints, judged: Ints) -> Floats:
    """Scaled returns (n,) of the minutes to come, as far as the price goes back: by least squares on the last moves,
    which no feature is asked for.
    """
    moves, target = measures.last_moves(data.minutes) / data.scale, data.targets[1]
    known = fit[np.isfinite(target[fit])]
    squares = float(moves[known] @ moves[known])
    slope = float(moves[known] @ target[known]) / squares if squares else 0.0
    return np.asarray(min(slope, 0.0) * moves[judged])


def _shuffled(labels: Floats, first: int, last: int, seed: int) -> Floats:
    """In each block of BLOCK between two rows the labels (n,) of another place there; NaN where no whole block is left.

    Places are of any minute of the hour: what the clock tells of a market must not go with the labels.
    """
    count = (last - first) // BLOCK
    places = last - first - BLOCK + 1
    away = np.random.default_rng(seed).integers(BLOCK, places - BLOCK, size=count)
    drawn = first + (BLOCK * np.arange(count) + away) % places
    mixed = np.full_like(labels, np.nan)
    mixed[first : first + count * BLOCK] = labels[drawn[:, None] + np.arange(BLOCK)].ravel()
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
