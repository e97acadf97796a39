"""Functions that run by the clock."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from cdk.trust import service


def every(scope: Construct, minutes: int, function: lambda_.IFunction, description: str) -> scheduler.CfnSchedule:
    """Invokes a function each so many minutes, in a role that can do nothing else."""
    role = iam.Role(scope, "ScheduleRole", assumed_by=service("scheduler"))
    allowed = iam.Grant.add_to_principal(
        grantee=role, actions=["lambda:InvokeFunction"], resource_arns=[function.function_arn]
    )
    unit = "minute" if minutes == 1 else "minutes"
    schedule = scheduler.CfnSchedule(
        scope,
        "Schedule",
        description=description,
        schedule_expression=f"rate({minutes} {unit})",
        flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
        target=scheduler.CfnSchedule.TargetProperty(
            arn=function.function_arn,
            role_arn=role.role_arn,
            # The next run does what this one could not.
            retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(maximum_retry_attempts=0),
        ),
    )
    allowed.apply_before(schedule)
    return schedule
