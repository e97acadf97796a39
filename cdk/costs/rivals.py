"""What stands beside the bill: the same system on Kafka, with an endpoint that never sleeps and a NAT gateway."""

from typing import Final

from cdk.costs.bills import Bill
from cdk.costs.loads import HOURS, SECONDS
from cdk.costs.rows import Row, allowances

BROKERS: Final = 2
"""The fewest that MSK gives."""
BROKER_GB: Final = 10
FRAME_BYTES: Final = 165
"""A trade as the venue sends it (README, ingest_bytes_per_trade × its ratio)."""


def on_kafka(bill: Bill) -> list[Row]:
    """The bill's rows, with what that design has in the place of the stream, of forecast and of the task's address."""
    load = bill.load
    kept = [
        row
        for row in bill.listed
        if row.type != "AWS::Kinesis::Stream" and row.price != "ipv4" and row.resource != "ForecastsForecast"
    ]
    frames = load.trades * FRAME_BYTES * SECONDS / 1e9
    rows = [
        *kept,
        Row("MSK", "AWS::MSK::Cluster", f"{BROKERS} brokers", BROKERS * HOURS, "msk_broker"),
        Row("MSK", "AWS::MSK::Cluster", "stored", BROKERS * BROKER_GB, "msk_gb"),
        Row("Endpoint", "AWS::SageMaker::Endpoint", "one instance", HOURS, "ml.t3.medium"),
        Row("NAT", "AWS::EC2::NatGateway", "one zone", HOURS, "nat"),
        Row("NAT", "AWS::EC2::NatGateway", "its address", HOURS, "ipv4"),
        Row("NAT", "AWS::EC2::NatGateway", "frames and records", frames + load.bytes_per_s * SECONDS / 1e9, "nat_gb"),
    ]
    return [*rows, *allowances(rows)]
