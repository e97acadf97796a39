"""Groups of logs: each expires, and is encrypted by the stack's own key where there is one."""

from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk.keys import own_key
from cdk.removal import removal_policy
from cdk.settings import Stage


def log_group(scope: Construct, construct_id: str, *, stage: Stage) -> logs.LogGroup:
    """Logs that expire, and that go with their stack unless its data stays."""
    days = {14: logs.RetentionDays.TWO_WEEKS, 90: logs.RetentionDays.THREE_MONTHS}
    return logs.LogGroup(
        scope,
        construct_id,
        retention=days[stage.log_days],
        encryption_key=own_key(scope, stage=stage),
        removal_policy=removal_policy(stage),
    )
