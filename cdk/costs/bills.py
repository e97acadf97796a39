"""A template's monthly bill: every type of resource in it is priced here, or named as free with the reason."""

import re
from dataclasses import dataclass
from typing import Any

from cdk.costs.free import FREE
from cdk.costs.loads import SECONDS, Load, Windows, Work, works
from cdk.costs.pricers import PRICERS, Json, UnpricedError, service
from cdk.costs.rows import Row, allowances


@dataclass(frozen=True)
class Bill:
    """Rows of the one template under the one load."""

    template: Json
    load: Load
    spot: bool = False
    """Price the ingest task as Spot, whatever the template says of it."""

    @property
    def rows(self) -> list[Row]:
        """What AWS charges and, behind it, what it takes off; raises UnpricedError as `listed` does."""
        return [*(listed := self.listed), *allowances(listed)]

    @property
    def listed(self) -> list[Row]:
        """At list prices; raises UnpricedError on a type that is neither priced nor free."""
        resources = self.template["Resources"]
        kinds = {resource["Type"] for resource in resources.values()}
        if unknown := sorted(kinds - set(FREE) - set(PRICERS)):
            raise UnpricedError(
                f"nobody knows what {', '.join(unknown)} costs: give it a price in cdk/costs/pricers.py, "
                "or name it in FREE with the reason"
            )
        return [
            row
            for name, resource in resources.items()
            if resource["Type"] in PRICERS
            for row in PRICERS[resource["Type"]](self, name, resource.get("Properties", {}))
        ]

    @property
    def total(self) -> float:
        """What the month costs, if the account's allowances are this stack's alone."""
        return sum(row.usd for row in self.rows)

    @property
    def list_total(self) -> float:
        """The same where others have used them up."""
        return sum(row.usd for row in self.listed)

    @property
    def works(self) -> dict[str, Work]:
        return works(self.load, self.windows)

    @property
    def windows(self) -> Windows:
        """As the template has them."""
        waits = {}
        for source in self.of_type("AWS::Lambda::EventSourceMapping").values():
            function = service(self.template["Resources"][source["FunctionName"]["Ref"]]["Properties"])
            waits[str(function)] = float(source.get("MaximumBatchingWindowInSeconds", 0))
        audit, score = self._environment("audit_bars"), self._environment("score_forecasts")
        return Windows(
            waits,
            audit_minutes=float(audit["EVERY_MINUTES"]),
            audit_days=float(audit["LOOK_BACK_DAYS"]),
            score_minutes=self._every_minutes("score_forecasts"),
            score_days=(float(score["CATCH_UP_HOURS"]) + float(score["RETENTION_DAYS"])) / 24,
        )

    def _every_minutes(self, function: str) -> float:
        """What its schedule says."""
        for schedule in self.of_type("AWS::Scheduler::Schedule").values():
            target = schedule["Target"]["Arn"].get("Fn::GetAtt", [""])[0]
            if target and service(self.template["Resources"][target].get("Properties", {})) == function:
                return float(schedule["ScheduleExpression"].removeprefix("rate(").split()[0])
        raise KeyError(function)

    @property
    def too_slow(self) -> list[str]:
        """Functions of which one invocation would take longer than it may, or all together longer than there is."""
        found = []
        for properties in self.of_type("AWS::Lambda::Function").values():
            called = service(properties)
            work = self.works.get(called) if called else None
            if work and called != "api" and work.invocations:
                busy = work.seconds(int(properties["MemorySize"]))
                shards = self.load.shards if called in ("aggregate_bars", "archive_trades") else 1
                if busy / work.invocations > int(properties["Timeout"]) or busy > SECONDS * shards:
                    found.append(str(called))
        return found

    def retained_days(self, function: str) -> int:
        return int(self._environment(function)["RETENTION_DAYS"])

    def of_type(self, kind: str) -> dict[str, Any]:
        resources = self.template["Resources"].items()
        return {name: resource.get("Properties", {}) for name, resource in resources if resource["Type"] == kind}

    def _environment(self, function: str) -> Json:
        functions = self.of_type("AWS::Lambda::Function").values()
        found: Json = next(each for each in functions if service(each) == function)["Environment"]["Variables"]
        return found

    def row(self, name: str, item: str, quantity: float, price: str, share: float = 1.0) -> Row:
        kind = self.template["Resources"][name]["Type"]
        return Row(re.sub(r"[0-9A-F]{8}$", "", name), kind, item, quantity, price, share)
