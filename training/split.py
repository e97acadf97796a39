"""Rows by time: fit, then validate, then calibrate, then test; nothing on one side of a cut reaches over it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from btc.features import LOOK_BACK, MAX_UNKNOWN
from btc.forecasts import HORIZONS
from btc.minutes import Ints
from btc.times import DAY, MINUTE
from training.dataset import Dataset

EMBARGO: Final = max(HORIZONS)
"""Minutes left out after each cut, beside those before it whose labels would reach over it."""
VALIDATE: Final = 0.15
CALIBRATE: Final = 0.15
LONGEST: Final = 45 * DAY
"""The newest that calibration keeps from the boosters: more of it would cost them more than it gains."""
FOLDS: Final = 2
"""Walk-forward folds a trial is judged on, where there are minutes enough; one trial alone is not judged."""
FEWEST: Final = 720
"""Rows each part needs at the least: half a day."""


class TooLittleDataError(ValueError):
    """The bars do not reach far enough to train, tune, calibrate and test on different rows."""


@dataclass(frozen=True, eq=False)
class Fold:
    """Row numbers, ascending: what a trial learns from, and the later ones it is judged on."""

    fit: Ints
    validate: Ints


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the dataset, ascending, by what they are used for."""

    fit: Ints
    validate: Ints
    calibrate: Ints
    test: Ints

    @property
    def train(self) -> Ints:
        """What the final boosters are fitted on, once the rounds are chosen."""
        return np.concatenate([self.fit, self.validate])

    @property
    def learnt(self) -> Ints:
        """All that the model may know before the test, and so the baselines too."""
        return np.concatenate([self.train, self.calibrate])


def split(dataset: Dataset, test_from: int, test_until: int | None = None, *, train_until: int | None = None) -> Split:
    """Cuts before `test_from` (µs UTC), the newest rows before it calibrating; raises TooLittleDataError.

    Nothing is fitted to what lies between `train_until` and `test_from`, and nothing judged there; the rolling
    calibration goes on through it, as where the model serves.
    """
    train_until = test_from if train_until is None else min(train_until, test_from)
    start, rows = dataset.minutes.start, dataset.rows
    end = int(start[-1]) + MINUTE if test_until is None else test_until
    before = rows[start[rows] < train_until]
    if len(before) < FEWEST:
        raise TooLittleDataError(
            f"{len(before)} usable minutes before the test, at least {4 * FEWEST} are needed{_why_few(dataset)}"
        )
    first, last = int(start[before[0]]), train_until
    span = (last - first) // MINUTE
    calibrated = min(int(span * CALIBRATE), LONGEST // MINUTE)
    validated = first + (span - calibrated - int(span * VALIDATE)) * MINUTE
    calibrating = first + (span - calibrated) * MINUTE
    cuts = [(first, validated), (validated, calibrating), (calibrating, last), (test_from, end)]
    parts = [_between(start, rows, *cut) for cut in cuts]
    for name, part in zip(("fit", "validate", "calibrate", "test"), parts, strict=True):
        if len(part) < FEWEST:
            raise TooLittleDataError(
                f"only {len(part)} usable minutes to {name} on, {FEWEST} are needed: give more bars "
                f"({len(rows)} of {len(start)} minutes are usable, a row needs a day of look-back){_why_few(dataset)}"
            )
    return Split(*parts)


def folds(dataset: Dataset, parts: Split, count: int) -> tuple[Fold, ...]:
    """Walk-forward folds, oldest first, at most `count`: each is judged on what the next one also learns from.

    The newest is the split's own fit and validate rows. Labels are purged and an embargo kept at each cut as in
    `split`; folds too small to learn from are left out.
    """
    start, rows = dataset.minutes.start, dataset.rows
    first, last = int(start[parts.fit[0]]), int(start[parts.validate[0]])
    length = int(start[parts.validate[-1]]) - last
    found = [Fold(parts.fit, parts.validate)]
    for back in range(1, count):
        cut = last - back * length
        fold = Fold(_between(start, rows, first - EMBARGO * MINUTE, cut), _between(start, rows, cut, cut + length))
        if min(len(fold.fit), len(fold.validate)) < FEWEST or len(fold.fit) < len(fold.validate):
            break
        found.append(fold)
    return tuple(reversed(found))


def _why_few(dataset: Dataset) -> str:
    """What speaks against the bars where most of the minutes in their midst cannot be used."""
    if len(dataset.rows) >= (len(dataset.minutes) - LOOK_BACK) / 2:
        return ""
    return (
        f". {1 - dataset.minutes.known.mean():.1%} of the minutes are unknown, and a row's look-back may hold "
        f"{MAX_UNKNOWN:.0%} of such: where absent minutes only saw no trade, write them as rows of volume 0"
    )


def newest(dataset: Dataset, test_days: float) -> int:
    """Where the test begins (µs UTC) so that it takes the last `test_days`."""
    return int(dataset.minutes.start[-1]) + MINUTE - int(test_days * DAY)


def _between(start: Ints, rows: Ints, first: int, last: int) -> Ints:
    """Rows from `first` plus embargo whose labels, at the longest horizon, end by `last`."""
    as_of = start[rows] + MINUTE
    return rows[(start[rows] >= first + EMBARGO * MINUTE) & (as_of + max(HORIZONS) * MINUTE <= last)]
