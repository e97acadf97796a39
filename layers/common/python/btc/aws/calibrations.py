"""How far the champion's rolling calibration has come, in the state table: one item a market."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from btc.aws.lookbacks import LookBacks
from btc.aws.tables import put_if
from btc.bars import Bar
from btc.conformal import Offsets
from btc.minutes import Minutes
from btc.models import Model
from btc.serving import CATCH_UP, REACH, Calibration
from btc.trades import Market

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class CalibrationTable:
    """Offsets of the model that serves; another model's begin as its training left them."""

    name: str
    client: "DynamoDBClient"

    def read(self, market: Market, model: Model) -> Calibration:
        """As it was kept last for this model, else as training left it."""
        key = {"name": {"S": _name(market)}}
        item = self.client.get_item(TableName=self.name, Key=key, ConsistentRead=True).get("Item")
        begun = Calibration.begun(model)
        if item is None or item["model_version"]["S"] != model.version:
            return begun
        kept = {
            horizon: Offsets(offsets.edges, _values(item["offsets"]["M"][str(horizon)]["B"], offsets.values.shape))
            for horizon, offsets in begun.offsets.items()
        }
        return Calibration(model.version, int(item["settled_until"]["N"]), kept)

    def keep(self, market: Market, calibration: Calibration) -> bool:
        """Whether it is kept: not where the same model's is there as of a later time."""
        item = {
            "name": {"S": _name(market)},
            "model_version": {"S": calibration.model_version},
            "settled_until": {"N": str(calibration.until)},
            "offsets": {
                "M": {
                    str(horizon): {"B": offsets.values.astype("<f8").tobytes()}
                    for horizon, offsets in calibration.offsets.items()
                }
            },
        }
        return put_if(
            self.client,
            self.name,
            item,
            "attribute_not_exists(model_version) OR model_version <> :version OR settled_until < :until",
            {":version": item["model_version"], ":until": item["settled_until"]},
        )


def gather(table: CalibrationTable, bars: LookBacks, model: Model, bar: Bar) -> tuple[Calibration, Minutes]:
    """The model's calibration and the minutes up to the bar, from which both it and a forecast are made.

    One that is more than CATCH_UP behind comes that much nearer, and nearer still with the next bars.
    """
    calibration = table.read(bar.market, model)
    if calibration.until > bar.end:  # a later bar has been served: what is known since then must not be known here
        calibration = Calibration.begun(model)
    if bar.end - calibration.until > CATCH_UP:
        until = calibration.until + CATCH_UP
        past = bars.between(bar.market, calibration.until - REACH, until)
        calibration.follow(model, Minutes.of_bars(past) if past else None, until)
    behind = bar.end - calibration.until
    first = bar.end - REACH - (behind if 0 < behind <= CATCH_UP else 0)
    return calibration, Minutes.of_bars(bars.between(bar.market, first, bar.end))


def _name(market: Market) -> str:
    return f"calibration:{market}"


def _values(data: bytes, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.frombuffer(data, dtype="<f8").reshape(shape).copy()
