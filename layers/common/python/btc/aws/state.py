"""The state table: how far each feed is alive and each fill has come, the champion, who scores, who last retrained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from btc.aws.tables import put_if, where_met
from btc.champions import Champion, Promoted
from btc.history import Cursor
from btc.tape import Watermark
from btc.trades import Market

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


_SCORING: Final = {"name": {"S": "scoring"}}


class Reached(NamedTuple):
    """How far a feed is known to be alive, and how far its bars have been closed: the latter may still be under way."""

    mark: Watermark
    closed_until: int
    """Every bar that ends by then (µs) has been closed."""


@dataclass(frozen=True, slots=True)
class StateTable:
    """The table `state`: one item a feed, one a fill of the past, the champion's, scoring's and retraining's."""

    name: str
    client: "DynamoDBClient"

    def watermark(self, market: Market) -> Watermark | None:
        reached = self.reached(market)
        return reached.mark if reached else None

    def reached(self, market: Market) -> Reached | None:
        item = self._get(f"watermark:{market}")
        if item is None:
            return None
        alive_until = item["alive_until"]
        mark = Watermark(market, int(alive_until["N"]), int(item["last_id"]["N"]))
        return Reached(mark, int(item.get("closed_until", alive_until)["N"]))

    def advance(self, mark: Watermark, closed_until: int) -> None:
        """Keep the watermark unless a later one is kept already; its own bars are yet to be closed."""
        self._keep(Reached(mark, closed_until), "attribute_not_exists(last_id) OR alive_until < :until")

    def settle(self, mark: Watermark) -> None:
        """All bars up to the watermark are closed; of a later one its own writer tells."""
        self._keep(Reached(mark, mark.time), "alive_until = :until")

    def _keep(self, reached: Reached, condition: str) -> None:
        item = {
            "name": {"S": f"watermark:{reached.mark.market}"},
            "alive_until": {"N": str(reached.mark.time)},
            "last_id": {"N": str(reached.mark.last_id)},
            "closed_until": {"N": str(reached.closed_until)},
        }
        put_if(self.client, self.name, item, condition, {":until": item["alive_until"]})

    def fill(self, name: str) -> Cursor | None:
        """How far the fill of this name has come; None where it was never begun."""
        item = self._get(f"history:{name}")
        return msgspec.json.decode(item["cursor"]["S"], type=Cursor) if item else None

    def keep_fill(self, name: str, cursor: Cursor) -> None:
        item = {"name": {"S": f"history:{name}"}, "cursor": {"S": msgspec.json.encode(cursor).decode()}}
        self.client.put_item(TableName=self.name, Item=item)

    def champion(self) -> Champion | None:
        promoted = self.promoted()
        return promoted.champion if promoted else None

    def promoted(self) -> Promoted | None:
        """The champion with its card; one that was promoted without has an empty one."""
        item = self._get("champion")
        if item is None:
            return None
        champion = Champion(**{name: item[name]["S"] for name in Champion._fields})
        return Promoted(champion, msgspec.json.decode(item["card"]["S"], type=dict[str, Any]) if "card" in item else {})

    def promote(self, champion: Champion, card: Mapping[str, Any], approved_at: str = "") -> bool:
        """Let it serve; False where one does whose approval came later, and overtook this one's on the way.

        `approved_at` in ISO 8601 with whole seconds, as events tell it.
        """
        item: dict[str, Any] = {name: {"S": value} for name, value in champion._asdict().items()}
        item |= {"name": {"S": "champion"}, "card": {"S": msgspec.json.encode(card).decode()}}
        item["approved_at"] = {"S": approved_at}
        condition = "attribute_not_exists(approved_at) OR approved_at <= :approved"
        return put_if(self.client, self.name, item, condition, {":approved": item["approved_at"]})

    def begin_scoring(self, now: int, ends: int) -> int | None:
        """When scoring was last done (µs), 0 for never; None where somebody is at it.

        Whoever begins has until `ends` (µs) and must be over by then, or say before that scoring is over.
        """
        begun = where_met(
            lambda: self.client.update_item(
                TableName=self.name,
                Key=_SCORING,
                UpdateExpression="SET held_until = :ends",
                ConditionExpression="attribute_not_exists(held_until) OR held_until <= :now",
                ExpressionAttributeValues={":ends": {"N": str(ends)}, ":now": {"N": str(now)}},
                ReturnValues="ALL_OLD",
            )
        )
        if begun is None:
            return None
        before = begun.get("Attributes", {})
        return int(before["done_at"]["N"]) if "done_at" in before else 0

    def end_scoring(self, done_at: int) -> None:
        """The next may begin; `done_at` (µs) is when this one was, or where it failed, when the last before it was."""
        self.client.update_item(
            TableName=self.name,
            Key=_SCORING,
            UpdateExpression="SET held_until = :over, done_at = :done",
            ExpressionAttributeValues={":over": {"N": "0"}, ":done": {"N": str(done_at)}},
        )

    def retrained(self) -> tuple[int, int]:
        """When drift last started a retraining (µs; 0 for never), and the how manieth without a promotion it was."""
        item = self._get("retraining") or {}
        at, times = (int(item[name]["N"]) if name in item else 0 for name in ("started_at", "times"))
        return at, times

    def retrain(self, started_at: int, times: int) -> None:
        item = {"name": {"S": "retraining"}, "started_at": {"N": str(started_at)}, "times": {"N": str(times)}}
        self.client.put_item(TableName=self.name, Item=item)

    def _get(self, name: str) -> dict[str, Any] | None:
        return self.client.get_item(TableName=self.name, Key={"name": {"S": name}}, ConsistentRead=True).get("Item")
