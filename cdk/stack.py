"""The stack: every part of the system, and who may do what to whom."""

from typing import Any

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from cdk.api import Api
from cdk.archive import Archive
from cdk.audits import Audits
from cdk.bars import Bars, grant_items
from cdk.dashboard import Dashboard
from cdk.emptying import log_emptying
from cdk.failures import Failures
from cdk.forecasts import Forecasts
from cdk.history import History
from cdk.ingestion import Ingestion, Trades
from cdk.lake import Lake, grant_get
from cdk.live import Live
from cdk.monitoring import Monitoring, Reader, Watched
from cdk.python_function import Layers
from cdk.scores import Scores
from cdk.settings import Stage
from cdk.training import Training


class PredictBitcoin(Stack):
    """Trades in, forecasts out."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, **options: Any) -> None:
        super().__init__(scope, construct_id, **options)
        layers = Layers(self, "Layers", stage=stage)
        self.failures = Failures(self, "Failures", stage=stage)
        batches = self.failures.batches

        self.trades = Trades(self, "Trades", stage=stage).stream
        self.bars = Bars(self, "Bars", stage=stage, layers=layers, trades=self.trades, failures=batches)
        self.audits = Audits(self, "Audits", stage=stage, layers=layers, bars=self.bars, trades=self.trades)
        self.lake = Lake(self, "Lake", stage=stage)
        self.forecasts = Forecasts(self, "Forecasts", stage=stage, layers=layers, bars=self.bars, failures=batches)
        self.archive = Archive(
            self,
            "Archive",
            stage=stage,
            layers=layers,
            lake=self.lake,
            trades=self.trades,
            bars=self.bars.table,
            forecasts=self.forecasts.table,
            failures=batches,
        )
        self.scores = Scores(
            self,
            "Scores",
            stage=stage,
            layers=layers,
            bars=self.bars,
            forecasts=self.forecasts,
            on_failure=self.failures.events,
        )
        self.training = Training(
            self,
            "Training",
            stage=stage,
            layers=layers,
            bars=self.bars,
            lake=self.lake,
            on_failure=self.failures.events,
            undelivered=self.failures.undelivered,
        )
        self.live = self._live(stage, layers)
        self.api = Api(
            self,
            "Api",
            stage=stage,
            layers=layers,
            bars=self.bars,
            forecasts=self.forecasts,
            scores=self.scores,
            live=self.live,
        )
        self.dashboard = Dashboard(
            self, "Dashboard", api=self.api.api, channel=self.live.api.api_endpoint if self.live else ""
        )
        self.ingestion = Ingestion(self, "Ingestion", stage=stage, trades=self.trades, state=self.bars.state)
        self.history = History(self, "History", stage=stage, trades=self.trades, bars=self.bars)
        log_emptying(self, stage=stage)
        self._grant()
        self._watch(stage)
        self._tell(stage)

    def _live(self, stage: Stage, layers: Layers) -> Live | None:
        if not stage.live:
            return None
        failures = self.failures.batches
        return Live(
            self, "Live", stage=stage, layers=layers, bars=self.bars, forecasts=self.forecasts, failures=failures
        )

    def _grant(self) -> None:
        """Who may do what to whom, beside reading the stream that a function is fed from."""
        bars, state, forecasts = self.bars.table, self.bars.state, self.forecasts.table

        ingest_trades = self.ingestion.task.task_role
        self.trades.grant(ingest_trades, "kinesis:PutRecords")
        state.grant(ingest_trades, "dynamodb:GetItem")

        fill_history = self.history.task.task_role
        self.trades.grant(fill_history, "kinesis:PutRecords")
        bars.grant(fill_history, "dynamodb:Query", "dynamodb:PutItem")
        self.history.grant_cursors(state)

        aggregate_bars = self.bars.aggregate
        bars.grant(aggregate_bars, "dynamodb:Query", "dynamodb:PutItem")
        state.grant(aggregate_bars, "dynamodb:GetItem")
        grant_items(state, aggregate_bars, {"PutItem": ["watermark:*"]})

        audit_bars = self.audits.function
        bars.grant(audit_bars, "dynamodb:Query")
        state.grant(audit_bars, "dynamodb:GetItem")
        self.trades.grant(audit_bars, "kinesis:PutRecords")

        self.lake.grant_add(self.archive.trades, "tape")

        archive_bars = self.archive.bars
        bars.grant(archive_bars, "dynamodb:Query")
        self.lake.grant_rewrite(archive_bars, "bars")

        archive_forecasts = self.archive.forecasts
        forecasts.grant(archive_forecasts, "dynamodb:Query")
        self.lake.grant_rewrite(archive_forecasts, "forecasts")

        forecast = self.forecasts.function
        bars.grant(forecast, "dynamodb:Query")
        state.grant(forecast, "dynamodb:GetItem")
        forecasts.grant(forecast, "dynamodb:PutItem")
        grant_get(self.training.models, forecast, "models/*")

        score_forecasts, scores = self.scores.function, self.scores.table
        bars.grant(score_forecasts, "dynamodb:Query")
        forecasts.grant(score_forecasts, "dynamodb:Query", "dynamodb:UpdateItem")
        scores.grant(score_forecasts, "dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem")
        state.grant(score_forecasts, "dynamodb:GetItem")
        grant_items(state, score_forecasts, {"PutItem": ["retraining"], "UpdateItem": ["scoring"]})
        self.training.grant_start(score_forecasts)
        self.training.add_starter(self.scores.schedule)

        promote_model = self.training.promote
        grant_items(state, promote_model, {"PutItem": ["champion"]})
        grant_get(self.training.models, promote_model, "models/*")

        api = self.api.function
        bars.grant(api, "dynamodb:Query")
        state.grant(api, "dynamodb:GetItem")
        forecasts.grant(api, "dynamodb:Query", "dynamodb:BatchGetItem")
        scores.grant(api, "dynamodb:Query", "dynamodb:BatchGetItem")

        if self.live:
            self._grant_live(self.live)

    def _grant_live(self, live: Live) -> None:
        bars, forecasts, listeners = self.bars.table, self.forecasts.table, live.listeners
        live.grant_issue(self.api.function)
        listeners.grant(live.connect, "dynamodb:PutItem", "dynamodb:DeleteItem")
        listeners.grant(live.push, "dynamodb:Query", "dynamodb:DeleteItem")
        forecasts.grant(live.push, "dynamodb:Query", "dynamodb:BatchGetItem")
        bars.grant(live.push, "dynamodb:Query")
        live.grant_post(live.push)
        if account := self.api.api.node.try_find_child("Account"):
            live.stage.node.add_dependency(account)  # its role writes the access log

    def _watch(self, stage: Stage) -> None:
        readers = {
            "AggregateBars": Reader(self.bars.aggregate, stage.aggregate_window_s),
            "ArchiveTrades": Reader(self.archive.trades, stage.tape_window_s, never_idle=True),
            "ArchiveBars": Reader(self.archive.bars, stage.archive_window_s, made_good=True),
            "ArchiveForecasts": Reader(self.archive.forecasts, stage.forecast_window_s, made_good=True),
        }
        if self.live:
            readers["PushForecasts"] = Reader(self.live.push, 0, made_good=True)
        Monitoring(
            self,
            "Monitoring",
            stage=stage,
            watched=Watched(
                trades=self.trades,
                readers=readers,
                api=self.api.api,
                access_logs=self.api.access_logs,
                admission=self.live.connect if self.live else None,
                failures=self.failures.bucket,
                undelivered=self.failures.undelivered,
                pipeline_arn=self.training.pipeline_arn,
                feed_logs=self.ingestion.logs,
                score_logs=self.scores.function.log_group,
            ),
        )

    def _tell(self, stage: Stage) -> None:
        outputs = {
            "ApiUrl": self.api.api.url,
            "ApiKeyId": self.api.key.key_id,
            "UsagePlanId": self.api.plan.usage_plan_id,
            "StreamName": self.trades.stream_name,
            "BarsTable": self.bars.table.table_name,
            "StateTable": self.bars.state.table_name,
            "ForecastsTable": self.forecasts.table.table_name,
            "ScoresTable": self.scores.table.table_name,
            "LakeBucket": self.lake.bucket.bucket_name,
            "ModelsBucket": self.training.models.bucket_name,
            "FailuresBucket": self.failures.bucket.bucket_name,
            "UndeliveredQueue": self.failures.undelivered.queue_url,
            "PipelineName": stage.prefix,
            "ModelPackageGroup": self.training.registry,
            "Database": self.lake.database.ref,
            "Workgroup": stage.prefix,
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
        self.history.tell(self, self.ingestion)
