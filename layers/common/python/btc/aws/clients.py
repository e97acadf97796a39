"""AWS clients, made once a process and only where they are used."""

from functools import cache
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

FAILURES: Final = (BotoCoreError, ClientError)
"""What a call to AWS may raise once no retry is left."""

# Standard mode retries throttling and broken connections with jitter; what still fails goes to the caller, whose
# batch is then delivered again.
_CONFIG = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=3, read_timeout=10)


@cache
def dynamodb() -> "DynamoDBClient":
    client: DynamoDBClient = boto3.client("dynamodb", config=_CONFIG)
    return client


@cache
def kinesis() -> "KinesisClient":
    """Without retries of its own: the producer knows which records failed, and keeps their order."""
    config = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=5))
    client: KinesisClient = boto3.client("kinesis", config=config)
    return client


@cache
def s3() -> "S3Client":
    client: S3Client = boto3.client("s3", config=_CONFIG)
    return client


@cache
def sagemaker() -> "SageMakerClient":
    client: SageMakerClient = boto3.client("sagemaker", config=_CONFIG)
    return client
