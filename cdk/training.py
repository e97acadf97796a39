"""The pipeline that trains, weighs and registers a model each week, and the function that promotes an approved one."""

from pathlib import Path

from aws_cdk import Aws, CfnMapping, RemovalPolicy, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from constructs import Construct, IConstruct

from btc.settings import PromoteModel
from cdk.bars import Bars
from cdk.endings import Endings
from cdk.lake import Lake, grant_get, private_bucket
from cdk.python_function import Layers, PythonFunction
from cdk.removal import lasting_name
from cdk.settings import Stage
from cdk.tracking import FOLDER, Tracking
from cdk.trust import service
from cdk.xgboost_image import ACCOUNTS, REPOSITORY, TAG
from training import pipeline

SOURCE = Path(__file__).parents[1] / "build" / "training" / "sourcedir.tar.gz"


class SourceMissingError(RuntimeError):
    """The training program has not been bundled."""


class Training(Construct):
    """Pipeline, schedule, registry, promotion."""

    def __init__(  # noqa: PLR0913 - one argument a thing it reads or writes
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        layers: Layers,
        bars: Bars,
        lake: Lake,
        on_failure: lambda_.IDestination,
        undelivered: sqs.IQueue,
    ) -> None:
        super().__init__(scope, construct_id)
        self.models = private_bucket(self, "Models", stage=stage)
        self.registry = lasting_name(stage)
        self.group = sagemaker.CfnModelPackageGroup(
            self,
            "Group",
            model_package_group_name=self.registry,
            model_package_group_description="Every model that was trained, with the gate's decision",
        )
        if stage.keep_data:
            self.group.apply_removal_policy(RemovalPolicy.RETAIN)
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=service("sagemaker"),
            description="The pipeline and the jobs it starts",
        )
        self.source = s3_assets.Asset(self, "Source", path=str(_source()))
        self.tracking = Tracking(self, "Tracking", stage=stage, models=self.models)
        endings = None if stage.emulated else Endings(self, "Endings", stage=stage)
        self.pipeline = self._pipeline(stage, bars, lake, endings)
        self.pipeline_arn = _arn(self, "pipeline", stage.prefix)
        self._end = endings.stop(self.pipeline) if endings else self.pipeline
        self.add_starter(self._weekly(stage))
        self.promote = self._promotion(stage, layers, bars, on_failure)
        self._approved(undelivered)

        grant_get(self.source.bucket, self.role, self.source.s3_object_key)
        grant_get(lake.bucket, self.role, "bars/*")
        # A training puts its model, and where MLflow keeps trainings, what belongs to them, itself.
        for folder in ("models", *([FOLDER] if stage.mlflow else [])):
            grant_get(self.models, self.role, f"{folder}/*")
            # The bucket's own grant of putting lets locks and tags be put as well.
            iam.Grant.add_to_principal(
                grantee=self.role,
                actions=["s3:PutObject", "s3:AbortMultipartUpload"],
                resource_arns=[self.models.arn_for_objects(f"{folder}/*")],
            )
        # SageMaker lists a channel's prefix before it fetches it, and asks for a bucket's region before it uploads.
        listed = [lake.bucket.bucket_arn, self.models.bucket_arn, self.source.bucket.bucket_arn]
        iam.Grant.add_to_principal(
            grantee=self.role, actions=["s3:ListBucket", "s3:GetBucketLocation"], resource_arns=listed
        )
        bars.state.grant(self.role, "dynamodb:GetItem")
        self.tracking.grant_write(self.role)
        for statement in _job_statements(self, self.role, stage):
            self.role.add_to_policy(statement)

    def grant_start(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let someone start the pipeline, and do nothing else to it."""
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=["sagemaker:StartPipelineExecution"], resource_arns=[self.pipeline_arn]
        )

    def add_starter(self, starter: IConstruct) -> None:
        """What starts trainings by the clock comes after the pipeline, and goes before what runs is stopped."""
        starter.node.add_dependency(self._end)

    def _pipeline(self, stage: Stage, bars: Bars, lake: Lake, endings: Endings | None) -> sagemaker.CfnPipeline:
        market = stage.markets[0]
        definition = pipeline.definition(
            role=self.role.role_arn,
            region=Aws.REGION,
            image=_image(self),
            source=self.source.s3_object_url,
            bars=f"s3://{lake.bucket.bucket_name}/bars/venue={market.venue}/symbol={market.symbol}/",
            models=f"s3://{self.models.bucket_name}/models",
            group=self.registry,
            state_table=bars.state.table_name,
            instance_type=stage.training_instance,
            hyperparameters=dict(stage.hyperparameters),
            environment=self.tracking.environment,
        )
        made = sagemaker.CfnPipeline(
            self,
            "Pipeline",
            pipeline_name=stage.prefix,
            pipeline_description="Take a snapshot, train, weigh against baselines and champion, register",
            role_arn=self.role.role_arn,
            pipeline_definition={"PipelineDefinitionBody": Stack.of(self).to_json_string(definition)},
        )
        made.add_resource_dependency(self.group)
        if endings and not stage.keep_data:
            # What the pipeline registers last goes too: the pipeline goes before.
            made.node.add_dependency(endings.empty(self.group))
        return made

    def _weekly(self, stage: Stage) -> scheduler.CfnSchedule:
        role = iam.Role(self, "ScheduleRole", assumed_by=service("scheduler"))
        allowed = self.grant_start(role)
        schedule = scheduler.CfnSchedule(
            self,
            "Weekly",
            description="Retrains the model",
            schedule_expression=stage.retrain,
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(
                mode="FLEXIBLE", maximum_window_in_minutes=60
            ),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=self.pipeline_arn,
                role_arn=role.role_arn,
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(maximum_retry_attempts=3),
                sage_maker_pipeline_parameters=scheduler.CfnSchedule.SageMakerPipelineParametersProperty(
                    pipeline_parameter_list=[]
                ),
            ),
        )
        allowed.apply_before(schedule)
        return schedule

    def _promotion(self, stage: Stage, layers: Layers, bars: Bars, on_failure: lambda_.IDestination) -> PythonFunction:
        function = PythonFunction(
            self,
            "PromoteModel",
            name="promote_model",
            description="Re-computes an approved model's examples, then lets it serve",
            settings=PromoteModel(state_table=bars.state.table_name, model_package_group=self.registry),
            layers=layers.named("common", "powertools", "xgboost"),
            stage=stage,
            memory_mb=1024,
            timeout_s=120,
            on_failure=on_failure,
        )
        iam.Grant.add_to_principal(
            grantee=function,
            actions=["sagemaker:DescribeModelPackage"],
            resource_arns=[_arn(self, "model-package", f"{self.registry}/*")],
        )
        return function

    def _approved(self, undelivered: sqs.IQueue) -> None:
        """What the function fails on goes where it says; what Lambda does not take of EventBridge, into the queue."""
        events.Rule(
            self,
            "Approved",
            description="A model was approved, by the gate or by hand",
            event_pattern=events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Model Package State Change"],
                detail={"ModelPackageGroupName": [self.registry], "ModelApprovalStatus": ["Approved"]},
            ),
            # Over a whole day, as EventBridge does where it is not told otherwise.
            targets=[targets.LambdaFunction(self.promote, dead_letter_queue=undelivered)],
        )


def _job_statements(scope: Construct, role: iam.Role, stage: Stage) -> list[iam.PolicyStatement]:
    jobs = [
        f"sagemaker:{verb}{kind}Job" for kind in ("Training", "Processing") for verb in ("Create", "Describe", "Stop")
    ]
    packages = ["sagemaker:CreateModelPackage", "sagemaker:DescribeModelPackage"]
    return [
        # A pipeline names its jobs after its execution, so their names are not known before.
        iam.PolicyStatement(
            actions=[*jobs, "sagemaker:AddTags"],
            resources=[_arn(scope, kind, "pipelines-*") for kind in ("training-job", "processing-job")],
        ),
        iam.PolicyStatement(
            actions=[*packages, "sagemaker:DescribeModelPackageGroup"],
            resources=[
                _arn(scope, "model-package-group", lasting_name(stage)),
                _arn(scope, "model-package", f"{lasting_name(stage)}/*"),
            ],
        ),
        iam.PolicyStatement(
            actions=["iam:PassRole"],
            resources=[role.role_arn],
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
        iam.PolicyStatement(
            actions=["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            resources=[
                Stack.of(scope).format_arn(service="logs", resource=f"log-group:/aws/sagemaker/{kind}Jobs*")
                for kind in ("Training", "Processing")
            ],
        ),
        iam.PolicyStatement(
            actions=["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
            resources=[f"arn:{Aws.PARTITION}:ecr:{Aws.REGION}:{_account(scope)}:repository/{REPOSITORY}"],
        ),
        # Neither call knows a resource: a token is for all registries, a metric is in no namespace's ARN.
        iam.PolicyStatement(actions=["ecr:GetAuthorizationToken"], resources=["*"]),
        iam.PolicyStatement(
            actions=["cloudwatch:PutMetricData"],
            resources=["*"],
            conditions={"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
        ),
    ]


def _arn(scope: Construct, resource: str, name: str) -> str:
    return Stack.of(scope).format_arn(service="sagemaker", resource=resource, resource_name=name)


def _image(scope: Construct) -> str:
    return f"{_account(scope)}.dkr.ecr.{Aws.REGION}.{Aws.URL_SUFFIX}/{REPOSITORY}:{TAG}"


def _account(scope: Construct) -> str:
    """The account in which this region keeps SageMaker's own image."""
    stack = Stack.of(scope)
    mapping = stack.node.try_find_child("XgboostImage") or CfnMapping(
        stack, "XgboostImage", mapping={region: {"account": account} for region, account in ACCOUNTS.items()}
    )
    assert isinstance(mapping, CfnMapping)
    return mapping.find_in_map(Aws.REGION, "account")


def _source() -> Path:
    if not SOURCE.is_file():
        raise SourceMissingError("build/training/sourcedir.tar.gz is not there: build it with `make layers`")
    return SOURCE
