"""Prices of us-east-1 in US dollars, and what AWS gives every account each month for good, each with where and when it
was read. What it gives for an account's first year alone is not here."""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Source(NamedTuple):
    """A page that names prices."""

    page: str
    read: str = ""
    """When it was written or last revised; empty: the page itself could not be read, the figure is from memory."""


class Price(NamedTuple):
    """One unit's price."""

    usd: float
    unit: str
    source: Source

    @property
    def verified(self) -> bool:
        return bool(self.source.read)


class Allowance(NamedTuple):
    """What an account has for nothing each month, however old it is, whichever of its stacks uses it."""

    quantity: float
    """In the price's unit."""
    words: str
    """The same, in words shorter than the price's."""
    source: Source


def _unread(service: str) -> Source:
    return Source(f"aws.amazon.com/{service}/pricing")


_KINESIS = Source("c3x.dev/resources/aws/aws_kinesis_stream", "2026")
_PUT = Source("costcalculator.calculator.city/aws-kinesis-cost-calculator", "2025")
_FARGATE = Source("www.vantage.sh/blog/fargate-pricing", "2025")
_SPOT = Source("www.wring.co/blog/aws-fargate-pricing-guide", "2026-03-10")
_IPV4 = Source("www.doit.com/aws-public-ipv4-price-increase-the-complete-guide", "2024")
_LAMBDA = Source("cloudchipr.com/blog/aws-lambda-pricing", "2024")
_DYNAMODB = Source("airbyte.com/data-engineering-resources/dynamodb-pricing", "2025-07-21")
_METRIC = Source("signoz.io/guides/cloudwatch-pricing", "2026-02-15")
_ALARM = Source("c3x.dev/resources/aws/aws_cloudwatch_metric_alarm", "2026")
_CLOUDWATCH = Source("www.factualminds.com/blog/amazon-cloudwatch-pricing-metrics-logs-alarms-dashboards", "2026-06-13")
_API = Source("docs.aws.amazon.com/whitepapers/latest/best-practices-api-gateway-private-apis-integration", "2024")
_SOCKET = Source("www.wring.co/blog/aws-api-gateway-pricing-guide", "2026")
_OUT = Source("www.apigatewaycost.com/aws", "2026")
_S3 = Source("devnotes.tech/understanding-aws-s3-pricing-a-complete-cost-breakdown-with-examples", "2024")
_INSTANCE = Source("github.com/aws-samples/foundation-model-benchmarking-tool, src/fmbench/configs/pricing.yml", "2024")
_ENDPOINT = Source("www.wring.co/blog/aws-sagemaker-inference-guide", "2026-03-15")
_WAF = Source("c3x.dev/blog/aws-waf-cost-explained", "2026")
_SNAP_START = Source("awsnegotiations.com/blog/lambda-snapstart-cost-impact", "2026-05")
_KMS = Source("www.wring.co/blog/aws-kms-pricing-guide", "2026")
_XRAY = Source("aws.amazon.com/xray/pricing", "undated copy")
_BILL = Source("github.com/hylang/hy/files/7528529, an account's bill", "2021-11-12")
_BILLED_METRICS = Source("github.com/femiwiki/femiwiki/issues/228, an account's bill", "2021-04-01")
_NAT = Source("projecthelena.com/blog/aws-bill-breakdown-2026", "2026")
_NAT_GB = Source("agentbeck.bot/report/63822", "2026-06-20")

