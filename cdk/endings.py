"""The end of what SageMaker does not delete: trainings that run are stopped first, models go before their group."""

from pathlib import Path

from aws_cdk import CustomResource, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from cdk.logs import log_group
from cdk.python_function import RUNTIME
from cdk.settings import Stage

HANDLER = Path(__file__).with_name("end_training.py")
EMPTIED, STOPPED = "Custom::EmptyModelRegistry", "Custom::StopTrainings"
DESCRIPTION = "Stops trainings and deletes the registry's models when the stack goes"


class Endings(Construct):
    """A function, and what has it run before what depends on it: see `empty` and `stop`."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage) -> None:
        super().__init__(scope, construct_id)
        self._role = iam.Role(
            self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"), description=DESCRIPTION
        )
        logs = log_group(self, "Logs", stage=stage)
        logs.grant_write(self._role)
        # Where a resource of it goes alone, by an update, and not the stack, nothing is stopped or deleted.
        self._allow(["cloudformation:DescribeStacks"], [Stack.of(self).stack_id])
        self._function = lambda_.Function(
            self,
            "Function",
            role=self._role.without_policy_updates(),
            code=lambda_.Code.from_inline(HANDLER.read_text()),
            handler="index.handler",
            description=DESCRIPTION,
            runtime=RUNTIME,
            architecture=lambda_.Architecture.ARM_64,
            timeout=Duration.minutes(15),  # a training that is stopped has two minutes to save its state
            log_group=logs,
        )

    def empty(self, group: sagemaker.CfnModelPackageGroup) -> CustomResource:
        """Whoever waits for it goes before, then the group's models, then the group."""
        name = str(group.model_package_group_name)
        packages = self._arn("model-package", f"{name}/*")  # they are numbered as they come
        self._allow(["sagemaker:DeleteModelPackage"], [packages])
        # AWS's table of actions has it on packages; asked of one group's it has been checked on the group as well.
        self._allow(["sagemaker:ListModelPackages"], [self._arn("model-package-group", name), packages])
        return self._ended("Emptied", EMPTIED, {"Group": name}, after=group)

    def stop(self, pipeline: sagemaker.CfnPipeline) -> CustomResource:
        """Whoever waits for it, as who starts trainings should, goes before; then what runs; then the pipeline."""
        name = str(pipeline.pipeline_name)
        self._allow(["sagemaker:ListPipelineExecutions"], [self._arn("pipeline", name)])
        # Executions bear ids that are drawn when they start.
        self._allow(["sagemaker:StopPipelineExecution"], [self._arn("pipeline", f"{name}/execution/*")])
        return self._ended("Stopped", STOPPED, {"Pipeline": name}, after=pipeline)

    def _ended(self, construct_id: str, kind: str, named: dict[str, str], *, after: Construct) -> CustomResource:
        made = CustomResource(
            self, construct_id, service_token=self._function.function_arn, resource_type=kind, properties=named
        )
        # What it ends goes after it, and the rights that it needs as well.
        made.node.add_dependency(after, self._role)
        return made

    def _allow(self, actions: list[str], resources: list[str]) -> None:
        self._role.add_to_policy(iam.PolicyStatement(actions=actions, resources=resources))

    def _arn(self, resource: str, name: str) -> str:
        return Stack.of(self).format_arn(service="sagemaker", resource=resource, resource_name=name)
