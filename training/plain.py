"""What is known before any tree grows: a line for the size of the return, and the shape that all sizes share.

Few parameters, for few independent rows: minutes that share their future count once, and with n of them an estimate
goes n / (n + INDEPENDENT) of the way from what is believed anyway.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from btc import features
from btc.baselines import HAR_WINDOWS, empirical
from btc.heads import Line
from btc.minutes import Floats, Ints
from btc.paths import SCALE
from training import baselines
from training.dataset import Dataset, Rows

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


def distinct(sources: Sequence[Rows]) -> int:
    """How many minutes there are rows of: one that several markets saw is one."""
    return len(np.unique(np.concatenate([dataset.minutes.start[rows] for dataset, rows in sources])))


def lines(dataset: Dataset, rows: Ints, beside: Sequence[Rows] = ()) -> dict[int, Line]:
    """A line a horizon for `log_size`, from the horizon's HAR on, by ridge regression towards the slopes of the next
    shorter horizon; its level is then set so that returns are as large as it says in the mean.

    A market calmer than all that was learnt from is on its way back: a HAR's constant tells so at any distance, slopes
    in logarithms do not. From few rows it is little more than the scale's own weights. Slopes are learnt from the rows
    `beside` too; the HAR is the market's own, and so is the level, as far as its rows tell it.
    """
    whole, own = [(dataset, rows), *beside], len(rows)
    number, step = distinct(whole), 1 + sum(len(part) for _, part in whole) // ROWS
    sources = [(each, part[::step]) for each, part in whole]
    seen, here = np.concatenate([each.matrix[part] for each, part in sources]), slice(len(sources[0][1]))
    chosen = np.where(SIZES, seen, np.float32(0)).astype(np.float64)
    varies = np.isfinite(chosen[here]).all(axis=0) & (np.ptp(chosen[here], axis=0) > 0)
    np.copyto(chosen, chosen[here].mean(axis=0), where=np.isnan(chosen))  # what only the others do not know
    centre = np.where(varies, chosen.mean(axis=0), 0.0)
    width = np.where(varies, chosen.std(axis=0), 1.0)
    weights = np.zeros(len(features.NAMES))
    found = {}
    for horizon in sorted(dataset.targets):
        har = _OWN + share(own, horizon) * (baselines.har(dataset.minutes, rows, horizon).weights - _OWN)
        line = Line(0.0, centre, width, weights, har)
        returns = np.concatenate([each.targets[horizon][part] for each, part in sources])
        size = log_size(returns) - line.expected(seen)
        known = np.isfinite(size)
        level = float(size[known].mean())
        inputs = line.inputs(chosen[known])[:, varies]
        moments = inputs.T @ inputs / len(inputs)
        missed = inputs.T @ (size[known] - level) / len(inputs) - moments @ weights[varies]
        penalty = INDEPENDENT * horizon / number
        weights = weights.copy()
        weights[varies] += np.linalg.solve(moments + penalty * np.eye(len(moments)), missed)
        line = line._replace(level=level, weights=weights)
        told = np.abs(returns[known]) / np.exp(line.at(seen[known]))
        all_of_it, its_own = (float(np.log(part.mean() + 1e-6)) for part in (told, told[: known[here].sum()]))
        found[horizon] = line._replace(level=level + all_of_it + share(own, horizon) * (its_own - all_of_it))
    return found


def shape(standardised: Floats, horizon: int) -> Floats:
    """Quantiles (levels,) of returns in units of their expected size; the fewer there are, the more symmetric."""
    known = standardised[np.isfinite(standardised)]
    symmetric = empirical(np.concatenate([known, -known]))
    return np.asarray(symmetric + share(len(known), horizon) * (empirical(known) - symmetric))
