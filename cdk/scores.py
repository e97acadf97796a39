"""What forecasts turned out to be worth: the function that scores them, and its sums."""

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from btc.settings import ScoreForecasts
from cdk.bars import Bars, on_demand_table
from cdk.forecasts import Forecasts
from cdk.python_function import Layers, PythonFunction
from cdk.schedules import every
from cdk.settings import Stage


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
        on_failure: lambda_.IDestination,
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
                markets=tuple(str(market) for market in stage.markets),
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
            timeout_s=240,
            on_failure=on_failure,
        )
        self.schedule = every(self, stage.score_minutes, self.function, "Scores the forecasts whose minutes are over")
