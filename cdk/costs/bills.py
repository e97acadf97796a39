"""A template's monthly bill: every type of resource in it is priced here, or named as free with the reason."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cdk.costs.free import FREE
from cdk.costs.loads import (
    ANSWER_BYTES,
    DAY_BYTES,
    DETAILS,
    GATE_H,
    HOURS,
    ITEM_BYTES,
    METRICS,
    MINUTES,
    PLATFORM_LOG_BYTES,
    REPORT_LOG_BYTES,
    SECONDS,
    STARTS,
    TAPE_BYTES,
    TRAINING_H,
    Load,
    Windows,
    Work,
    traced,
    works,
)
from cdk.costs.prices import PRICES
from cdk.costs.rows import Row, allowances

Json = Mapping[str, Any]
GB: Final = 1e9


class UnpricedError(ValueError):
    """The template has a type of resource that nobody has named a price for."""


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
        if unknown := sorted(kinds - set(FREE) - set(_PRICED)):
            raise UnpricedError(
                f"nobody knows what {', '.join(unknown)} costs: give it a price in cdk/costs/bills.py, "
                "or name it in FREE with the reason"
            )
        return [
            row
            for name, resource in resources.items()
            if resource["Type"] in _PRICED
            for row in _PRICED[resource["Type"]](self, name, resource.get("Properties", {}))
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


def service(function: Json) -> str | None:
    """The folder of functions/ that it is made of; None for those of the CDK's own."""
    name: str | None = function.get("Environment", {}).get("Variables", {}).get("POWERTOOLS_SERVICE_NAME")
    return name


def _function(bill: Bill, name: str, properties: Json) -> Iterator[Row]:
    called = service(properties)
    if called is None:
        return  # the CDK's own, which runs when the stack goes
    if called not in bill.works:
        raise UnpricedError(f"nobody knows how often {called} runs: say so in cdk/costs/loads.py")
    work, memory = bill.works[called], int(properties["MemorySize"])
    yield bill.row(name, "invocations", work.invocations, "request")
    yield bill.row(name, f"{memory} MB", work.seconds(memory) * memory / 1024, "lambda_gb_s")
    yield bill.row(name, "reads", work.used.reads, "read")
    yield bill.row(name, "writes", work.used.writes, "write")
    yield bill.row(name, "objects put", work.used.puts, "s3_put")
    yield bill.row(name, "objects got", work.used.gets, "s3_get")
    yield bill.row(name, "log", (work.used.log_bytes + PLATFORM_LOG_BYTES * work.invocations) / GB, "log_gb")
    yield from _metrics(bill, name, called, properties["Environment"]["Variables"])
    if properties.get("TracingConfig", {}).get("Mode") == "Active":
        yield bill.row(name, "traces", traced(work.invocations), "trace")


def _metrics(bill: Bill, name: str, called: str, environment: Json) -> Iterator[Row]:
    symbols = bill.load.symbols
    count = sum(symbols if each else 1 for each in METRICS.get(called, {}).values())
    if environment["DETAILED_METRICS"] == "true":
        once, by_market = DETAILS.get(called, (0, 0))
        count += once + by_market * symbols
    if count:
        yield bill.row(name, "custom metrics", count, "metric")


def _stream(bill: Bill, name: str, properties: Json) -> Iterator[Row]:
    shards = max(int(properties["ShardCount"]), bill.load.shards)
    yield bill.row(name, "shards", shards * HOURS, "shard")
    yield bill.row(name, "records", bill.load.records * SECONDS, "put")
    if "StreamEncryption" in properties:
        # The writer and the two readers each ask for a data key about every five minutes.
        yield bill.row(name, "data keys", 3 * MINUTES / 5, "kms")


def _service(bill: Bill, name: str, properties: Json) -> Iterator[Row]:
    task = bill.template["Resources"][properties["TaskDefinition"]["Ref"]]["Properties"]
    hours = HOURS * (count := int(properties["DesiredCount"]))
    cpu = max(int(task["Cpu"]), bill.load.task_cpu)
    memory = max(int(task["Memory"]), 2 * cpu)
    # The provider beside Spot is there for what Spot may take away: it stays On-Demand.
    kept = len(properties["CapacityProviderStrategy"]) - 1
    share = (kept + (count - kept) * PRICES["fargate_spot"].usd) / count if bill.spot else 1.0
    yield bill.row(name, f"{cpu / 1024:g} vCPU", cpu / 1024 * hours, "vcpu", share)
    yield bill.row(name, f"{memory} MB", memory / 1024 * hours, "fargate_gb", share)
    if properties["NetworkConfiguration"]["AwsvpcConfiguration"].get("AssignPublicIp") == "ENABLED":
        yield bill.row(name, "public address", hours, "ipv4")
    yield bill.row(name, "log", count * MINUTES * REPORT_LOG_BYTES / GB, "log_gb")
    environment = {each["Name"]: each["Value"] for each in task["ContainerDefinitions"][0]["Environment"]}
    yield from _metrics(bill, name, "ingest_trades", environment)


def _table(bill: Bill, name: str, properties: Json) -> Iterator[Row]:
    if properties.get("BillingMode") != "PAY_PER_REQUEST":
        raise UnpricedError(f"{name} has provisioned capacity, which cdk/costs/bills.py does not price")
    sort_key = [key["AttributeName"] for key in properties["KeySchema"]][1:]
    items = {
        ("start",): 1440 * bill.retained_days("aggregate_bars") * ITEM_BYTES["bars"],
        ("target_time",): 4 * 1440 * bill.retained_days("forecast") * ITEM_BYTES["forecasts"],
    }
    stored = items.get(tuple(sort_key), 0) * bill.load.symbols / GB
    yield bill.row(name, "stored", stored, "dynamodb_gb")
    if properties.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled"):
        yield bill.row(name, "recovery", stored, "pitr_gb")
    if "KMSMasterKeyId" in properties.get("SSESpecification", {}):
        # DynamoDB asks for the table's key anew after five minutes, for each that uses it.
        users = sum(name in json.dumps(each) for each in bill.of_type("AWS::Lambda::Function").values())
        yield bill.row(name, "data keys", users * MINUTES / 5, "kms")


