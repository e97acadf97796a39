"""Forecasts: made when a bar closes, by the champion that promotion left."""

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_lambda_event_sources import DynamoEventSource
from constructs import Construct

from btc.settings import Forecast
from cdk.bars import Bars, closed, grant_items, on_demand_table
from cdk.python_function import Layers, PythonFunction
from cdk.settings import Stage


class Forecasts(Construct):
    """One item a horizon and target time."""

    def __init__(  # noqa: PLR0913 - one argument a part it is joined to
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        layers: Layers,
        bars: Bars,
        failures: lambda_.IEventSourceDlq,
    ) -> None:
        super().__init__(scope, construct_id)
        self.table = on_demand_table(
            self,
            "Table",
            key="series",
            sort_key="target_time",
            stage=stage,
            stream=dynamodb.StreamViewType.NEW_IMAGE,
            time_to_live_attribute="expires",
        )
        self.function = PythonFunction(
            self,
            "Forecast",
            name="forecast",
            description="Forecasts each horizon from the bar that has just closed",
            settings=Forecast(
                bars_table=bars.table.table_name,
                forecasts_table=self.table.table_name,
                state_table=bars.state.table_name,
                retention_days=stage.forecast_retention_days,
                max_bar_age_s=stage.max_bar_age_s,
                max_model_age_days=stage.max_model_age_days,
            ),
            layers=layers.named("common", "powertools", "xgboost"),
            stage=stage,
            memory_mb=1024,
            timeout_s=60,
        )
        self.function.add_event_source(
            DynamoEventSource(
                bars.table,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                batch_size=100,
                filters=[closed()],
                bisect_batch_on_error=True,
                retry_attempts=3,
                on_failure=failures,
            )
        )
        # The table of the champion's pointer is the calibration's too: of it, nothing else may be written here.
        grant_items(bars.state, self.function, {"PutItem": ["calibration:*"]})
