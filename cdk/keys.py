"""The stack's own encryption key, where the stage wants one instead of those that AWS manages for nothing."""

from aws_cdk import Aws, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from cdk.removal import removal_policy
from cdk.settings import Stage

NAME = "Key"
BY = ("dynamodb", "kinesis", "s3")
"""The services that encrypt with it for whoever may use what it encrypts."""


def own_key(scope: Construct, *, stage: Stage) -> kms.IKey | None:
    """The one key of the stack, made when it is first asked for; None where AWS's keys do."""
    if not stage.own_key:
        return None
    stack = Stack.of(scope)
    made = stack.node.try_find_child(NAME)
    if made is None:
        made = kms.Key(
            stack,
            NAME,
            description=f"Data of {stage.prefix}",
            enable_key_rotation=True,
            removal_policy=removal_policy(stage),
        )
        _let_services_use(made)
    assert isinstance(made, kms.Key)
    return made


def _let_services_use(key: kms.Key) -> None:
    """As AWS's own keys are used: rights on a table, stream or bucket are rights on what is in it, and on no key."""
    key.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.AnyPrincipal()],  # of this account alone, and through these services: see the conditions
            actions=["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
            resources=["*"],
            conditions={
                "StringEquals": {
                    "kms:CallerAccount": Aws.ACCOUNT_ID,
                    "kms:ViaService": [f"{service}.{Aws.REGION}.amazonaws.com" for service in BY],
                }
            },
        )
    )
    # CloudWatch Logs encrypts for itself, not for who writes: it tells whose group it is instead.
    groups = f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:*"
    key.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal(f"logs.{Aws.REGION}.amazonaws.com")],
            actions=["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
            resources=["*"],
            conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
        )
    )
    key.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal("dynamodb.amazonaws.com")],
            actions=["kms:DescribeKey", "kms:CreateGrant"],
            resources=["*"],
            conditions={"StringEquals": {"kms:CallerAccount": Aws.ACCOUNT_ID}},
        )
    )
