"""What is told of a forecaster's losses and quantiles, each figure with its 95 % interval by a bootstrap of blocks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from btc.forecasts import LEVELS, MEDIAN
from btc.minutes import Floats
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


def signs(truth: Floats, median: Floats, *, before: Floats, first: Floats | None, seed: int) -> dict[str, float]:
    """How often a sign is right that no forecaster need be asked for, and what is left without it; returns (n,).

    `before` are the last minutes' returns, `first` those of the first of the minutes ahead. Between bid and ask the
    price goes back and forth: `reversal` is how often `truth` goes against `before`, or with it where that is more
    often, `direction_later` how often the median is right about what comes after the first minute.
    """
    went = (truth != 0) & (before != 0)
    with_it = float((np.sign(truth) == np.sign(before))[went].mean()) if went.any() else 0.5
    told = {"reversal": max(with_it, 1 - with_it)}
    if first is None:
        return told
    later = truth - first
    sided = (later != 0) & (median != 0) & np.isfinite(later)
    return told | _shares({"direction_later": (sided & (np.sign(later) == np.sign(median)), sided)}, seed)


def _shares(of: Mapping[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]], seed: int) -> dict[str, Any]:
    """The parts (n,) of wholes (n,) with the intervals; of nothing a coin's half where it is a direction, else none."""
    table = np.stack([*(part for part, _ in of.values()), *(whole for _, whole in of.values())], axis=1)
    otherwise = [0.5 if name.startswith("direction") else 0.0 for name in of]

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
