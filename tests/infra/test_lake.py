"""The offline store: what Athena sees is what the archive writes."""

import pytest

from btc.lake import TABLES, folder
from btc.times import DAY
from btc.trades import Market
from tests.infra.assembly import ROOT, Assembly, Json, resolved


def glue(assembly: Assembly) -> dict[str, Json]:
    """The tables' inputs by name."""
    inputs = [resolved(table["Properties"]["TableInput"]) for table in assembly.of_type("Glue::Table").values()]
    return {each["Name"]: each for each in inputs}


def rights(assembly: Assembly, function: str) -> set[tuple[str, str]]:
    """(action, what it may be done to) in S3, of a function."""
    role = assembly.functions[function]["Properties"]["Role"]["Fn::GetAtt"][0]
    policies = [policy["Properties"] for policy in assembly.of_type("IAM::Policy").values()]
    return {
        (action, str(target))
        for policy in policies
        if {"Ref": role} in policy["Roles"]
        for statement in resolved(policy["PolicyDocument"]["Statement"])
        for action in listed(statement["Action"])
        for target in listed(statement["Resource"])
        if action.startswith("s3:")
    }


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_athena_sees_the_columns_that_are_written(dev: Assembly) -> None:
    told = {
        name: {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]}
        for name, table in glue(dev).items()
    }

    assert told == TABLES  # tests/unit hold the objects to these


@pytest.mark.parametrize("name", sorted(TABLES))
def test_athena_looks_where_it_is_written(name: str, dev: Assembly) -> None:
    table = glue(dev)[name]
    bucket = table["StorageDescriptor"]["Location"].split("/")[2]

    template = table["Parameters"]["storage.location.template"]
    found = template.replace("${venue}", "kraken").replace("${symbol}", "BTC-USD").replace("${date}", "2024-10-04")
    assert found == f"s3://{bucket}/" + folder(name, Market("kraken", "BTC-USD"), 20_000 * DAY)
    assert [key["Name"] for key in table["PartitionKeys"]] == ["venue", "symbol", "date"]


def test_no_partition_has_to_be_registered(dev: Assembly) -> None:
    for table in glue(dev).values():
        projected = {key: value for key, value in table["Parameters"].items() if key.startswith("projection.")}
        assert projected == {
            "projection.enabled": "true",
            "projection.venue.type": "enum",
            "projection.venue.values": "binance,coinbase,kraken",
            "projection.symbol.type": "enum",
            "projection.symbol.values": "BTC-USD,BTC-USDT",
            "projection.date.type": "date",
            "projection.date.format": "yyyy-MM-dd",
            "projection.date.range": "2010-01-01,NOW+1DAYS",
        }


def test_each_query_is_named_described_and_within_the_workgroup(dev: Assembly) -> None:
    queries = {query["Properties"]["Name"]: query["Properties"] for query in dev.of_type("Athena::NamedQuery").values()}

    assert set(queries) == {"buy pressure", "daily ohlc", "unproven minutes", "volume by venue"}
    for name, query in queries.items():
        assert query["QueryString"] == (ROOT / "cdk" / "queries" / f"{name.replace(' ', '_')}.sql").read_text()
        assert query["Description"].endswith(".")
        assert "FROM bars" in query["QueryString"]
        assert (query["WorkGroup"], query["Database"]) == ("predict-bitcoin-dev", "predict_bitcoin_dev")


def test_the_tapes_writer_may_add_and_nothing_else(dev: Assembly) -> None:
    [(action, target)] = {right for right in rights(dev, "archive_trades") if "Lake" in right[1]}

    assert action == "s3:PutObject"
    assert target.endswith("/tape/*")


@pytest.mark.parametrize(("function", "table"), [("archive_bars", "bars"), ("archive_forecasts", "forecasts")])
def test_a_day_is_rewritten_by_who_may_read_it_and_is_told_where_there_is_none(
    function: str, table: str, dev: Assembly
) -> None:
    given = {(action, target.partition("/")[2]) for action, target in rights(dev, function) if "Lake" in target}

    assert given == {("s3:GetObject", f"{table}/*"), ("s3:PutObject", f"{table}/*"), ("s3:ListBucket", "")}


def test_a_query_cannot_run_up_a_bill(dev: Assembly) -> None:
    configuration = dev.one("Athena::WorkGroup")["WorkGroupConfiguration"]

    assert configuration["BytesScannedCutoffPerQuery"] == 10**9
    assert configuration["EnforceWorkGroupConfiguration"]


def test_buckets_are_private_encrypted_and_refuse_plain_http(prod: Assembly) -> None:
    buckets = prod.of_type("S3::Bucket")
    policies = [resolved(policy["Properties"]) for policy in prod.of_type("S3::BucketPolicy").values()]
    secure = {
        policy["Bucket"]
        for policy in policies
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    }

    assert secure == {f"<{name}>" for name in buckets}
    for bucket in buckets.values():
        assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["Properties"]["BucketEncryption"]


@pytest.mark.parametrize(
    ("function", "seconds"), [("archive_bars", 300), ("archive_forecasts", 300), ("archive_trades", 300)]
)
def test_objects_are_written_now_and_then_and_locally_at_once(
    function: str, seconds: int, dev: Assembly, local: Assembly
) -> None:
    assert dev.event_source(function)["MaximumBatchingWindowInSeconds"] == seconds
    assert local.event_source(function)["MaximumBatchingWindowInSeconds"] == 2


def test_the_tape_is_read_like_the_bars_from_the_first_trade_on(dev: Assembly) -> None:
    tape, bars = (dev.event_source(name) for name in ("archive_trades", "aggregate_bars"))
    own = ("FunctionName", "MaximumBatchingWindowInSeconds")

    assert {key: value for key, value in tape.items() if key not in own} == {
        key: value for key, value in bars.items() if key not in own
    }
