"""What each type of resource of a template costs: one function a type, from its properties and the bill's load."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from cdk.costs.loads import (
    ANSWER_BYTES,
    DAY_BYTES,
    DETAILS,
    FIT_H,
    HOURS,
    ITEM_BYTES,
    METRICS,
    MINUTES,
    PLATFORM_LOG_BYTES,
    PROCESSING_H,
    REPORT_LOG_BYTES,
    SECONDS,
    STARTS,
    TAPE_BYTES,
    traced,
)
from cdk.costs.prices import PRICES
from cdk.costs.rows import Row

if TYPE_CHECKING:
    from cdk.costs.bills import Bill

Json = Mapping[str, Any]
GB: Final = 1e9


class UnpricedError(ValueError):
    """The template has a type of resource that nobody has named a price for."""


def service(function: Json) -> str | None:
    """The folder of functions/ that it is made of; None for those of the CDK's own."""
    name: str | None = function.get("Environment", {}).get("Variables", {}).get("POWERTOOLS_SERVICE_NAME")
    return name


def _function(bill: "Bill", name: str, properties: Json) -> Iterator[Row]:
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


def _metrics(bill: "Bill", name: str, called: str, environment: Json) -> Iterator[Row]:
    symbols = bill.load.symbols
    count = sum(symbols if each else 1 for each in METRICS.get(called, {}).values())
    if environment["DETAILED_METRICS"] == "true":
        once, by_market = DETAILS.get(called, (0, 0))
        count += once + by_market * symbols
    if count:
        yield bill.row(name, "custom metrics", count, "metric")


def _stream(bill: "Bill", name: str, properties: Json) -> Iterator[Row]:
    shards = max(int(properties["ShardCount"]), bill.load.shards)
    yield bill.row(name, "shards", shards * HOURS, "shard")
    yield bill.row(name, "records", bill.load.records * SECONDS, "put")
    if "StreamEncryption" in properties:
        # The writer and the two readers each ask for a data key about every five minutes.
        yield bill.row(name, "data keys", 3 * MINUTES / 5, "kms")


def _service(bill: "Bill", name: str, properties: Json) -> Iterator[Row]:
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


def _table(bill: "Bill", name: str, properties: Json) -> Iterator[Row]:
    if properties.get("BillingMode") != "PAY_PER_REQUEST":
        raise UnpricedError(f"{name} has provisioned capacity, which cdk/costs/pricers.py does not price")
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


def _bucket(bill: "Bill", name: str, properties: Json) -> Iterator[Row]:
    """At the end of its first year; of the lake alone, beside which the others are small."""
    if name.startswith("Lake"):
        days = sum(DAY_BYTES.values()) * 365 * bill.load.symbols
        tape = TAPE_BYTES * bill.load.trades * SECONDS * 12
        yield bill.row(name, "stored after a year", (days + tape) / GB, "s3_gb")
        if properties.get("VersioningConfiguration", {}).get("Status") == "Enabled":
            yield bill.row(name, "old versions", _old_versions(bill, properties) / GB, "s3_gb")


def _old_versions(bill: "Bill", properties: Json) -> float:
    """Bytes of days that were written over and are still kept; each is on average half of what its day comes to.

    Raises UnpricedError where they are kept for good: then no month is like another.
    """
    rules = properties.get("LifecycleConfiguration", {}).get("Rules", ())
    kept = [rule["NoncurrentVersionExpiration"] for rule in rules if "NoncurrentVersionExpiration" in rule]
    if not kept:
        raise UnpricedError("old versions of the lake's objects are never deleted: give them an end in cdk/lake.py")
    months = min(int(each["NoncurrentDays"]) for each in kept) * 24 / HOURS
    written = {table: bill.works[f"archive_{table}"].used.puts for table in DAY_BYTES}
    return sum(months * written[table] * size / 2 for table, size in DAY_BYTES.items())


def _api(bill: "Bill", name: str, properties: Json) -> Iterator[Row]:  # noqa: ARG001
    calls = bill.load.api_calls
    yield bill.row(name, "calls", calls, "api_call")
    yield bill.row(name, "answers", calls * ANSWER_BYTES / GB, "out_gb")
    yield bill.row(name, "access log", calls * 400 / GB, "log_gb")


