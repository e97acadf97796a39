"""Groups of logs: each expires, and is encrypted by the stack's own key where there is one."""

from typing import Final

from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk.keys import own_key
from cdk.removal import removal_policy
from cdk.settings import Stage

_DAYS: Final = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
}
"""What CloudWatch keeps logs for, as far as anybody asks for it."""


def log_group(scope: Construct, construct_id: str, *, stage: Stage) -> logs.LogGroup:
    """Logs that expire, and that go with their stack unless its data stays.

    Raises ValueError naming the choices where logs cannot be kept for so many days.
    """
    if stage.log_days not in _DAYS:
        raise ValueError(f"log_days is {stage.log_days}: choose one of {', '.join(map(str, _DAYS))}")
    return logs.LogGroup(
        scope,
        construct_id,
        retention=_DAYS[stage.log_days],
        encryption_key=own_key(scope, stage=stage),
        removal_policy=removal_policy(stage),
    )
