"""What a training has to tell: the figures a report draws and a tracker keeps, gathered once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import xgboost as xgb
from optuna.trial import FrozenTrial

from btc import features
from btc.heads import Heads, predicted
from btc.minutes import Floats, Ints
from btc.models import Model
from btc.times import MINUTE, iso
from training.dataset import Dataset
from training.losses import BASIS_POINTS, BLOCK, CANDIDATE, Losses, block_bootstrap, pinball
from training.matrices import thinned
from training.split import Split

HEADS: Final = ("spread", "quantiles")
FEWEST_BLOCKS: Final = 8
"""Bootstrap blocks without which nothing is said of a span of time."""

_CURVE_ROWS: Final = 4_000
_CURVE_POINTS: Final = 24


class Window(NamedTuple):
    """What a part of the data was used for: its first and its last minute's end (ISO), and its rows."""

    use: str
    first: str
    until: str
    rows: int


class Curve(NamedTuple):
    """The pinball loss in basis points after so many rounds, on rows kept from the boosters."""

    rounds: tuple[int, ...]
    losses: tuple[float, ...]


class Period(NamedTuple):
    """The skill against one baseline over one span of time, with the edges of its 95 % interval."""

    start: np.datetime64
    skill: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Story:
    """A model, how it came about, and how it did on rows nobody had seen."""

    about: Mapping[str, Any]
    """The model's description."""
    metrics: Mapping[str, Mapping[str, Any]]
    """By horizon, as `evaluate` gives them."""
    windows: Sequence[Window]
    periods: Mapping[int, Mapping[str, Sequence[Period]]]
    """By horizon and baseline, in the order of time."""
    gains: Mapping[str, Mapping[int, Mapping[str, float]]]
    """By head and horizon: each feature's share of all that splits gained."""
    curves: Mapping[str, Mapping[int, Curve]]
    """By head and horizon."""
    trials: Sequence[FrozenTrial]


def story(  # noqa: PLR0913 - all that a training leaves
    data: Dataset,
    parts: Split,
    model: Model,
    *,
    metrics: Mapping[str, Mapping[str, Any]],
    losses: Losses,
    trials: Sequence[FrozenTrial],
    seed: int,
) -> Story:
    """Gathers it from what `evaluate` measured."""
    used = {"fit": parts.fit, "validate": parts.validate, "calibrate": parts.calibrate, "test": parts.test}
    start = data.minutes.start
    return Story(
        about=model.description,
        metrics=metrics,
        windows=[
            Window(use, iso(int(start[part[0]])), iso(int(start[part[-1]]) + MINUTE), len(part))
            for use, part in used.items()
        ],
        periods={
            horizon: {
                name: periods(losses.rows, lost[CANDIDATE], theirs, seed)
                for name, theirs in lost.items()
                if name != CANDIDATE
            }
            for horizon, lost in losses.by_horizon.items()
        },
        gains={
            head: {horizon: gains(getattr(heads, head)) for horizon, heads in model.heads.items()} for head in HEADS
        },
        curves=curves(data, parts.calibrate, model.heads),
        trials=sorted(trials, key=lambda trial: trial.number),
    )


def periods(rows: Ints, mine: Floats, theirs: Floats, seed: int) -> list[Period]:
    """Skill by month; by week or day where the rows (n,), minutes since the epoch, span less."""
    known = np.isfinite(mine)
    at, mine, theirs = rows[known].astype("datetime64[m]"), mine[known], theirs[known]
    days = (at[-1] - at[0]) / np.timedelta64(1, "D")
    unit = "M" if days > 62 else "W" if days > 14 else "D"
    told = []
    spans = at.astype(f"datetime64[{unit}]")
    for span in np.unique(spans):
        inside = spans == span
        # A day has four blocks of six hours: shorter spans are cut finer, and say so by wide intervals.
        block = min(BLOCK, int(inside.sum()) // FEWEST_BLOCKS)
        if not block:
            continue
        low, high = np.quantile(block_bootstrap(mine[inside], theirs[inside], seed, block), [0.025, 0.975])
        skill = 1 - mine[inside].mean() / theirs[inside].mean()
        told.append(Period(span, float(skill), float(low), float(high)))
    return told


def gains(booster: xgb.Booster) -> dict[str, float]:
    """Each feature's share of what all splits gained; empty where nothing was split."""
    found = {
        features.NAMES[int(name.removeprefix("f"))]: float(gain)
        for name, gain in booster.get_score(importance_type="total_gain").items()
        if isinstance(gain, float)
    }
    whole = sum(found.values())
    return {name: gain / whole for name, gain in found.items()} if whole > 0 else {}


def curves(data: Dataset, rows: Ints, heads: Mapping[int, Heads]) -> dict[str, dict[int, Curve]]:
    """How each horizon's loss falls as first the spread head grows, then the quantile head; not calibrated."""
    found: dict[str, dict[int, Curve]] = {head: {} for head in HEADS}
    for horizon, grown in heads.items():
        target = data.targets[horizon]
        known = rows[np.isfinite(target[rows])]
        known = thinned(known, _CURVE_ROWS)
        unit = BASIS_POINTS * data.scale[known] * horizon**0.5
        truth, matrix = target[known], data.matrix[known]

        def loss(cut: Heads, truth: Floats = truth, matrix: Any = matrix, unit: Floats = unit) -> float:
            quantiles, size = predicted(cut, matrix)
            return float(np.mean(unit * pinball(truth, np.sort(quantiles, axis=1) * size)))

        begun = grown._replace(quantiles=grown.quantiles[:1]) if grown.quantiles.num_boosted_rounds() else grown
        for head, whole in (("spread", begun), ("quantiles", grown)):
            booster = getattr(grown, head)
            rounds = _grid(booster.num_boosted_rounds())
            cuts = [whole._replace(**{head: booster[:number]}) for number in rounds]
            found[head][horizon] = Curve(rounds, tuple(map(loss, cuts)))
    return found


def _grid(rounds: int) -> tuple[int, ...]:
    return tuple(int(number) for number in np.unique(np.linspace(1, rounds, min(rounds, _CURVE_POINTS)).round()))
