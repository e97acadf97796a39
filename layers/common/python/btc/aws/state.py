"""The state table: how far each feed is known to be alive, which model is the champion, when drift last retrained."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from btc.aws.tables import put_if
from btc.champions import Champion
from btc.tape import Watermark
from btc.trades import Market

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class StateTable:
    """The table `state`: one item a feed, one that names the champion, one that tells of the last retraining."""

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
