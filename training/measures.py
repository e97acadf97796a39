"""What is told of a forecaster's losses and quantiles, each figure with its 95 % interval by a bootstrap of blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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
    parts = np.stack([part for part, _ in of.values()], axis=1).astype(np.float64)
    wholes = np.stack([whole for _, whole in of.values()], axis=1).astype(np.float64)
    otherwise = [0.5 if name == "direction" else 0.0 for name in of]
    figures = _ratios(parts.sum(axis=0), wholes.sum(axis=0), otherwise)
    ends = interval(_ratios(resampled(parts, seed), resampled(wholes, seed), otherwise)).T
    told: dict[str, Any] = {}
    for name, figure, between in zip(of, figures, ends, strict=True):
        told |= _told(name, figure, between)
    levels = [f"{level:.2f}" for level in LEVELS]
    coverage = {level: told.pop(level) for level in levels}
    intervals = {level: [told.pop(f"{level}_low"), told.pop(f"{level}_high")] for level in levels}
    return {**told, "coverage": coverage, "coverage_intervals": intervals}


def _ratios(parts: Floats, wholes: Floats, otherwise: Sequence[float]) -> Floats:
    """Parts of wholes (…, figures), and what stands for those of which there is nothing."""
    return np.where(wholes > 0, parts / np.where(wholes > 0, wholes, 1.0), otherwise)


def _told(name: str, value: float, ends: Floats) -> dict[str, float]:
    low, high = ends
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}
