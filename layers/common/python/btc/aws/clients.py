"""AWS clients, made once a process and only where they are used.

What makes them is imported with the first of them: botocore costs a start more than all else together. It is botocore
and not boto3, which wraps it, because boto3 brings its S3 transfers along.
"""

import gc
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from botocore.config import Config
    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

FAILURES: Final = (BotoCoreError, ClientError)
"""What a call to AWS may raise once no retry is left."""

POSTS_AT_ONCE: Final = 32
"""Messages on their way to connections: each is mostly waiting."""

# Standard mode retries throttling and broken connections with jitter; what still fails goes to the caller, whose
# batch is then delivered again.
_OPTIONS: Final = {"retries": {"mode": "standard", "max_attempts": 5}, "connect_timeout": 3, "read_timeout": 10}


@cache
def apigateway() -> "APIGatewayClient":
    client: APIGatewayClient = _made("apigateway")
    return client


@cache
def connections(url: str) -> "ApiGatewayManagementApiClient":
    """Of the WebSocket API's stage at `url`. A client that does not take its message in time gets the next one."""
    config = _config(
        retries={"mode": "standard", "total_max_attempts": 3},
        connect_timeout=2,
        read_timeout=3,
        max_pool_connections=POSTS_AT_ONCE,
    )
    client: ApiGatewayManagementApiClient = _session().create_client(
        "apigatewaymanagementapi", endpoint_url=url, config=config
    )
    return client


@cache
def cloudformation() -> "CloudFormationClient":
    client: CloudFormationClient = _made("cloudformation")
    return client


@cache
def dynamodb() -> "DynamoDBClient":
    client: DynamoDBClient = _made("dynamodb")
    return client


@cache
def kinesis() -> "KinesisClient":
    """Without retries of its own: the producer knows which records failed, and keeps their order."""
    retries = {"mode": "standard", "total_max_attempts": 1}
    client: KinesisClient = _made("kinesis", retries=retries, read_timeout=5)
    return client


@cache
def functions() -> "LambdaClient":
    """Invocations are not repeated, and may take as long as a function may."""
    config = _config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=900)
    client: LambdaClient = _session().create_client("lambda", config=config)
    return client


@cache
def s3() -> "S3Client":
    """boto3's, which can download files."""
    import boto3  # noqa: PLC0415

    client: S3Client = boto3.client("s3", config=_config())
    return client


@cache
def sagemaker() -> "SageMakerClient":
    client: SageMakerClient = _made("sagemaker")
    return client


def _made(service: str, **options: Any) -> Any:
    """A client. What is loaded for it stays for good, so that the collector, which would look through it all again and
    again meanwhile, waits: that is a fifth of the time it takes.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _session().create_client(service, config=_config(**options))
    finally:
        if collecting:
            gc.enable()


@cache
def secrets() -> "SecretsManagerClient":
    client: SecretsManagerClient = _session().create_client("secretsmanager", config=_config())
    return client


@cache
def sqs() -> "SQSClient":
    client: SQSClient = _made("sqs")
    return client


@cache
def _session() -> Any:
    from botocore.session import get_session  # noqa: PLC0415

    from btc.aws.parsing import Parsers  # noqa: PLC0415

    session = get_session()
    session.register_component("response_parser_factory", Parsers())
    return session


def _config(**changes: Any) -> "Config":
    from botocore.config import Config  # noqa: PLC0415

    return Config(**{**_OPTIONS, **changes})
