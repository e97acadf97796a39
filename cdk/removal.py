"""What becomes of data and logs when their stack goes."""

from aws_cdk import Aws, Fn, RemovalPolicy

from cdk.settings import Stage


def removal_policy(stage: Stage) -> RemovalPolicy:
    """They stay where the stage keeps its data."""
    return RemovalPolicy.RETAIN if stage.keep_data else RemovalPolicy.DESTROY


def lasting_name(stage: Stage) -> str:
    """The name of what must have one and may outlive its stack.

    Then it bears the stack's own id, by eight digits: when the stage is deployed again, nothing of its name is there.
    """
    if not stage.keep_data:
        return stage.prefix
    stack = Fn.select(2, Fn.split("/", Aws.STACK_ID))
    return f"{stage.prefix}-{Fn.select(0, Fn.split('-', stack))}"