def _bucket(bill: Bill, name: str, properties: Json) -> Iterator[Row]:  # noqa: ARG001 - all pricers are told the same
    """At the end of its first year; of the lake alone, beside which the others are small."""
    if name.startswith("Lake"):
        days = sum(DAY_BYTES.values()) * 365 * bill.load.symbols
        tape = TAPE_BYTES * bill.load.trades * SECONDS * 12
        yield bill.row(name, "stored after a year", (days + tape) / GB, "s3_gb")


def _api(bill: Bill, name: str, properties: Json) -> Iterator[Row]:  # noqa: ARG001
    calls = bill.load.api_calls
    yield bill.row(name, "calls", calls, "api_call")
    yield bill.row(name, "answers", calls * ANSWER_BYTES / GB, "out_gb")
    yield bill.row(name, "access log", calls * 400 / GB, "log_gb")


def _sockets(bill: Bill, name: str, properties: Json) -> Iterator[Row]:  # noqa: ARG001
    """Each listens to one symbol, a message a minute; they come anew every two hours, which is little."""
    minutes = bill.load.listeners * MINUTES
    yield bill.row(name, "connections", minutes, "connection_minute")
    yield bill.row(name, "messages", minutes, "message")
    yield bill.row(name, "forecasts", minutes * ANSWER_BYTES / GB, "out_gb")


def _alarm(bill: Bill, name: str, properties: Json) -> Iterator[Row]:
    count = sum("MetricStat" in each for each in properties.get("Metrics", ())) or 1
    yield bill.row(name, "alarm", count, "alarm")


def _web_acl(bill: Bill, name: str, properties: Json) -> Iterator[Row]:
    """A group of rules counts as one; Amazon's own cost no more than that."""
    yield bill.row(name, "web ACL", 1, "web_acl")
    yield bill.row(name, "rules", len(properties["Rules"]), "waf_rule")
    yield bill.row(name, "requests", bill.load.api_calls, "waf_request")


def _version(bill: Bill, name: str, properties: Json) -> Iterator[Row]:
    """Of what starts from a snapshot; other versions cost nothing."""
    function = bill.template["Resources"][properties["FunctionName"]["Ref"]]["Properties"]
    if "SnapStart" in function:
        kept_gb = int(function["MemorySize"]) / 1024
        yield bill.row(name, "snapshot kept", kept_gb * SECONDS, "snapshot_gb_s")
        yield bill.row(name, "restored", kept_gb * STARTS, "restored_gb")


def _logs(bill: Bill, name: str, properties: Json) -> Iterator[Row]:
    """What is taken in is in the rows of those who write it; what is kept shrinks to a seventh."""
    kept = int(properties["RetentionInDays"]) / 30
    if name.startswith("BarsAggregate"):
        work = bill.works["aggregate_bars"]
        taken = (work.used.log_bytes + PLATFORM_LOG_BYTES * work.invocations) / GB
        yield bill.row(name, "kept", taken * min(kept, 12) * 0.15, "log_stored_gb")


def _pipeline(bill: Bill, name: str, properties: Json) -> Iterator[Row]:
    text = json.dumps(properties)
    instance = next((kind for kind in ("ml.m5.xlarge",) if kind in text), None)
    if instance is None:
        raise UnpricedError(f"{name} trains on an instance that cdk/costs/prices.py has no price for: add it there")
    spot = '\\"EnableManagedSpotTraining\\":true' in text.replace('\\\\"', '\\"')
    times = bill.load.retrainings
    yield bill.row(name, "training", times * TRAINING_H, instance, PRICES["ml_spot"].usd if spot else 1.0)
    yield bill.row(name, "gate", times * GATE_H, instance)


def _schedule(bill: Bill, name: str, properties: Json) -> Iterator[Row]:
    every = re.fullmatch(r"rate\((\d+) minutes?\)", properties["ScheduleExpression"])
    yield bill.row(name, "runs", MINUTES / int(every[1]) if every else bill.load.retrainings, "schedule")


def _monthly(item: str, price: str) -> Callable[[Bill, str, Json], Iterator[Row]]:
    def price_it(bill: Bill, name: str, properties: Json) -> Iterator[Row]:  # noqa: ARG001
        yield bill.row(name, item, 1, price)

    return price_it


_PRICED: Final[Mapping[str, Callable[[Bill, str, Json], Iterator[Row]]]] = {
    "AWS::ApiGateway::RestApi": _api,
    "AWS::ApiGatewayV2::Api": _sockets,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::Dashboard": _monthly("dashboard", "dashboard"),
    "AWS::DynamoDB::Table": _table,
    "AWS::ECS::Service": _service,
    "AWS::KMS::Key": _monthly("key", "key"),
    "AWS::Kinesis::Stream": _stream,
    "AWS::Lambda::Function": _function,
    "AWS::Lambda::Version": _version,
    "AWS::Logs::LogGroup": _logs,
    "AWS::S3::Bucket": _bucket,
    "AWS::SageMaker::Pipeline": _pipeline,
    "AWS::Scheduler::Schedule": _schedule,
    "AWS::SecretsManager::Secret": _monthly("secret", "secret"),
    "AWS::WAFv2::WebACL": _web_acl,
}
