"""The online store of bars, its state, and the function that cuts bars from the stream."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_lambda_event_sources import KinesisEventSource
from constructs import Construct

from btc.settings import AggregateBars
from cdk.keys import own_key
from cdk.python_function import Layers, PythonFunction
from cdk.removal import removal_policy
from cdk.settings import Stage


def on_demand_table(
    scope: Construct, construct_id: str, *, key: str, sort_key: str | None = None, stage: Stage, **options: Any
) -> dynamodb.Table:
    """A table keyed by strings, billed by request, kept or not as the stage says."""
    string = dynamodb.AttributeType.STRING
    key_of_its_own = own_key(scope, stage=stage)
    return dynamodb.Table(
        scope,
        construct_id,
        partition_key=dynamodb.Attribute(name=key, type=string),
        sort_key=dynamodb.Attribute(name=sort_key, type=string) if sort_key else None,
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        deletion_protection=stage.keep_data,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=stage.keep_data
        ),
        removal_policy=removal_policy(stage),
        encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED if key_of_its_own else None,
        encryption_key=key_of_its_own,
        **options,
    )


def grant_items(table: dynamodb.ITable, grantee: iam.IGrantable, actions: Mapping[str, list[str]]) -> None:
    """Each of these actions on the items whose partition key matches one of its patterns, and on no other."""
    for action, keys in actions.items():
        grantee.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(
                actions=[f"dynamodb:{action}"],
                resources=[table.table_arn],
                conditions={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": keys}},
            )
        )


def closed() -> Mapping[str, Any]:
    """The filter of those who read the table's stream for bars that close, or change once they have."""
    return lambda_.FilterCriteria.filter(
        {
            "eventName": lambda_.FilterRule.or_("INSERT", "MODIFY"),
            "dynamodb": {"NewImage": {"closed": {"BOOL": [True]}}},
        }
    )


class Bars(Construct):
    """One item a minute, exact and idempotent."""

    def __init__(  # noqa: PLR0913 - one argument a part it is joined to
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        layers: Layers,
        trades: kinesis.IStream,
        failures: lambda_.IEventSourceDlq,
    ) -> None:
        super().__init__(scope, construct_id)
        self.table = on_demand_table(
            self,
            "Table",
            key="market",
            sort_key="start",
            stage=stage,
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
            time_to_live_attribute="expires",
        )
        self.state = on_demand_table(self, "State", key="name", stage=stage)
        self.aggregate = PythonFunction(
            self,
            "AggregateBars",
            name="aggregate_bars",
            description="Merges trades into exact one-minute bars",
            settings=AggregateBars(
                bars_table=self.table.table_name,
                state_table=self.state.table_name,
                retention_days=stage.bar_retention_days,
            ),
            layers=layers.named("common", "powertools"),
            stage=stage,
            memory_mb=512,
            timeout_s=300,
        )
        self.aggregate.add_event_source(
            KinesisEventSource(
                trades,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                batch_size=10_000,
                max_batching_window=Duration.seconds(stage.aggregate_window_s),
                parallelization_factor=1,
                bisect_batch_on_error=True,
                report_batch_item_failures=True,
                retry_attempts=10,
                on_failure=failures,
            )
        )
