"""What becomes of data and logs when their stack goes."""

from aws_cdk import RemovalPolicy

from cdk.settings import Stage


def removal_policy(stage: Stage) -> RemovalPolicy:
    """They stay where the stage keeps its data."""
    return RemovalPolicy.RETAIN if stage.keep_data else RemovalPolicy.DESTROY