def _sockets(bill: "Bill", name: str, properties: Json) -> Iterator[Row]:  # noqa: ARG001
    """Each listens to one symbol, a message a minute; they come anew every two hours, which is little."""
    minutes = bill.load.listeners * MINUTES
    yield bill.row(name, "connections", minutes, "connection_minute")
    yield bill.row(name, "messages", minutes, "message")
    yield bill.row(name, "forecasts", minutes * ANSWER_BYTES / GB, "out_gb")


def _alarm(bill: "Bill", name: str, properties: Json) -> Iterator[Row]:
    count = sum("MetricStat" in each for each in properties.get("Metrics", ())) or 1
    yield bill.row(name, "alarm", count, "alarm")


def _web_acl(bill: "Bill", name: str, properties: Json) -> Iterator[Row]:
    """A group of rules counts as one; Amazon's own cost no more than that."""
    yield bill.row(name, "web ACL", 1, "web_acl")
    yield bill.row(name, "rules", len(properties["Rules"]), "waf_rule")
    yield bill.row(name, "requests", bill.load.api_calls, "waf_request")


def _version(bill: "Bill", name: str, properties: Json) -> Iterator[Row]:
    """Of what starts from a snapshot; other versions cost nothing."""
    function = bill.template["Resources"][properties["FunctionName"]["Ref"]]["Properties"]
    if "SnapStart" in function:
        kept_gb = int(function["MemorySize"]) / 1024
        yield bill.row(name, "snapshot kept", kept_gb * SECONDS, "snapshot_gb_s")
        yield bill.row(name, "restored", kept_gb * STARTS, "restored_gb")


def _logs(bill: "Bill", name: str, properties: Json) -> Iterator[Row]:
    """What is taken in is in the rows of those who write it; what is kept shrinks to a seventh."""
    kept = int(properties["RetentionInDays"]) / 30
    if name.startswith("BarsAggregate"):
        work = bill.works["aggregate_bars"]
        taken = (work.used.log_bytes + PLATFORM_LOG_BYTES * work.invocations) / GB
        yield bill.row(name, "kept", taken * min(kept, 12) * 0.15, "log_stored_gb")


def _pipeline(bill: "Bill", name: str, properties: Json) -> Iterator[Row]:
    """A search is taken to last as long as it may, and so to be the dearest."""
    text = json.dumps(properties).replace("\\", "")
    parameters = dict(re.findall(r'"Name":"(\w+)","Type":"String","DefaultValue":"([^"]+)"', text))
    instance, jobs = parameters["InstanceType"], re.findall(r'"ClusterConfig":{"InstanceType":"([^"]+)"', text)
    if unknown := sorted({instance, *jobs} - set(PRICES)):
        raise UnpricedError(f"{name} runs on {unknown[0]}, which cdk/costs/prices.py has no price for: add it there")
    share = PRICES["ml_spot"].usd if '"EnableManagedSpotTraining":true' in text else 1.0
    times, hours = bill.load.retrainings, int(parameters["TrainSeconds"]) / 3600 + FIT_H
    yield bill.row(name, "training", times * hours, instance, share)
    for job in sorted(set(jobs)):
        yield bill.row(name, "snapshot and gate", times * jobs.count(job) * PROCESSING_H, job)


def _schedule(bill: "Bill", name: str, properties: Json) -> Iterator[Row]:
    every = re.fullmatch(r"rate\((\d+) minutes?\)", properties["ScheduleExpression"])
    yield bill.row(name, "runs", MINUTES / int(every[1]) if every else bill.load.retrainings, "schedule")


def _monthly(item: str, price: str) -> Callable[["Bill", str, Json], Iterator[Row]]:
    def price_it(bill: "Bill", name: str, properties: Json) -> Iterator[Row]:  # noqa: ARG001
        yield bill.row(name, item, 1, price)

    return price_it


PRICERS: Final[Mapping[str, Callable[["Bill", str, Json], Iterator[Row]]]] = {
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
