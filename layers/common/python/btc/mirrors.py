"""The market seen from the other side: features as they would be had every rise been a fall, in dollars per bitcoin's
worth of dollars.

A market has no notion of which of its two sides is the price, so that what it has taught of rises holds for falls: a
forecaster learns from both views and answers with their mean, which halves the luck it can take for knowledge.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from btc.features import NAMES

_TURNED: Final = (
    *("return_", "close_in_range_", "wick_", "gap", "rising_volume_", "closing_volume_", "from_vwap_", "from_mean_"),
    *("buy_imbalance_", "down_"),
)
"""Features that change their sign, by how their names begin; `gaps_60` is the size of gaps and does not."""
_SIZES: Final = ("gaps_",)


def _other(name: str) -> str:
    if name.startswith("to_high_"):
        return name.replace("high", "low")
    return name.replace("low", "high") if name.startswith("to_low_") else name


_SIGNED: Final = [name.startswith(_TURNED) and not name.startswith(_SIZES) for name in NAMES]
_PLACES: Final = np.array([NAMES.index(_other(name)) for name in NAMES])
_SIGNS: Final = np.where(_SIGNED, -1, 1).astype(np.float32)


def mirrored(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The features (n, features) of the reciprocal of the price."""
    turned = rows[:, _PLACES]
    turned *= _SIGNS
    return turned
