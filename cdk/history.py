"""The task that fills the past: the ingest task's image with another command, run by hand where it is wanted."""

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_kinesis as kinesis
from constructs import Construct

from btc.settings import FillHistory
from cdk.bars import Bars, grant_items
from cdk.ingestion import Ingestion, add_scratch, fargate_task, image
from cdk.logs import log_group
from cdk.python_function import environment
from cdk.settings import Stage

SHARD_BYTES_PER_S = 1_000_000
"""What one shard takes."""


class History(Construct):
    """A task definition that costs nothing until somebody runs it."""

    def __init__(
        self, scope: Construct, construct_id: str, *, stage: Stage, trades: kinesis.IStream, bars: Bars
    ) -> None:
        super().__init__(scope, construct_id)
        self.settings = FillHistory(
            stream=trades.stream_name,
            bars_table=bars.table.table_name,
            state_table=bars.state.table_name,
            retention_days=stage.bar_retention_days,
            # Live trades come first: half of the stream is theirs alone.
            bytes_per_s=stage.shards * SHARD_BYTES_PER_S // 2,
        )
        self.task = fargate_task(self, cpu=512, memory_mb=1024)
        container = self.task.add_container(
            "FillHistory",
            image=image(),
            entry_point=["python", "-m", "functions.fill_history"],
            command=["--help"],  # whoever runs it says what
            environment=environment("fill_history", self.settings, stage),
            logging=ecs.LogDriver.aws_logs(stream_prefix="fill", log_group=log_group(self, "Logs", stage=stage)),
            readonly_root_filesystem=True,
            stop_timeout=Duration.seconds(30),
        )
        # A dump is proven by its checksum before a byte of it is used, and so has to lie somewhere whole.
        add_scratch(self.task, container, name="downloads")

    def grant_cursors(self, state: dynamodb.ITable) -> None:
        """It keeps in the state table how far a fill has come, and reads how far the live feed has; no more."""
        grant_items(state, self.task.task_role, {"GetItem": ["history:*", "watermark:*"], "PutItem": ["history:*"]})

    def tell(self, scope: Construct, ingestion: Ingestion) -> None:
        """What `aws ecs run-task` has to know, and a person's own `python -m functions.fill_history --stack`."""
        outputs = {
            "FillHistoryTask": self.task.task_definition_arn,
            "FillHistoryEnvironment": " ".join(f"{name}={value}" for name, value in self.settings.to_env().items()),
            "Cluster": ingestion.service.cluster.cluster_name,
            "Subnets": ",".join(subnet.subnet_id for subnet in ingestion.vpc.public_subnets),
            "SecurityGroup": ingestion.outbound.security_group_id,
        }
        for name, value in outputs.items():
            CfnOutput(scope, name, value=value)
