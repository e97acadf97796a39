"""The online store and the function that fills it."""

from tests.infra.assembly import Assembly


def test_bars_are_keyed_by_market_and_start_and_tell_of_their_changes(dev: Assembly) -> None:
    [table] = [
        each["Properties"]
        for each in dev.of_type("DynamoDB::Table").values()
        if each["Properties"]["KeySchema"][0]["AttributeName"] == "market"
    ]

    assert [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]] == [
        ("market", "HASH"),
        ("start", "RANGE"),
    ]
    assert table["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}


def test_tables_cost_nothing_at_rest(dev: Assembly) -> None:
    assert {table["Properties"]["BillingMode"] for table in dev.of_type("DynamoDB::Table").values()} == {
        "PAY_PER_REQUEST"
    }


def test_trades_are_aggregated_in_their_order_from_the_first_on(dev: Assembly) -> None:
    source = dev.event_source("aggregate_bars")
    [stream] = dev.of_type("Kinesis::Stream")

    assert source["EventSourceArn"] == {"Fn::GetAtt": [stream, "Arn"]}
    assert source["StartingPosition"] == "TRIM_HORIZON"
    assert source["ParallelizationFactor"] == 1
    assert source["BatchSize"] == 10_000
    assert source["MaximumBatchingWindowInSeconds"] == 0
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
