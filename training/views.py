"""Rows to learn from, as they are and in the mirror."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from btc.heads import Line
from btc.minutes import Floats, Ints
from btc.mirrors import mirrored
from training.dataset import Dataset, Rows

Singles = npt.NDArray[np.float32]

_ROWS_AT_ONCE: Final = 1 << 16


@dataclass(frozen=True, eq=False)
class View:
    """Some rows of a dataset; where `turned`, as they would be had every rise been a fall."""

    dataset: Dataset
    rows: Ints
    turned: bool = False

    def features(self, places: Any) -> Singles:
        """Features (n, features) of the rows at these places among `rows`."""
        taken = self.dataset.matrix[self.rows[places]]
        return mirrored(taken) if self.turned else taken

    def targets(self, horizon: int) -> Floats:
        """Scaled returns (n,)."""
        found = self.dataset.targets[horizon][self.rows]
        return -found if self.turned else found

    def of(self, head: Line | xgb.Booster) -> Floats:
        """What a line or a booster gives (n,), without copying all of the rows."""
        ask = head.at if isinstance(head, Line) else head.inplace_predict
        firsts = range(0, len(self.rows), _ROWS_AT_ONCE)
        parts = [ask(self.features(slice(first, first + _ROWS_AT_ONCE))) for first in firsts]
        return np.concatenate(parts).astype(np.float64)


class Views(tuple[View, ...]):
    """Views one after the other, as the rows of one."""

    __slots__ = ()

    @classmethod
    def of_both(cls, *sources: Rows) -> "Views":
        """The rows of each dataset and their mirror images."""
        return cls(View(dataset, rows, turned) for turned in (False, True) for dataset, rows in sources)

    @property
    def total(self) -> int:
        return sum(len(view.rows) for view in self)

    @property
    def starts(self) -> Ints:
        """Minutes' starts (n,), µs UTC."""
        return np.concatenate([view.dataset.minutes.start[view.rows] for view in self])

    def features(self, part: slice) -> Singles:
        """Features (n, features) of every so manieth row."""
        found, before = [], 0
        for view in self:
            found.append(view.features(slice((part.start - before) % (part.step or 1), None, part.step)))
            before += len(view.rows)
        return np.concatenate(found)

    def drawn(self, places: Ints) -> tuple[Singles, Ints]:
        """Features (n, features) of the rows at these places, view by view, and the places in that order."""
        found, before = [], 0
        order = []
        for view in self:
            here = places[(places >= before) & (places < before + len(view.rows))]
            found.append(view.features(here - before))
            order.append(here)
            before += len(view.rows)
        return np.concatenate(found), np.concatenate(order)

    def targets(self, horizon: int) -> Floats:
        """Scaled returns (n,)."""
        return np.concatenate([view.targets(horizon) for view in self])

    def of(self, head: Line | xgb.Booster) -> Floats:
        """What a line or a booster gives (n,)."""
        return np.concatenate([view.of(head) for view in self])
