"""The offline store: a bucket of Parquet, the tables Athena sees in it, and a workgroup that cannot run up a bill."""

from pathlib import Path

from aws_cdk import Aws, Duration
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from btc.lake import PARTITIONS, TABLES
from cdk.keys import own_key
from cdk.removal import removal_policy
from cdk.settings import Stage

QUERIES = Path(__file__).parent / "queries"
"""One file a named query, its first line a comment that says what it tells."""


OLD_VERSIONS = Duration.days(14)
"""How long what was written over or deleted can be had back. The day under way is written anew every few minutes."""


def private_bucket(scope: Construct, construct_id: str, *, stage: Stage, versioned: bool = False) -> s3.Bucket:
    """A bucket that no one reads unencrypted, in public or by mistake."""
    key = own_key(scope, stage=stage)
    bucket = s3.Bucket(
        scope,
        construct_id,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
        encryption_key=key,
        bucket_key_enabled=True if key else None,
        versioned=versioned or None,
        removal_policy=removal_policy(stage),
        # A bucket has to be empty before it can go: CloudFormation runs a function that sees to it.
        auto_delete_objects=not (stage.keep_data or stage.emulated),
    )
    # Parts of an upload that nobody ended are seen by nobody, and paid for.
    bucket.add_lifecycle_rule(id="torn uploads", abort_incomplete_multipart_upload_after=Duration.days(7))
    return bucket


def grant_get(bucket: s3.IBucket, grantee: iam.IGrantable, objects: str) -> iam.Grant:
    """May read the objects that match, and find no other by listing."""
    return iam.Grant.add_to_principal(
        grantee=grantee, actions=["s3:GetObject"], resource_arns=[bucket.arn_for_objects(objects)]
    )


class Lake(Construct):
    """Bars, tape and forecasts by venue, symbol and date."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage) -> None:
        super().__init__(scope, construct_id)
        self.bucket = private_bucket(self, "Bucket", stage=stage, versioned=stage.keep_data)
        if stage.keep_data:
            self.bucket.add_lifecycle_rule(id="old versions", noncurrent_version_expiration=OLD_VERSIONS)
        self.bucket.add_lifecycle_rule(id="query results", prefix="queries/", expiration=Duration.days(7))
        name = stage.prefix.replace("-", "_")
        self.database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=Aws.ACCOUNT_ID,
            database_input=glue.CfnDatabase.DatabaseInputProperty(name=name),
            database_name=name,
        )
        for table in TABLES:
            _table(self, table, database=self.database, bucket=self.bucket, stage=stage)
        self.workgroup = athena.CfnWorkGroup(
            self,
            "Workgroup",
            name=stage.prefix,
            recursive_delete_option=True,  # its history of queries, which would keep the stack from going
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                bytes_scanned_cutoff_per_query=stage.query_scan_limit_gb * 10**9,
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=self.bucket.s3_url_for_object("queries/"),
                    encryption_configuration=_results_encrypted(own_key(self, stage=stage)),
                ),
            ),
        )
        for path in sorted(QUERIES.glob("*.sql")):
            self._query(path, stage)

    def grant_add(self, grantee: iam.IGrantable, table: str) -> None:
        """May put objects of one table, and see none."""
        iam.Grant.add_to_principal(
            grantee=grantee, actions=["s3:PutObject"], resource_arns=[self.bucket.arn_for_objects(f"{table}/*")]
        )

    def grant_rewrite(self, grantee: iam.IGrantable, table: str) -> None:
        """May put objects of one table over those that are there. Whoever may not list a bucket is refused what is not
        there, instead of being told so.
        """
        objects = self.bucket.arn_for_objects(f"{table}/*")
        iam.Grant.add_to_principal(grantee=grantee, actions=["s3:GetObject", "s3:PutObject"], resource_arns=[objects])
        iam.Grant.add_to_principal(grantee=grantee, actions=["s3:ListBucket"], resource_arns=[self.bucket.bucket_arn])

    def _query(self, path: Path, stage: Stage) -> None:
        text = path.read_text()
        query = athena.CfnNamedQuery(
            self,
            path.stem.title().replace("_", ""),
            name=path.stem.replace("_", " "),
            description=text.partition("\n")[0].removeprefix("-- "),
            database=str(self.database.database_name),
            query_string=text,
            work_group=stage.prefix,
        )
        query.add_resource_dependency(self.workgroup)
        query.add_resource_dependency(self.database)


def _results_encrypted(key: kms.IKey | None) -> athena.CfnWorkGroup.EncryptionConfigurationProperty:
    """The workgroup's word is taken, not the bucket's."""
    if key is None:
        return athena.CfnWorkGroup.EncryptionConfigurationProperty(encryption_option="SSE_S3")
    return athena.CfnWorkGroup.EncryptionConfigurationProperty(encryption_option="SSE_KMS", kms_key=key.key_arn)


def _table(
    scope: Construct, name: str, *, database: glue.CfnDatabase, bucket: s3.Bucket, stage: Stage
) -> glue.CfnTable:
    """Partitions are computed from the query, so that none has ever to be registered."""
    location = f"s3://{bucket.bucket_name}/{name}/"
    column = glue.CfnTable.ColumnProperty
    projected = {"venue": {stage.venue, *stage.lake_venues}, "symbol": {*stage.symbols, *stage.lake_symbols}}
    enums = {
        f"projection.{key}.{field}": value
        for key, values in projected.items()
        for field, value in (("type", "enum"), ("values", ",".join(sorted(values))))
    }
    return glue.CfnTable(
        scope,
        name.title(),
        catalog_id=database.catalog_id,
        database_name=database.ref,
        table_input=glue.CfnTable.TableInputProperty(
            name=name,
            table_type="EXTERNAL_TABLE",
            partition_keys=[column(name=key, type="string") for key in PARTITIONS],
            parameters={
                "classification": "parquet",
                "projection.enabled": "true",
                **enums,
                "projection.date.type": "date",
                "projection.date.format": "yyyy-MM-dd",
                # A forecast made before midnight is for the day after.
                "projection.date.range": "2010-01-01,NOW+1DAYS",
                "storage.location.template": location + "/".join(f"{key}=${{{key}}}" for key in PARTITIONS) + "/",
            },
            storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                columns=[column(name=key, type=kind) for key, kind in TABLES[name].items()],
                location=location,
                input_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                output_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                serde_info=glue.CfnTable.SerdeInfoProperty(
                    serialization_library="org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
                ),
            ),
        ),
    )
