"""What is told of a forecaster's losses and quantiles, each figure with its 95 % interval by a bootstrap of blocks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from btc.forecasts import LEVELS, MEDIAN
from btc.minutes import Floats, Minutes
from btc.paths import steps
from training import baselines
from training.losses import CANDIDATE, block_bootstrap, interval, resampled


def skills(lost: Mapping[str, Floats], seed: int) -> dict[str, Any]:
    """Skill against each baseline, and against the best of them under the plain names.

    `lost` are losses (n,) by forecaster, NaN where the future is unknown.
    """
    known = np.isfinite(lost[CANDIDATE])
    mine = lost[CANDIDATE][known]
    against = {}
    for name in baselines.NAMES:
        theirs = lost[name][known]
        ends = interval(block_bootstrap(mine, theirs, seed))
        against[name] = _told("crps_skill", 1 - mine.mean() / theirs.mean(), ends)
    best = min(baselines.NAMES, key=lambda name: float(lost[name][known].mean()))
    return {
        "loss_bp": float(mine.mean()),
        "baseline_loss_bp": {name: float(lost[name][known].mean()) for name in baselines.NAMES},
        "best_baseline": best,
        **against[best],
        "against": against,
    }


def shape(truth: Floats, predicted: Floats, scale: Floats, seed: int) -> dict[str, Any]:
    """Coverage of each level and of the 90 % interval, overall and by volatility; the median's skill and direction.

    `truth` (n,) and `scale` (n,) are known returns and the volatility before them, `predicted` (n, levels). The calmest
    and the wildest fifth of the rows are judged apart; direction where the price moved and the median says where to.
    """
    inside = (truth >= predicted[:, 0]) & (truth <= predicted[:, -1])
    calm, wild = scale <= np.quantile(scale, 0.2), scale >= np.quantile(scale, 0.8)
    median = predicted[:, MEDIAN]
    sided = (truth != 0) & (median != 0)
    right = sided & (np.sign(truth) == np.sign(median))
    all_rows = np.ones(len(truth))
    of = {
        "coverage_90": (inside, all_rows),
        "coverage_90_calm": (inside & calm, calm),
        "coverage_90_wild": (inside & wild, wild),
        "direction": (right, sided),
        "mae_skill": (np.abs(truth) - np.abs(truth - median), np.abs(truth)),
        **{f"{level:.2f}": (truth <= predicted[:, column], all_rows) for column, level in enumerate(LEVELS)},
    }
    told = _shares(of, seed)
    levels = [f"{level:.2f}" for level in LEVELS]
    coverage = {level: told.pop(level) for level in levels}
    intervals = {level: [told.pop(f"{level}_low"), told.pop(f"{level}_high")] for level in levels}
    return {**told, "coverage": coverage, "coverage_intervals": intervals}


def signs(truth: Floats, median: Floats, *, last: Floats, first: Floats, seed: int) -> dict[str, float]:
    """How often the median is right about the sign of what comes after the first minute, in which the price goes back
    to where it stands between bid and ask; and how often `reversal` of the last move would be. Returns (n,).

    `last` are the last moves before (see `last_moves`), `first` those of the first of the minutes ahead: of one minute
    ahead 0, for all of it comes after.
    """
    later = truth - first
    sided = (later != 0) & (median != 0) & np.isfinite(later)
    turning = (later != 0) & (last != 0) & np.isfinite(later)
    went = np.sign(later)
    of = {
        "direction_later": (sided & (went == np.sign(median)), sided),
        "reversal": (turning & (went == -np.sign(last)), turning),
    }
    return _shares(of, seed)


def last_moves(minutes: Minutes) -> Floats:
    """The log return (n,) of the last minute in which the close moved, this one or an earlier one; 0 before any has."""
    moves = steps(np.log(minutes.close))
    moved = np.maximum.accumulate(np.where(moves != 0, np.arange(len(moves)), 0))
    return np.asarray(moves[moved])


def _shares(of: Mapping[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]], seed: int) -> dict[str, Any]:
    """The parts (n,) of wholes (n,) with the intervals; of nothing a coin's half where it is a direction, else none."""
    table = np.stack([*(part for part, _ in of.values()), *(whole for _, whole in of.values())], axis=1)
    otherwise = [0.5 if name.startswith(("direction", "reversal")) else 0.0 for name in of]

    def ratios(sums: Floats) -> Floats:
        parts, wholes = np.split(sums, 2, axis=-1)
        return np.where(wholes > 0, parts / np.where(wholes > 0, wholes, 1.0), otherwise)

    table = table.astype(np.float64)
    ends = interval(resampled(table, ratios, seed)).T
    told: dict[str, Any] = {}
    for name, figure, between in zip(of, ratios(table.sum(axis=0)), ends, strict=True):
        told |= _told(name, figure, between if name.endswith("skill") else np.clip(between, 0, 1))
    return told


def _told(name: str, value: float, ends: Floats) -> dict[str, float]:
    low, high = ends
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}
