"""What a deployed stack tells of itself: the outputs that CloudFormation keeps."""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient


class NoStackError(ValueError):
    """There is no stack of that name here, or it has no such output."""


def output(client: "CloudFormationClient", stack: str, name: str) -> str:
    """The value of one output. Raises NoStackError."""
    try:
        [described] = client.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            raise NoStackError(f"no stack {stack!r} in this account and region") from error
        raise
    values = {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}
    if name not in values:
        raise NoStackError(f"the stack {stack} has no output {name}: deploy this version of it first")
    return values[name]
