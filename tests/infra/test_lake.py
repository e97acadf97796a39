"""The offline store: what Athena sees is what the archive writes."""

from btc.times import DAY
from btc.trades import Market
from cdk.lake import BAR_COLUMNS
from tests.infra.assembly import Assembly, resolved


def test_athena_sees_the_columns_that_are_written(dev: Assembly) -> None:
    from btc.aws.lake import BAR_TYPES  # noqa: PLC0415 - a second's import that only this test needs

    columns = dev.one("Glue::Table")["TableInput"]["StorageDescriptor"]["Columns"]

    assert {column["Name"]: column["Type"] for column in columns} == BAR_TYPES == BAR_COLUMNS


def test_athena_looks_where_it_is_written(dev: Assembly) -> None:
    from btc.aws.lake import bars_path  # noqa: PLC0415

    table = resolved(dev.one("Glue::Table")["TableInput"])
    bucket = table["StorageDescriptor"]["Location"].split("/")[2]
    written = bars_path(bucket, Market("kraken", "BTC-USD"), 20_000 * DAY)

    template = table["Parameters"]["storage.location.template"]
    found = template.replace("${venue}", "kraken").replace("${symbol}", "BTC-USD").replace("${date}", "2024-10-04")
    assert written.startswith(found)
    assert [key["Name"] for key in table["PartitionKeys"]] == ["venue", "symbol", "date"]
    assert table["Parameters"]["projection.symbol.values"] == "BTC-USD"


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


def test_changed_days_are_rewritten_about_once_a_minute(dev: Assembly, local: Assembly) -> None:
    assert dev.event_source("archive_bars")["MaximumBatchingWindowInSeconds"] == 60
    assert local.event_source("archive_bars")["MaximumBatchingWindowInSeconds"] == 2
