"""The state table: how far each feed is alive and each fill has come, the champion, when drift last retrained."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from btc.aws.tables import put_if
from btc.champions import Champion
from btc.history import Cursor
from btc.tape import Watermark
from btc.trades import Market

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class StateTable:
    """The table `state`: one item a feed, one a fill of the past, the champion's, and the last retraining's."""

    name: str
    client: "DynamoDBClient"

    def watermark(self, market: Market) -> Watermark | None:
        item = self._get(f"watermark:{market}")
        return Watermark(market, int(item["alive_until"]["N"]), int(item["last_id"]["N"])) if item else None

    def advance(self, mark: Watermark) -> None:
        """Keep the watermark unless a later one is kept already."""
        item = {
            "name": {"S": f"watermark:{mark.market}"},
            "alive_until": {"N": str(mark.time)},
            "last_id": {"N": str(mark.last_id)},
        }
        later = {":until": item["alive_until"]}
        put_if(self.client, self.name, item, "attribute_not_exists(last_id) OR alive_until < :until", later)

    def fill(self, name: str) -> Cursor | None:
        """How far the fill of this name has come; None where it was never begun."""
        item = self._get(f"history:{name}")
        return msgspec.json.decode(item["cursor"]["S"], type=Cursor) if item else None

    def keep_fill(self, name: str, cursor: Cursor) -> None:
        item = {"name": {"S": f"history:{name}"}, "cursor": {"S": msgspec.json.encode(cursor).decode()}}
        self.client.put_item(TableName=self.name, Item=item)

    def champion(self) -> Champion | None:
        item = self._get("champion")
        return Champion(**{name: item[name]["S"] for name in Champion._fields}) if item else None

    def promote(self, champion: Champion) -> None:
        item: dict[str, Any] = {name: {"S": value} for name, value in champion._asdict().items()}
        self.client.put_item(TableName=self.name, Item={"name": {"S": "champion"}, **item})

    def retrained_at(self) -> int:
        """When drift last started a retraining (µs); 0 for never."""
        item = self._get("retraining")
        return int(item["started_at"]["N"]) if item else 0

    def retrain(self, started_at: int) -> None:
        self.client.put_item(
            TableName=self.name, Item={"name": {"S": "retraining"}, "started_at": {"N": str(started_at)}}
        )

    def _get(self, name: str) -> dict[str, Any] | None:
        return self.client.get_item(TableName=self.name, Key={"name": {"S": name}}, ConsistentRead=True).get("Item")
