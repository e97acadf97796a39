"""What a model would have served: its quantiles with the rolling calibration as it was when each forecast was made."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from btc import conformal, labels
from btc.conformal import Offsets
from btc.forecasts import HORIZONS
from btc.heads import Heads
from btc.minutes import Floats, Ints
from btc.models import Model
from btc.times import MINUTE
from training.dataset import Dataset
from training.split import Split

_ROWS_AT_ONCE: Final = 1 << 15


def issued(data: Dataset, rows: Ints, model: Model) -> dict[int, Floats]:
    """Log return quantiles (n, levels) by horizon on rows, ascending, that come after the model's training.

    The calibration begins as training left it and follows every usable row from there on, as it does where the model
    serves: rows that the dataset lacks teach nothing.
    """
    since = model.trained_until // MINUTE
    at = data.minutes.start // MINUTE + 1
    followed = data.rows[(at[data.rows] > since - max(HORIZONS)) & (data.rows <= rows[-1])]
    places = np.searchsorted(followed, rows)
    found = {}
    for horizon, offsets in model.offsets().items():
        quantiles = conformal.rolled(
            predicted(data, followed, model, horizon),
            labels.returns(data.minutes, horizon)[followed],
            data.scale[followed],
            at=at[followed],
            horizon=horizon,
            offsets=offsets,
            since=since,
        )
        found[horizon] = quantiles[places]
    return found


def rolling(
    data: Dataset, parts: Split, heads: Mapping[int, Heads], calibration: Mapping[int, Floats]
) -> dict[int, Offsets]:
    """What the rolling calibration has learnt by the end of the training: of the rows kept from the boosters."""
    rows, found = parts.calibrate, {}
    model = Model({"calibration": {str(horizon): values for horizon, values in calibration.items()}}, heads)
    for horizon in heads:
        found[horizon] = Offsets.none(data.scale[parts.train])
        conformal.rolled(
            predicted(data, rows, model, horizon),
            labels.returns(data.minutes, horizon)[rows],
            data.scale[rows],
            at=data.minutes.start[rows] // MINUTE + 1,
            horizon=horizon,
            offsets=found[horizon],
        )
    return found


def predicted(data: Dataset, rows: Ints, model: Model, horizon: int) -> Floats:
    """Log return quantiles (n, levels) as the model gives them, before any rolling calibration."""
    parts = [
        model.quantiles(horizon, data.matrix[rows[first : first + _ROWS_AT_ONCE]])
        for first in range(0, len(rows), _ROWS_AT_ONCE)
    ]
    return np.asarray(np.concatenate(parts) * (data.scale[rows] * horizon**0.5)[:, None])
