"""The lake's writers: trades off the stream as they come, bars and forecasts out of their tables as they change."""

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_lambda_event_sources import DynamoEventSource, KinesisEventSource
from constructs import Construct

from btc.settings import ArchiveBars, ArchiveForecasts, ArchiveTrades, Settings
from cdk.bars import closed
from cdk.lake import Lake
from cdk.python_function import Layers, PythonFunction
from cdk.settings import Stage


class Archive(Construct):
    """One function a table of the lake."""

    def __init__(  # noqa: PLR0913 - one argument a part it is joined to
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        layers: Layers,
        lake: Lake,
        trades: kinesis.IStream,
        bars: dynamodb.ITable,
        forecasts: dynamodb.ITable,
        failures: lambda_.IEventSourceDlq,
    ) -> None:
        super().__init__(scope, construct_id)
        bucket = lake.bucket.bucket_name
        self.trades = self._function(
            "archive_trades", "Keeps the tape of trades in the lake", ArchiveTrades(lake_bucket=bucket), layers, stage
        )
        self.bars = self._function(
            "archive_bars",
            "Joins each changed day of bars into the lake",
            ArchiveBars(bars_table=bars.table_name, lake_bucket=bucket),
            layers,
            stage,
        )
        self.forecasts = self._function(
            "archive_forecasts",
            "Joins each changed day of forecasts into the lake",
            ArchiveForecasts(forecasts_table=forecasts.table_name, lake_bucket=bucket),
            layers,
            stage,
        )
        self.trades.add_event_source(
            KinesisEventSource(
                trades,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                batch_size=10_000,
                max_batching_window=Duration.seconds(stage.tape_window_s),
                parallelization_factor=1,
                bisect_batch_on_error=True,
                report_batch_item_failures=True,
                retry_attempts=10,
                on_failure=failures,
            )
        )
        sources = [
            (bars, self.bars, stage.archive_window_s, [closed()]),
            (forecasts, self.forecasts, stage.forecast_window_s, []),
        ]
        for table, function, window_s, filters in sources:
            function.add_event_source(
                DynamoEventSource(
                    table,
                    starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                    batch_size=1000,
                    max_batching_window=Duration.seconds(window_s),
                    filters=filters or None,
                    bisect_batch_on_error=True,
                    retry_attempts=10,
                    on_failure=failures,
                )
            )

    def _function(
        self, name: str, description: str, settings: Settings, layers: Layers, stage: Stage
    ) -> PythonFunction:
        return PythonFunction(
            self,
            name.title().replace("_", ""),
            name=name,
            description=description,
            settings=settings,
            layers=layers.named("common", "powertools", "awswrangler"),
            stage=stage,
            memory_mb=1024,
            timeout_s=120,
        )
