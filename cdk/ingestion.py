"""One Fargate task that reads the venue's feed into the stream: public subnets, no NAT gateway, nothing comes in."""

from pathlib import Path

from aws_cdk import Duration, IgnoreMode, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from constructs import Construct

from btc.settings import IngestTrades
from cdk.keys import own_key
from cdk.logs import log_group
from cdk.python_function import NOT_DEPLOYED, environment
from cdk.settings import Stage
from cdk.trust import service

ROOT = Path(__file__).parents[1]
SHARED = (
    *("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards"),
    *("PutRecord", "PutRecords"),
)
"""What a stream's policy may speak of, word for word: Kinesis takes no wildcard there."""
IMAGE_CONTENT = ("functions/fill_history", "functions/ingest_trades", "layers/common")


class Trades(Construct):
    """The stream between the feed and all that is made of it."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage) -> None:
        super().__init__(scope, construct_id)
        key = own_key(self, stage=stage)
        self.stream = kinesis.Stream(
            self,
            "Stream",
            shard_count=stage.shards,
            retention_period=Duration.hours(24),
            encryption=kinesis.StreamEncryption.KMS if key else kinesis.StreamEncryption.MANAGED,
            encryption_key=key,
            # It holds a day of what the tape and the venue have too, and would be paid for by the hour.
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.stream.add_to_resource_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=[f"kinesis:{action}" for action in SHARED],
                resources=[self.stream.stream_arn],
                conditions={"Bool": {"aws:SecureTransport": "false"}},
            )
        )


class Ingestion(Construct):
    """The task that fills the stream."""

    def __init__(
        self, scope: Construct, construct_id: str, *, stage: Stage, trades: kinesis.IStream, state: dynamodb.ITable
    ) -> None:
        super().__init__(scope, construct_id)
        self.settings = IngestTrades(
            stream=trades.stream_name,
            state_table=state.table_name,
            venue=stage.venue,
            symbols=stage.symbols,
            history_days=stage.history_days,
            batch_ms=stage.batch_ms,
            watermark_lag_ms=stage.watermark_lag_ms,
            websocket_url=stage.websocket_url,
            rest_url=stage.rest_url,
        )
        self.vpc = ec2.Vpc(
            self,
            "Network",
            max_azs=2,
            nat_gateways=0,
            restrict_default_security_group=False,
            subnet_configuration=[ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC)],
        )
        self.outbound = ec2.SecurityGroup(
            self,
            "Outbound",
            vpc=self.vpc,
            description="Ingest task: out to the venue and to AWS, nothing in",
            allow_all_outbound=False,
        )
        # Names are asked of the network's own resolver, which no security group filters.
        self.outbound.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.HTTPS, "The venue and AWS")
        self.logs = log_group(self, "Logs", stage=stage)
        self.task = self._task(stage)
        self.service = self._service(stage)

    def _task(self, stage: Stage) -> ecs.FargateTaskDefinition:
        task = fargate_task(self, cpu=256, memory_mb=512)
        container = task.add_container(
            "IngestTrades",
            image=image(),
            environment=environment("ingest_trades", self.settings, stage),
            logging=ecs.LogDriver.aws_logs(stream_prefix="ingest", log_group=self.logs),
            readonly_root_filesystem=True,
            stop_timeout=Duration.seconds(30),  # to send what it holds
            # By its own watermarks: see the module that is run.
            health_check=ecs.HealthCheck(
                command=["CMD", "python", "-m", "functions.ingest_trades.health"],
                interval=Duration.minutes(1),
                retries=3,
                start_period=Duration.minutes(5),
                timeout=Duration.seconds(10),
            ),
        )
        add_scratch(task, container, name="health")
        return task

    def _service(self, stage: Stage) -> ecs.FargateService:
        cluster = ecs.Cluster(self, "Cluster", vpc=self.vpc)
        # Made here and not by the cluster, which makes its own too late for anything to wait for them.
        providers = ecs.CfnClusterCapacityProviderAssociations(
            cluster,
            "Cluster",
            cluster=cluster.cluster_name,
            capacity_providers=["FARGATE", "FARGATE_SPOT"],
            default_capacity_provider_strategy=[],
        )
        capacity = ["FARGATE_SPOT"] if stage.spot else ["FARGATE"]
        if stage.spot and stage.on_demand_fallback:
            capacity.append("FARGATE")
        made = ecs.FargateService(
            self,
            "Service",
            cluster=cluster,
            task_definition=self.task,
            assign_public_ip=True,
            capacity_provider_strategies=[
                ecs.CapacityProviderStrategy(capacity_provider=each, weight=1) for each in capacity
            ],
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            desired_count=len(capacity),
            # The new task starts before the old one stops: trades that both send count once.
            min_healthy_percent=100,
            max_healthy_percent=200,
            security_groups=[self.outbound],
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
        )
        # Its tasks start on the providers and fetch their image over the gateway; neither goes while a task uses it.
        # The network's own word for its way out is the gateway alone: the subnets' has its routes, which have the rest.
        subnets = self.vpc.select_subnets(subnet_type=ec2.SubnetType.PUBLIC)
        made.node.add_dependency(providers, subnets.internet_connectivity_established)
        return made


def fargate_task(scope: Construct, *, cpu: int, memory_mb: int) -> ecs.FargateTaskDefinition:
    """A task on ARM, of a role of its own and one in which ECS starts it."""
    return ecs.FargateTaskDefinition(
        scope,
        "Task",
        task_role=iam.Role(scope, "TaskRole", assumed_by=service("ecs-tasks"), description="What the task may do"),
        execution_role=iam.Role(
            scope,
            "ExecutionRole",
            assumed_by=service("ecs-tasks"),
            description="Fetches the task's image and writes its log",
        ),
        cpu=cpu,
        memory_limit_mib=memory_mb,
        runtime_platform=ecs.RuntimePlatform(
            cpu_architecture=ecs.CpuArchitecture.ARM64, operating_system_family=ecs.OperatingSystemFamily.LINUX
        ),
    )


def add_scratch(task: ecs.FargateTaskDefinition, container: ecs.ContainerDefinition, *, name: str) -> None:
    """A volume of the task's own where programs leave files for a while, over a root that stays as it is."""
    task.add_volume(name=name)
    container.add_mount_points(
        ecs.MountPoint(source_volume=name, container_path="/tmp", read_only=False)  # noqa: S108 - its own
    )


def image() -> ecs.ContainerImage:
    """The image of the tasks that read venues, live and past: the same asset for all of them."""
    return ecs.ContainerImage.from_asset(
        str(ROOT),
        file="functions/ingest_trades/Dockerfile",
        platform=ecr_assets.Platform.LINUX_ARM64,
        exclude=excluded(),
        ignore_mode=IgnoreMode.DOCKER,
    )


def excluded() -> list[str]:
    """What the image is not made of, as .dockerignore would say it: all but IMAGE_CONTENT."""
    return ["**", *(f"!{path}" for path in IMAGE_CONTENT), *NOT_DEPLOYED]
