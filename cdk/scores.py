"""What forecasts turned out to be worth: the function that scores them, its sums, and alarms on drift."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_lambda_event_sources import DynamoEventSource
from constructs import Construct

from btc.settings import ScoreForecasts
from cdk.bars import Bars, closed, on_demand_table
from cdk.forecasts import Forecasts
from cdk.python_function import METRICS, Layers, PythonFunction
from cdk.settings import Stage

DRIFTS = {
    "coverage": "The 90 % interval no longer covers what it promises: see LiveCoverage by horizon and /v1/scores; a "
    "retraining has been started, so look whether the gate passes the new model, and roll back to an older one if not.",
    "skill": "The champion is no better than the best baseline: see LiveSkill by horizon and /v1/scores; a retraining "
    "has been started, so look whether the gate passes the new model, and promote none if the baseline is better.",
}
"""What to do, by the cause that score_forecasts names."""


class Scores(Construct):
    """One item a horizon and day."""

    def __init__(  # noqa: PLR0913 - one argument a part it is joined to
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        layers: Layers,
        bars: Bars,
        forecasts: Forecasts,
        failures: lambda_.IEventSourceDlq,
    ) -> None:
        super().__init__(scope, construct_id)
        self.table = on_demand_table(
            self, "Table", key="series", sort_key="day", stage=stage, time_to_live_attribute="expires"
        )
        self.function = PythonFunction(
            self,
            "ScoreForecasts",
            name="score_forecasts",
            description="Tells what became of each forecast, and how good they have been",
            settings=ScoreForecasts(
                bars_table=bars.table.table_name,
                forecasts_table=forecasts.table.table_name,
                scores_table=self.table.table_name,
                state_table=bars.state.table_name,
                retention_days=stage.forecast_retention_days,
                catch_up_hours=stage.catch_up_hours,
                least_forecasts=stage.least_scored,
                coverage_low=stage.live_coverage[0],
                coverage_high=stage.live_coverage[1],
                skill_low=stage.least_live_skill,
                pipeline=stage.prefix,
                retrain_pause_hours=stage.retrain_pause_hours,
            ),
            layers=layers.named("common", "powertools"),
            stage=stage,
            memory_mb=512,
            timeout_s=300,
        )
        self.function.add_event_source(
            DynamoEventSource(
                bars.table,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                batch_size=1000,
                filters=[closed()],
                bisect_batch_on_error=True,
                retry_attempts=3,
                on_failure=failures,
            )
        )
        for cause, description in DRIFTS.items():
            self._alarm(cause, description)
        self.graphs = [_by_horizon(name) for name in ("LiveCoverage", "LiveSkill")]

    def _alarm(self, cause: str, description: str) -> None:
        cloudwatch.Alarm(
            self,
            f"{cause.capitalize()}Drifts",
            metric=cloudwatch.Metric(
                namespace=METRICS,
                metric_name="DriftDetected",
                dimensions_map={"cause": cause, "service": "score_forecasts"},
                statistic="Maximum",
                period=Duration.hours(1),
            ),
            alarm_description=description,
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )


def _by_horizon(name: str) -> cloudwatch.GraphWidget:
    """A line for each market and horizon that reports the metric."""
    search = f"SEARCH('{{{METRICS},horizon,market,service}} MetricName=\"{name}\"', 'Average')"
    return cloudwatch.GraphWidget(
        title=f"{name} over a week",
        left=[cloudwatch.MathExpression(expression=search, using_metrics={}, label="", period=Duration.minutes(5))],
    )
