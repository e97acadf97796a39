"""The audit of the bars: on a schedule, by a function that asks the venue for what they lack."""

from aws_cdk import aws_kinesis as kinesis
from constructs import Construct

from btc.settings import AuditBars
from cdk.bars import Bars
from cdk.python_function import Layers, PythonFunction
from cdk.schedules import every
from cdk.settings import Stage


class Audits(Construct):
    """One function and its schedule."""

    def __init__(  # noqa: PLR0913 - one argument a part it is joined to
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        layers: Layers,
        bars: Bars,
        trades: kinesis.IStream,
    ) -> None:
        super().__init__(scope, construct_id)
        self.function = PythonFunction(
            self,
            "AuditBars",
            name="audit_bars",
            description="Finds bars that are not proven and sends what they lack",
            settings=AuditBars(
                bars_table=bars.table.table_name,
                state_table=bars.state.table_name,
                stream=trades.stream_name,
                markets=tuple(str(market) for market in stage.markets),
                look_back_days=stage.audit_days,
                every_minutes=stage.audit_minutes,
                rest_url=stage.rest_url,
            ),
            layers=layers.named("common", "powertools"),
            stage=stage,
            memory_mb=512,
            timeout_s=600,
        )
        every(self, stage.audit_minutes, self.function, "Audits the bars")
