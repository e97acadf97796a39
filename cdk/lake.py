"""The offline store: a bucket of Parquet, the tables Athena sees in it, and a workgroup that cannot run up a bill."""

from aws_cdk import Aws, Duration
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk.aws_lambda_event_sources import DynamoEventSource
from constructs import Construct

from btc.settings import ArchiveBars
from cdk.bars import Bars
from cdk.python_function import Layers, PythonFunction, removal_policy
from cdk.settings import Stage

BAR_COLUMNS = {
    "start": "timestamp",
    **dict.fromkeys(("open", "high", "low", "close"), "decimal(18,8)"),
    **dict.fromkeys(("volume", "buy_volume"), "decimal(28,8)"),
    "turnover": "decimal(38,16)",
    "trade_count": "bigint",
    **dict.fromkeys(("first_id", "last_id", "prior_id", "next_id"), "bigint"),
    "ranges": "string",
    "closed": "boolean",
    "complete": "boolean",
    "source": "string",
}
"""What btc.aws.lake writes; a test holds the two together."""

UNPROVEN_DAYS = """
SELECT venue, symbol, date, count(*) AS minutes, count_if(NOT complete) AS unproven, sum(trade_count) AS trades
FROM bars
WHERE date >= date_format(current_date - interval '30' day, '%Y-%m-%d')
GROUP BY venue, symbol, date
ORDER BY date DESC
""".strip()


def private_bucket(scope: Construct, construct_id: str, *, stage: Stage) -> s3.Bucket:
    """A bucket that no one reads unencrypted, in public or by mistake."""
    return s3.Bucket(
        scope,
        construct_id,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        encryption=s3.BucketEncryption.S3_MANAGED,
        removal_policy=removal_policy(stage),
        # A bucket has to be empty before it can go: CloudFormation runs a function that sees to it.
        auto_delete_objects=not (stage.keep_data or stage.emulated),
    )


class Lake(Construct):
    """Bars by venue, symbol and date, one object each."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage) -> None:
        super().__init__(scope, construct_id)
        self.bucket = private_bucket(self, "Bucket", stage=stage)
        self.bucket.add_lifecycle_rule(id="query results", prefix="queries/", expiration=Duration.days(7))
        name = stage.prefix.replace("-", "_")
        self.database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=Aws.ACCOUNT_ID,
            database_input=glue.CfnDatabase.DatabaseInputProperty(name=name),
            database_name=name,
        )
        self.bars = _bars_table(self, database=self.database, bucket=self.bucket, stage=stage)
        self.workgroup = athena.CfnWorkGroup(
            self,
            "Workgroup",
            name=stage.prefix,
            recursive_delete_option=not stage.keep_data,
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                bytes_scanned_cutoff_per_query=stage.query_scan_limit_gb * 10**9,
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=self.bucket.s3_url_for_object("queries/"),
                    encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                        encryption_option="SSE_S3"
                    ),
                ),
            ),
        )
        query = athena.CfnNamedQuery(
            self,
            "UnprovenDays",
            name="days with unproven minutes",
            database=name,
            query_string=UNPROVEN_DAYS,
            work_group=stage.prefix,
        )
        query.add_resource_dependency(self.workgroup)
        query.add_resource_dependency(self.database)


class Archive(Construct):
    """Bars that close or change, into the lake."""

    def __init__(  # noqa: PLR0913 - one argument a part it is joined to
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        layers: Layers,
        bars: Bars,
        lake: Lake,
        failures: lambda_.IEventSourceDlq,
    ) -> None:
        super().__init__(scope, construct_id)
        self.function = PythonFunction(
            self,
            "ArchiveBars",
            name="archive_bars",
            description="Rewrites each changed day of bars in the lake",
            settings=ArchiveBars(bars_table=bars.table.table_name, lake_bucket=lake.bucket.bucket_name),
            layers=layers.named("common", "powertools", "awswrangler"),
            stage=stage,
            memory_mb=1024,
            timeout_s=120,
        )
        self.function.add_event_source(
            DynamoEventSource(
                bars.table,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                batch_size=1000,
                max_batching_window=Duration.seconds(stage.archive_window_s),
                bisect_batch_on_error=True,
                retry_attempts=10,
                on_failure=failures,
            )
        )


def _bars_table(scope: Construct, *, database: glue.CfnDatabase, bucket: s3.Bucket, stage: Stage) -> glue.CfnTable:
    """Partitions are computed from the query, so that none has ever to be registered."""
    location = f"s3://{bucket.bucket_name}/bars/"
    column = glue.CfnTable.ColumnProperty
    return glue.CfnTable(
        scope,
        "Bars",
        catalog_id=database.catalog_id,
        database_name=database.ref,
        table_input=glue.CfnTable.TableInputProperty(
            name="bars",
            table_type="EXTERNAL_TABLE",
            partition_keys=[column(name=name, type="string") for name in ("venue", "symbol", "date")],
            parameters={
                "classification": "parquet",
                "projection.enabled": "true",
                "projection.venue.type": "enum",
                "projection.venue.values": stage.venue,
                "projection.symbol.type": "enum",
                "projection.symbol.values": ",".join(stage.symbols),
                "projection.date.type": "date",
                "projection.date.format": "yyyy-MM-dd",
                "projection.date.range": "2010-01-01,NOW",
                "storage.location.template": location + "venue=${venue}/symbol=${symbol}/date=${date}/",
            },
            storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                columns=[column(name=name, type=kind) for name, kind in BAR_COLUMNS.items()],
                location=location,
                input_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                output_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                serde_info=glue.CfnTable.SerdeInfoProperty(
                    serialization_library="org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
                ),
            ),
        ),
    )
