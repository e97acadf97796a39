"""What is served as of a closed minute: the champion's forecasts, calibrated by what became of its earlier ones.

What training left is where the calibration begins; from there it follows the bars. Its state is the offsets alone, kept
from bar to bar: a restart loses nothing, and lost it is made again from the artefact and the bars, as evaluation makes
it. A minute that is proven only after its outcome was due teaches nothing here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from btc import baselines, features, forecasts, labels
from btc.conformal import Offsets
from btc.features import LOOK_BACK
from btc.forecasts import HORIZONS, Forecast, Reason
from btc.minutes import Floats, Minutes
from btc.models import Model
from btc.times import DAY, MINUTE
from btc.trades import Market

CATCH_UP: Final = DAY
"""The most (µs) that is followed at once: after a promotion one bar must not wait for a month of outcomes."""
REACH: Final = (LOOK_BACK + 2 * max(HORIZONS)) * MINUTE
"""How far before its time the bars begin from which a calibration is followed (µs): a look-back before the forecasts
whose outcomes are yet to come, and an hour, of which the first minutes may be absent."""


@dataclass(eq=False, slots=True)
class Calibration:
    """What a model's quantiles are off by, as learnt of every outcome known at a time; it moves on with the bars."""

    model_version: str
    until: int
    """That time (µs)."""
    offsets: Mapping[int, Offsets]
    """By horizon in minutes."""

    @classmethod
    def begun(cls, model: Model) -> "Calibration":
        """As training left it."""
        return cls(model.version, model.trained_until, model.offsets())

    def follow(self, model: Model, minutes: Minutes | None, until: int) -> None:
        """Learn of the outcomes that became known after its time and by `until` (µs), which then is its time.

        `minutes` begin REACH before its time; where they do not, or have holes, less is learnt.
        """
        if minutes is None:
            self.until = max(until, self.until)
        else:
            self._follow(model, minutes, until)

    def issue(self, model: Model, minutes: Minutes) -> dict[int, Floats] | None:
        """Log return quantiles (levels,) by horizon as of the last minute, once what is known by then is learnt.

        None where the last minute's look-back is not whole. A calibration that is more than CATCH_UP behind issues what
        it has learnt so far.
        """
        as_of = int(minutes.start[-1]) + MINUTE
        raw = self._follow(model, minutes, as_of if as_of - self.until <= CATCH_UP else self.until)
        if not features.usable(minutes[-(LOOK_BACK + 1) :])[-1]:
            return None
        scale = features.scale(minutes[-(LOOK_BACK + 1) :])[-1]
        return {horizon: self.offsets[horizon].issue(values[-1], scale) for horizon, values in raw.items()}

    def _follow(self, model: Model, minutes: Minutes, until: int) -> dict[int, Floats]:
        """Raw log return quantiles by horizon of the rows that were learnt of, and after them of the last minute.

        Trees are asked once for both: half of what a forecast costs is asking.
        """
        since, self.until = self.until, max(until, self.until)
        usable = np.flatnonzero(features.usable(minutes))
        as_of, last = minutes.start[usable] + MINUTE, len(minutes) - 1
        matrix, scale, found = features.matrix(minutes), features.scale(minutes), {}
        for horizon, offsets in self.offsets.items():
            known = as_of + horizon * MINUTE
            rows = usable[(known > since) & (known <= until)]
            asked = np.append(rows, last)
            raw = model.quantiles(horizon, matrix[asked]) * (scale[asked] * horizon**0.5)[:, None]
            offsets.settle(raw[:-1], labels.returns(minutes, horizon)[rows], scale[rows])
            found[horizon] = raw
        return found


def forecast(
    market: Market,
    minutes: Minutes,
    model: Model | None,
    calibration: Calibration | None = None,
    reason: Reason | None = None,
) -> list[Forecast]:
    """What is served as of the last minute: the model's forecasts, or the baseline's where it may not be used.

    `calibration` is the model's and is brought up to that minute; without one, what training left is all there is. The
    baseline answers without a model, which `reason` explains unless there never was one, and where the look-back is not
    whole enough (`features.usable`). Raises baselines.TooFewMinutesError where even that is impossible.
    """
    as_of, price = int(minutes.start[-1]) + MINUTE, float(minutes.close[-1])
    quantiles = None
    if model:
        quantiles = (calibration or Calibration(model.version, as_of, model.offsets())).issue(model, minutes)
    if model is None or quantiles is None:
        rivals = baselines.latest(minutes[-(LOOK_BACK + 1) :])
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
    rivals = baselines.latest(minutes[-(LOOK_BACK + 1) :], taught=model.har)
    return forecasts.of(market, as_of, price, quantiles, model_version=model.version, baseline=False, baselines=rivals)
