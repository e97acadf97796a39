"""What is known before any tree grows: a line for the size of the return, and the shape that all sizes share.

Few parameters, for few independent rows: minutes that share their future count once, and with n of them an estimate
goes n / (n + INDEPENDENT) of the way from what is believed anyway.
"""

from typing import Final

import numpy as np

from btc import features
from btc.baselines import HAR_WINDOWS, empirical
from btc.heads import Line
from btc.minutes import Floats, Ints
from btc.paths import SCALE
from training import baselines
from training.dataset import Dataset

ROWS: Final = 200_000
"""Rows, evenly spread, that the few numbers of a line are learnt from: more do not change them."""
INDEPENDENT: Final = 200
"""Rows that do not overlap at which an estimate counts half: fewer tell more of luck than of the market."""
_TELLING: Final = (
    *("scale", "volatility", "range", "candle", "move", "height", "wicks", "gaps", "volume", "trades"),
    *("still", "tick", "quiet_60", "hour", "quarter", "five", "day"),
)
SIZES: Final = tuple(name.startswith(_TELLING) for name in features.NAMES)
"""The features that tell how far a price goes; those of the week are left to the trees, a line would take them far."""
_OWN: Final = np.array([0.0, *(dict(SCALE).get(minutes, 0.0) for minutes in HAR_WINDOWS)])
"""The weights by which a HAR tells the scale, about: what is believed of all horizons before anything is learnt."""


def share(rows: int, horizon: int) -> float:
    """n / (n + INDEPENDENT), n being the horizons that fit into so many consecutive rows."""
    independent = rows / horizon
    return independent / (independent + INDEPENDENT)


def log_size(target: Floats) -> Floats:
    """What a line and a spread head learn from scaled returns (n,); softened, for a still price says little."""
    return np.log(np.abs(target) + 0.2)


def lines(dataset: Dataset, rows: Ints) -> dict[int, Line]:
    """A line a horizon for `log_size`, from the horizon's HAR on, by ridge regression towards the slopes of the next
    shorter horizon; its level is then set so that returns are as large as it says in the mean.

    A market calmer than all that was learnt from is on its way back: a HAR's constant tells so at any distance, slopes
    in logarithms do not. From few rows it is little more than the scale's own weights.
    """
    learnt, number, rows = rows, len(rows), rows[:: 1 + len(rows) // ROWS]
    seen = dataset.matrix[rows]
    chosen = np.where(SIZES, seen, np.float32(0)).astype(np.float64)
    varies = np.isfinite(chosen).all(axis=0) & (np.ptp(chosen, axis=0) > 0)
    centre = np.where(varies, chosen.mean(axis=0), 0.0)
    width = np.where(varies, chosen.std(axis=0), 1.0)
    weights = np.zeros(len(features.NAMES))
    found = {}
    for horizon in sorted(dataset.targets):
        har = _OWN + share(number, horizon) * (baselines.har(dataset.minutes, learnt, horizon).weights - _OWN)
        line = Line(0.0, centre, width, weights, har)
        size = log_size(dataset.targets[horizon][rows]) - line.expected(seen)
        known = np.isfinite(size)
        level = float(size[known].mean())
        inputs = line.inputs(chosen[known])[:, varies]
        moments = inputs.T @ inputs / len(inputs)
        beside = inputs.T @ (size[known] - level) / len(inputs) - moments @ weights[varies]
        penalty = INDEPENDENT * horizon / number
        weights = weights.copy()
        weights[varies] += np.linalg.solve(moments + penalty * np.eye(len(moments)), beside)
        line = line._replace(level=level, weights=weights)
        sizes = np.abs(dataset.targets[horizon][rows][known])
        told = line.at(seen[known])
        found[horizon] = line._replace(level=level + float(np.log(np.mean(sizes / np.exp(told)) + 1e-6)))
    return found


def shape(standardised: Floats, horizon: int) -> Floats:
    """Quantiles (levels,) of returns in units of their expected size; the fewer there are, the more symmetric."""
    known = standardised[np.isfinite(standardised)]
    symmetric = empirical(np.concatenate([known, -known]))
    return np.asarray(symmetric + share(len(known), horizon) * (empirical(known) - symmetric))
