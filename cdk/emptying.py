"""The CDK's own function that empties buckets before they go: held to logs that go with the stack as well."""

from aws_cdk import CfnResource, Stack
from constructs import IConstruct

from cdk.logs import log_group
from cdk.settings import Stage

PROVIDER = "Custom::S3AutoDeleteObjectsCustomResourceProvider"


def log_emptying(stack: Stack, *, stage: Stage) -> None:
    """Left alone it may create log groups, and the one that it creates outlives the stack. Nothing where it is not."""
    provider = stack.node.try_find_child(PROVIDER)
    if provider is None:
        return
    logged = log_group(stack, "EmptyingLogs", stage=stage)
    handler, role = _resource(provider, "Handler"), _resource(provider, "Role")
    handler.add_property_override("LoggingConfig", {"LogGroup": logged.log_group_name})
    role.add_property_deletion_override("ManagedPolicyArns")
    write = {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": logged.log_group_arn,
    }
    policy = {"PolicyName": "Logs", "PolicyDocument": {"Version": "2012-10-17", "Statement": [write]}}
    role.add_property_override("Policies", [policy])


def _resource(provider: IConstruct, name: str) -> CfnResource:
    found = provider.node.find_child(name)
    assert isinstance(found, CfnResource)
    return found
