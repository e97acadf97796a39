"""The stack: every part of the system, and who may do what to whom."""

from typing import Any

from aws_cdk import CfnOutput, Stack
from aws_cdk.aws_lambda_destinations import S3Destination
from constructs import Construct

from cdk.api import Api
from cdk.bars import Bars
from cdk.failures import Failures
from cdk.forecasts import Forecasts
from cdk.ingestion import Ingestion, Trades
from cdk.lake import Archive, Lake
from cdk.monitoring import Monitoring
from cdk.python_function import Layers
from cdk.settings import Stage
from cdk.training import Training


class PredictBitcoin(Stack):
    """Trades in, forecasts out."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, **options: Any) -> None:
        super().__init__(scope, construct_id, **options)
        layers = Layers(self, "Layers", stage=stage)
        failures = Failures(self, "Failures", stage=stage)
        shared: dict[str, Any] = {"stage": stage, "layers": layers}

        trades = Trades(self, "Trades", stage=stage).stream
        bars = Bars(self, "Bars", trades=trades, failures=failures.batches, **shared)
        lake = Lake(self, "Lake", stage=stage)
        archive = Archive(self, "Archive", bars=bars, lake=lake, failures=failures.batches, **shared)
        forecasts = Forecasts(self, "Forecasts", bars=bars, failures=failures.batches, **shared)
        training = Training(self, "Training", bars=bars, lake=lake, on_failure=S3Destination(failures.bucket), **shared)
        api = Api(self, "Api", bars=bars, forecasts=forecasts, **shared)
        ingestion = Ingestion(self, "Ingestion", stage=stage, trades=trades, bars=bars.table)

        task = ingestion.task.task_role
        trades.grant(task, "kinesis:PutRecords")
        bars.table.grant(task, "dynamodb:Query")

        bars.table.grant(bars.aggregate, "dynamodb:Query", "dynamodb:PutItem")
        bars.state.grant(bars.aggregate, "dynamodb:GetItem", "dynamodb:PutItem")

        bars.table.grant(archive.function, "dynamodb:Query")
        lake.bucket.grant_read_write(archive.function, "bars/*")

        bars.table.grant(forecasts.function, "dynamodb:Query")
        bars.state.grant(forecasts.function, "dynamodb:GetItem")
        forecasts.table.grant(forecasts.function, "dynamodb:PutItem")
        training.models.grant_read(forecasts.function, "models/*")

        training.models.grant_read(training.promote, "models/*")
        bars.state.grant(training.promote, "dynamodb:GetItem", "dynamodb:PutItem")

        bars.table.grant(api.function, "dynamodb:Query")
        bars.state.grant(api.function, "dynamodb:GetItem")
        forecasts.table.grant(api.function, "dynamodb:Query")

        streamed = {
            "AggregateBars": bars.aggregate,
            "ArchiveBars": archive.function,
            "Forecast": forecasts.function,
        }
        Monitoring(
            self,
            "Monitoring",
            trades=trades,
            streamed=streamed,
            functions={**streamed, "PromoteModel": training.promote, "Api": api.function},
            api=api.api,
        )
        outputs = {
            "ApiUrl": api.api.url,
            "ApiKeyId": api.key.key_id,
            "StreamName": trades.stream_name,
            "BarsTable": bars.table.table_name,
            "StateTable": bars.state.table_name,
            "ForecastsTable": forecasts.table.table_name,
            "LakeBucket": lake.bucket.bucket_name,
            "ModelsBucket": training.models.bucket_name,
            "FailuresBucket": failures.bucket.bucket_name,
            "PipelineName": stage.prefix,
            "ModelPackageGroup": stage.prefix,
            "Database": lake.database.ref,
            "Workgroup": stage.prefix,
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
