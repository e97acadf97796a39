"""The online store of forecasts in DynamoDB."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from btc import times
from btc.aws.tables import Item, put_if, update_if
from btc.forecasts import HORIZONS, Forecast, Outcome, Scored
from btc.formats import UnknownFormatError
from btc.times import HOUR, MINUTE, day_of, iso, parse_iso
from btc.trades import Market

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def changed_markets(records: Iterable[Mapping[str, Any]]) -> set[Market]:
    """The markets whose forecasts the records of the table's stream are of."""
    return {_market_of(record["dynamodb"]["Keys"]) for record in records}


def changed_hours(records: Iterable[Mapping[str, Any]]) -> dict[tuple[Market, int], tuple[int, int]]:
    """By market and day, from when to when (µs) the whole hours reach whose forecasts the records of the table's stream
    changed; expired ones change none.
    """
    images = [record["dynamodb"]["NewImage"] for record in records if "NewImage" in record["dynamodb"]]
    spans: dict[tuple[Market, int], tuple[int, int]] = {}
    for image in images:
        target = parse_iso(image["target_time"]["S"])
        key = _market_of(image), day_of(target)
        start = target - target % HOUR
        first, last = spans.get(key, (start, start + HOUR))
        spans[key] = min(first, start), max(last, start + HOUR)
    return spans


def day_of_forecast(item: Item) -> tuple[Market, int]:
    """The market and the UTC day (µs of its start) of an item's target."""
    return _market_of(item), day_of(parse_iso(item["target_time"]["S"]))


def minutes_of(records: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Market, int]]:
    """The market and the minute (µs of its start) that each record's forecast was made from the close of."""
    for record in records:
        if image := record["dynamodb"].get("NewImage"):
            market, _, horizon = image["series"]["S"].rpartition(":")
            yield Market.parse(market), parse_iso(image["target_time"]["S"]) - (int(horizon) + 1) * MINUTE


_SERVED: Final = (
    *("series", "target_time", "as_of", "reference_price", "predicted_price", "quantiles", "probability_up"),
    *("model_version", "baseline", "baseline_reason"),
    *("realised_price", "pinball_loss", "below", "covered", "covered_50", "direction", "baseline_losses"),
)
"""All but what the baselines said, which is three quarters of an item and what scoring alone asks for."""
_PROJECTED: Final[dict[str, Any]] = {
    "ProjectionExpression": ", ".join(f"#{name}" for name in _SERVED),
    "ExpressionAttributeNames": {f"#{name}": name for name in _SERVED},
}


