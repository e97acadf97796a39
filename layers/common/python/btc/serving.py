"""What is served as of a closed minute: the champion's forecasts, calibrated by what became of its earlier ones.

What training left is where the calibration begins; from there it follows the bars. Its state is the offsets alone, kept
from bar to bar: a restart loses nothing, and lost it is made again from the artefact and the bars, as evaluation makes
it. A minute that is proven only after its outcome was due teaches nothing here.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from btc import baselines, features, forecasts, labels
from btc.conformal import Offsets
from btc.features import LOOK_BACK
from btc.forecasts import HORIZONS, Forecast, Reason
from btc.minutes import Minutes
from btc.models import Model
from btc.times import DAY, MINUTE
from btc.trades import Market

CATCH_UP: Final = DAY
"""The most (µs) that is followed at once: after a promotion one bar must not wait for a month of outcomes."""
REACH: Final = (LOOK_BACK + 2 * max(HORIZONS)) * MINUTE
"""How far before its time the bars begin from which a calibration is followed (µs): a look-back before the forecasts
whose outcomes are yet to come, and an hour, of which the first minutes may be absent."""


class Calibration(NamedTuple):
    """What a model's quantiles are off by, as learnt of every outcome known at a time."""

    model_version: str
    until: int
    """That time (µs)."""
    offsets: Mapping[int, Offsets]
    """By horizon in minutes."""

    @classmethod
    def begun(cls, model: Model) -> "Calibration":
        """As training left it."""
        return cls(model.version, model.trained_until, model.offsets())


def followed(calibration: Calibration, model: Model, minutes: Minutes | None, until: int) -> Calibration:
    """The calibration with the outcomes that became known after its time and by `until` (µs); changes the one given.

    `minutes` begin REACH before the calibration's time; where they do not, or have holes, less is learnt.
    """
    if minutes is None or until <= calibration.until:
        return calibration._replace(until=max(until, calibration.until))
    usable = np.flatnonzero(features.usable(minutes))
    as_of, now, since = minutes.start[usable] + MINUTE, until, calibration.until
    matrix = features.matrix(minutes)
    scale = features.scale(minutes)
    for horizon, offsets in calibration.offsets.items():
        known = as_of + horizon * MINUTE
        rows = usable[(known > since) & (known <= now)]
        if len(rows):
            raw = model.quantiles(horizon, matrix[rows]) * (scale[rows] * horizon**0.5)[:, None]
            offsets.settle(raw, labels.returns(minutes, horizon)[rows], scale[rows])
    return calibration._replace(until=until)


def forecast(
    market: Market,
    minutes: Minutes,
    model: Model | None,
    calibration: Calibration | None = None,
    reason: Reason | None = None,
) -> list[Forecast]:
    """What is served as of the last minute: the model's forecasts, or the baseline's where it may not be used.

    `calibration` is the model's as of that minute, by default as training left it. The baseline answers without a
    model, which `reason` explains unless there never was one, and where the look-back is not whole enough
    (`features.usable`). Raises baselines.TooFewMinutesError where even that is impossible.
    """
    look_back = minutes[-(LOOK_BACK + 1) :]
    as_of, price = int(minutes.start[-1]) + MINUTE, float(minutes.close[-1])
    rivals = baselines.latest(look_back)
    if model is None or not features.usable(look_back)[-1]:
        return forecasts.of(
            market,
            as_of,
            price,
            rivals[baselines.SERVED],
            model_version=baselines.VERSION,
            baseline=True,
            baseline_reason=Reason.INCOMPLETE if model else reason or Reason.NO_CHAMPION,
            baselines=rivals,
        )
    scale = features.scale(look_back)[-1]
    offsets = (calibration or Calibration.begun(model)).offsets
    quantiles = {
        horizon: offsets[horizon].issue(values[0] * (scale * horizon**0.5), scale)
        for horizon, values in model.predict(features.matrix(look_back)[-1:]).items()
    }
    return forecasts.of(market, as_of, price, quantiles, model_version=model.version, baseline=False, baselines=rivals)
