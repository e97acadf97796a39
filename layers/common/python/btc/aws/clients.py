"""AWS clients, made once a process and only where they are used.

They come from botocore, which boto3 wraps: importing boto3 itself brings its S3 transfers along, a fifth of what a cold
start of aggregate_bars costs.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.session import get_session

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

# Standard mode retries throttling and broken connections with jitter; what still fails goes to the caller, whose
# batch is then delivered again.
_CONFIG = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=3, read_timeout=10)


@cache
def _session() -> Any:  # typed by service only in boto3's stubs, which know no session of botocore's
    return get_session()


@cache
def dynamodb() -> "DynamoDBClient":
    client: DynamoDBClient = _session().create_client("dynamodb", config=_CONFIG)
    return client


@cache
def kinesis() -> "KinesisClient":
    """Without retries of its own: the producer knows which records failed, and keeps their order."""
    config = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=5))
    client: KinesisClient = _session().create_client("kinesis", config=config)
    return client


@cache
def s3() -> "S3Client":
    import boto3  # noqa: PLC0415 - its client can download files; only functions that do should pay for it

    client: S3Client = boto3.client("s3", config=_CONFIG)
    return client


@cache
def sagemaker() -> "SageMakerClient":
    client: SageMakerClient = _session().create_client("sagemaker", config=_CONFIG)
    return client
