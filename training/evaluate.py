"""How good the forecasts are on rows nobody has seen, beside the baselines on the same rows.

Losses are pinball losses in basis points of the price, averaged over LEVELS: half the CRPS but for the tails. Skill is
1 - loss / baseline's loss; its interval comes from a paired bootstrap of whole blocks of time, since neighbouring
minutes share their future.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from btc import labels
from btc.forecasts import LEVELS, MEDIAN
from btc.minutes import Floats, Ints
from btc.models import Model
from training import baselines
from training.baselines import Garch
from training.dataset import Dataset
from training.losses import BASIS_POINTS, block_bootstrap, pinball

CANDIDATE: Final = "model"


@dataclass(frozen=True, eq=False)
class Losses:
    """What each forecaster lost on the test rows: the evidence the gate weighs."""

    rows: Ints
    """Minutes since the epoch (n,) of the rows."""
    by_horizon: Mapping[int, Mapping[str, Floats]]
    """Mean pinball loss (n,) in basis points by horizon and forecaster; NaN where the future is unknown."""


def evaluate(dataset: Dataset, train: Ints, test: Ints, model: Model, seed: int) -> tuple[dict[str, Any], Losses]:
    """Metrics by horizon (JSON-able), and the losses they come from; empirical baselines learn from `train`."""
    scaled = model.predict(dataset.matrix[test])
    garch = Garch.fitted(dataset.minutes, train)
    metrics, losses = {}, {}
    for horizon, quantiles in scaled.items():
        truth = labels.returns(dataset.minutes, horizon)[test]
        known = np.isfinite(truth)
        predicted = quantiles * (dataset.scale[test] * horizon**0.5)[:, None]
        others = baselines.quantiles(dataset, train, test, horizon, garch)
        lost = {
            name: np.where(known, BASIS_POINTS * pinball(truth, values), np.nan)
            for name, values in {CANDIDATE: predicted, **others}.items()
        }
        losses[horizon] = lost
        metrics[str(horizon)] = {
            "rows": int(known.sum()),
            **_skills(lost, seed),
            **_shape(truth[known], predicted[known], dataset.scale[test][known]),
        }
    return metrics, Losses(dataset.minutes.start[test] // 60_000_000, losses)


def line(horizon: int, measured: Mapping[str, Any]) -> str:
    """One horizon's metrics as a line for the log; the job's metric definitions read `crps_skill_<horizon>=` there."""
    return (
        f"crps_skill_{horizon}={measured['crps_skill']:.4f} against {measured['best_baseline']} "
        f"({measured['crps_skill_low']:+.4f} … {measured['crps_skill_high']:+.4f}), "
        f"90 % interval covers {measured['coverage_90']:.1%}, direction {measured['direction']:.1%}, "
        f"{measured['rows']} rows"
    )


def _skills(lost: Mapping[str, Floats], seed: int) -> dict[str, Any]:
    """Skill against each baseline with its 95 % interval, and against the best of them under the plain names."""
    known = np.isfinite(lost[CANDIDATE])
    mine = lost[CANDIDATE][known]
    against = {}
    for name in baselines.NAMES:
        theirs = lost[name][known]
        low, high = np.quantile(block_bootstrap(mine, theirs, seed), [0.025, 0.975])
        skill = 1 - mine.mean() / theirs.mean()
        against[name] = {"crps_skill": float(skill), "crps_skill_low": float(low), "crps_skill_high": float(high)}
    best = min(baselines.NAMES, key=lambda name: float(lost[name][known].mean()))
    return {
        "loss_bp": float(mine.mean()),
        "baseline_loss_bp": {name: float(lost[name][known].mean()) for name in baselines.NAMES},
        "best_baseline": best,
        **against[best],
        "against": against,
    }


def _shape(truth: Floats, predicted: Floats, scale: Floats) -> dict[str, Any]:
    """Coverage of the 90 % interval, overall and in the calmest and wildest fifth; the median's skill and direction."""
    inside = (truth >= predicted[:, 0]) & (truth <= predicted[:, -1])
    calm, wild = scale <= np.quantile(scale, 0.2), scale >= np.quantile(scale, 0.8)
    moved, median = truth != 0, predicted[:, MEDIAN]
    sided = moved & (median != 0)
    return {
        "coverage_90": float(inside.mean()),
        "coverage_90_calm": float(inside[calm].mean()),
        "coverage_90_wild": float(inside[wild].mean()),
        "coverage": {
            f"{level:.2f}": float((truth <= predicted[:, column]).mean()) for column, level in enumerate(LEVELS)
        },
        "mae_skill": float(1 - np.abs(truth - median).mean() / np.abs(truth).mean()) if moved.any() else 0.0,
        "direction": float((np.sign(truth) == np.sign(median))[sided].mean()) if sided.any() else 0.5,
    }
