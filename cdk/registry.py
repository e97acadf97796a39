"""The model registry's end, where a stack goes whole: its models go first."""

from pathlib import Path

from aws_cdk import CustomResource, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from cdk.logs import log_group
from cdk.python_function import RUNTIME
from cdk.settings import Stage

HANDLER = Path(__file__).with_name("empty_registry.py")
EMPTIED = "Custom::EmptyModelRegistry"


class EmptyRegistry(Construct):
    """SageMaker deletes no group that holds models: before the group goes, a function deletes them."""

    def __init__(
        self, scope: Construct, construct_id: str, *, stage: Stage, group: sagemaker.CfnModelPackageGroup
    ) -> None:
        super().__init__(scope, construct_id)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description="Deletes the registry's models when the stack goes",
        )
        logs = log_group(self, "Logs", stage=stage)
        logs.grant_write(role)
        stack = Stack.of(self)
        packages = [
            # Packages are numbered as they come.
            stack.format_arn(service="sagemaker", resource="model-package", resource_name=f"{stage.prefix}/*"),
        ]
        listed = stack.format_arn(
            service="sagemaker", resource="model-package-group", resource_name=group.model_package_group_name
        )
        role.add_to_policy(iam.PolicyStatement(actions=["sagemaker:DeleteModelPackage"], resources=packages))
        # AWS's table of actions has it on packages; asked of one group's it has been checked on the group as well.
        role.add_to_policy(iam.PolicyStatement(actions=["sagemaker:ListModelPackages"], resources=[listed, *packages]))
        # Where only this goes, and not the stack, the models stay.
        role.add_to_policy(
            iam.PolicyStatement(actions=["cloudformation:DescribeStacks"], resources=[stack.stack_id]),
        )
        function = lambda_.Function(
            self,
            "Function",
            role=role.without_policy_updates(),
            code=lambda_.Code.from_inline(HANDLER.read_text()),
            handler="index.handler",
            description="Deletes the registry's models when the stack goes",
            runtime=RUNTIME,
            architecture=lambda_.Architecture.ARM_64,
            timeout=Duration.minutes(5),
            log_group=logs,
        )
        self.resource = CustomResource(
            self,
            "Emptied",
            service_token=function.function_arn,
            resource_type=EMPTIED,
            properties={"Group": group.model_package_group_name},
        )
        # The group goes after it, and the rights that it needs as well.
        self.resource.node.add_dependency(group, role)