PRICES: Final[Mapping[str, Price]] = {
    "shard": Price(0.015, "shard-hour", _KINESIS),
    "put": Price(0.014e-6, "PUT payload unit of 25 KB", _PUT),
    "vcpu": Price(0.03238, "vCPU-hour, Fargate on ARM", _FARGATE),
    "fargate_gb": Price(0.00356, "GB-hour, Fargate on ARM", _FARGATE),
    "fargate_spot": Price(0.3, "of Fargate's price, on Spot, which varies", _SPOT),
    "ipv4": Price(0.005, "public IPv4 address-hour", _IPV4),
    "request": Price(0.20e-6, "Lambda request", _LAMBDA),
    "lambda_gb_s": Price(0.0000133334, "GB-second, Lambda on ARM", _LAMBDA),
    "write": Price(0.625e-6, "DynamoDB write request unit", _DYNAMODB),
    "read": Price(0.125e-6, "DynamoDB read request unit", _DYNAMODB),
    "dynamodb_gb": Price(0.25, "GB-month, DynamoDB", _unread("dynamodb")),
    "pitr_gb": Price(0.20, "GB-month, recovery to a point in time", _unread("dynamodb")),
    "metric": Price(0.30, "custom metric a month", _METRIC),
    "alarm": Price(0.10, "alarm a month, for each metric", _ALARM),
    "dashboard": Price(3.00, "dashboard a month", _CLOUDWATCH),
    "log_gb": Price(0.50, "GB of logs taken in", _CLOUDWATCH),
    "log_stored_gb": Price(0.03, "GB-month of logs", _unread("cloudwatch")),
    "api_call": Price(3.50e-6, "REST API call", _API),
    "message": Price(1.00e-6, "message of 32 KB over a WebSocket", _SOCKET),
    "connection_minute": Price(0.25e-6, "minute of a WebSocket", _SOCKET),
    "out_gb": Price(0.09, "GB to the internet", _OUT),
    "s3_gb": Price(0.023, "GB-month, S3 Standard", _S3),
    "s3_put": Price(0.005e-3, "S3 PUT", _S3),
    "s3_get": Price(0.0004e-3, "S3 GET", _S3),
    "ml.m5.xlarge": Price(0.23, "ml.m5.xlarge-hour", _INSTANCE),
    "ml_spot": Price(0.3, "of the instance's price, on Spot, which varies", _unread("sagemaker")),
    "trace": Price(5.00e-6, "X-Ray trace recorded", _XRAY),
    "web_acl": Price(5.00, "WAF's web ACL a month", _WAF),
    "waf_rule": Price(1.00, "WAF's rule or group of rules a month", _WAF),
    "waf_request": Price(0.60e-6, "request that WAF looks at", _WAF),
    "snapshot_gb_s": Price(0.0000015046, "GB-second of a kept snapshot", _SNAP_START),
    "restored_gb": Price(0.0001397998, "GB restored from a snapshot", _SNAP_START),
    "schedule": Price(1.00e-6, "EventBridge Scheduler invocation", _unread("eventbridge")),
    "kms": Price(0.03e-4, "KMS request", _KMS),
    "secret": Price(0.40, "secret a month", _unread("secrets-manager")),
    "key": Price(1.00, "KMS key a month", _KMS),
    "msk_broker": Price(0.0456, "broker-hour, kafka.t3.small", _unread("msk")),
    "msk_gb": Price(0.10, "GB-month, MSK", _unread("msk")),
    "ml.t3.medium": Price(0.05, "ml.t3.medium-hour, of a job or an endpoint", _ENDPOINT),
    "nat": Price(0.045, "NAT gateway-hour", _NAT),
    "nat_gb": Price(0.045, "GB through a NAT gateway", _NAT_GB),
}

ALLOWANCES: Final[Mapping[str, Allowance]] = {
    "alarm": Allowance(10, "10 alarms", _BILLED_METRICS),
    "metric": Allowance(10, "10 custom metrics", _BILLED_METRICS),
    "dashboard": Allowance(3, "3 dashboards", _CLOUDWATCH),
    "log_gb": Allowance(5, "5 GB of logs", _BILL),
    "log_stored_gb": Allowance(5, "5 GB of logs kept", _BILL),
    "request": Allowance(1e6, "1 M invocations", Source("aws.amazon.com/lambda/pricing", "2026-09-20")),
    "lambda_gb_s": Allowance(400_000, "400,000 GB-s", Source("aws.amazon.com/lambda/pricing", "2026-09-20")),
    "dynamodb_gb": Allowance(25, "25 GB in tables", Source("aws.amazon.com/dynamodb/pricing", "undated copy")),
    "kms": Allowance(20_000, "20,000 data keys", Source("aws.amazon.com/kms/pricing", "undated copy")),
    "out_gb": Allowance(100, "100 GB out", Source("awsnegotiations.com/internet-egress-free-tier-guide", "2026-05")),
    "schedule": Allowance(
        14e6, "14 M scheduled runs", Source("AWS's price list, AWSEvents, of which a copy was read", "2024-10-01")
    ),
    "trace": Allowance(100_000, "100,000 traces", _XRAY),
}
"""By price. Of requests to DynamoDB only provisioned capacity has one; API Gateway's and S3's end after a year."""