@dataclass(frozen=True, slots=True)
class ForecastTable:
    """One item a market, horizon and target time; what was once forecast stays as it was said, its outcome is added."""

    name: str
    client: "DynamoDBClient"

    def add(self, forecast: Forecast, retention_days: int) -> bool:
        """Whether the forecast is new; one for the same target made before is left alone."""
        item = {
            "series": {"S": _series(forecast.market, forecast.horizon)},
            "target_time": {"S": iso(forecast.target_time)},
            "as_of": {"S": iso(forecast.as_of)},
            "reference_price": {"N": repr(forecast.reference_price)},
            "predicted_price": {"N": repr(forecast.predicted_price)},
            "quantiles": _numbers(forecast.quantiles),
            "probability_up": {"N": repr(forecast.probability_up)},
            "model_version": {"S": forecast.model_version},
            "baseline": {"BOOL": forecast.baseline},
            "baselines": {"M": {name: _numbers(prices) for name, prices in forecast.baselines.items()}},
            "expires": {"N": str((forecast.target_time + retention_days * times.DAY) // times.SECOND)},
        }
        if forecast.baseline_reason:
            item["baseline_reason"] = {"S": forecast.baseline_reason}
        return put_if(self.client, self.name, item, "attribute_not_exists(target_time)")

    def settle(self, forecast: Forecast, outcome: Outcome) -> bool:
        """Write what became of a forecast over what was thought before; False where it has expired meanwhile."""
        key = {"series": {"S": _series(forecast.market, forecast.horizon)}}
        key["target_time"] = {"S": iso(forecast.target_time)}
        return update_if(self.client, self.name, key, _outcome_item(outcome), "attribute_exists(target_time)")

    def latest(self, market: Market, horizon: int, *, consistent: bool = False) -> Forecast | None:
        """The forecast that reaches furthest, without its baselines."""
        page = self.client.query(
            TableName=self.name,
            **_PROJECTED,
            KeyConditionExpression="#series = :series",
            ExpressionAttributeValues={":series": {"S": _series(market, horizon)}},
            ScanIndexForward=False,
            Limit=1,
            ConsistentRead=consistent,
        )
        return _forecast_of(market, horizon, page["Items"][0]) if page["Items"] else None

    def earliest(self, market: Market, horizon: int) -> int | None:
        """When (µs) the first forecast that is kept was made as of; None where there is none."""
        page = self.client.query(
            TableName=self.name,
            KeyConditionExpression="series = :series",
            ExpressionAttributeValues={":series": {"S": _series(market, horizon)}},
            ProjectionExpression="as_of",
            Limit=1,
        )
        return parse_iso(page["Items"][0]["as_of"]["S"]) if page["Items"] else None

    def newest(self, market: Market, *, consistent: bool = False) -> list[Forecast]:
        """The newest forecast of each horizon that has one, by horizon: two requests where all are of one minute.

        They come without their baselines. What has just been written is surely among them if they are `consistent`.

        The longest horizon is written last, and the one that is never too late to be worth it.
        """
        furthest = self.latest(market, HORIZONS[-1], consistent=consistent)
        if furthest is None:
            return [made for horizon in HORIZONS if (made := self.latest(market, horizon, consistent=consistent))]
        keys = [
            {"series": {"S": _series(market, horizon)}, "target_time": {"S": iso(furthest.as_of + horizon * MINUTE)}}
            for horizon in HORIZONS[:-1]
        ]
        asked: Any = {"Keys": keys, "ConsistentRead": consistent, **_PROJECTED}
        told = self.client.batch_get_item(RequestItems={self.name: asked})
        items = {item["series"]["S"]: item for item in told["Responses"][self.name]}
        found = {
            horizon: _forecast_of(market, horizon, item)
            for horizon in HORIZONS[:-1]
            if (item := items.get(_series(market, horizon)))
        }
        others = (
            found.get(horizon) or self.latest(market, horizon, consistent=consistent) for horizon in HORIZONS[:-1]
        )
        return [*(each for each in others if each), furthest]

    def before(self, market: Market, horizon: int, time: int, limit: int) -> list[Scored]:
        """The newest forecasts whose target lies before `time` (µs), newest first, with their outcomes where known.

        They come without their baselines.
        """
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            **_PROJECTED,
            KeyConditionExpression="#series = :series AND #target_time < :time",
            ExpressionAttributeValues={":series": {"S": _series(market, horizon)}, ":time": {"S": iso(time)}},
            ScanIndexForward=False,
            PaginationConfig={"MaxItems": limit, "PageSize": limit},
        )
        return _scored(market, horizon, pages)

    def between(self, market: Market, horizon: int, start: int, end: int) -> list[Scored]:
        """The forecasts whose target lies in [start, end), oldest first, with their outcomes where these are known."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="series = :series AND target_time BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":series": {"S": _series(market, horizon)},
                ":first": {"S": iso(start)},
                ":last": {"S": iso(end - MINUTE)},
            },
            ConsistentRead=True,
        )
        return _scored(market, horizon, pages)


def _series(market: Market, horizon: int) -> str:
    return f"{market}:{horizon}"


def _market_of(key: Item) -> Market:
    return Market.parse(key["series"]["S"].rpartition(":")[0])


def _scored(market: Market, horizon: int, pages: Iterable[Mapping[str, Any]]) -> list[Scored]:
    return [Scored(_forecast_of(market, horizon, item), _outcome_of(item)) for page in pages for item in page["Items"]]


def _forecast_of(market: Market, horizon: int, item: Item) -> Forecast:
    try:
        return Forecast(
            market=market,
            as_of=parse_iso(item["as_of"]["S"]),
            horizon=horizon,
            target_time=parse_iso(item["target_time"]["S"]),
            reference_price=float(item["reference_price"]["N"]),
            predicted_price=float(item["predicted_price"]["N"]),
            quantiles=_floats(item["quantiles"]),
            probability_up=float(item["probability_up"]["N"]),
            model_version=item["model_version"]["S"],
            baseline=item["baseline"]["BOOL"],
            baseline_reason=item["baseline_reason"]["S"] if "baseline_reason" in item else None,
            baselines={name: _floats(prices) for name, prices in item.get("baselines", {"M": {}})["M"].items()},
        )
    except (KeyError, ValueError) as error:
        place = f"the forecast {_series(market, horizon)} {item.get('target_time')}"
        raise UnknownFormatError(place, error) from error


def _outcome_item(outcome: Outcome) -> dict[str, Any]:
    losses = {name: {"N": repr(loss)} for name, loss in outcome.baseline_losses.items()}
    return {
        "realised_price": {"N": repr(outcome.realised_price)},
        "pinball_loss": {"N": repr(outcome.pinball_loss)},
        "below": {"N": str(outcome.below)},
        "covered": {"BOOL": outcome.covered},
        "covered_50": {"BOOL": outcome.covered_50},
        "direction": {"NULL": True} if outcome.direction is None else {"BOOL": outcome.direction},
        "baseline_losses": {"M": losses},
    }


def _outcome_of(item: Item) -> Outcome | None:
    if "realised_price" not in item:
        return None
    return Outcome(
        realised_price=float(item["realised_price"]["N"]),
        pinball_loss=float(item["pinball_loss"]["N"]),
        below=int(item["below"]["N"]),
        covered=item["covered"]["BOOL"],
        covered_50=item["covered_50"]["BOOL"],
        direction=item["direction"].get("BOOL"),
        baseline_losses={name: float(loss["N"]) for name, loss in item["baseline_losses"]["M"].items()},
    )


def _numbers(values: Iterable[float]) -> dict[str, Any]:
    return {"L": [{"N": repr(value)} for value in values]}


def _floats(values: Mapping[str, Any]) -> tuple[float, ...]:
    return tuple(float(value["N"]) for value in values["L"])
