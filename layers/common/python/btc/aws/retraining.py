"""Starting the training pipeline out of turn, at most once in so many hours."""

from typing import TYPE_CHECKING

from btc.aws.state import StateTable
from btc.times import HOUR

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient


def start(client: "SageMakerClient", state: StateTable, pipeline: str, now: int, pause_hours: int) -> str | None:
    """The ARN of the execution that was started; None where the last one began less than `pause_hours` ago.

    Until a start is on record every attempt carries the token of the one before it, so that whoever is interrupted
    between the two, or comes at the same moment, gets the same execution.
    """
    last = state.retrained_at()
    if now - last < pause_hours * HOUR:
        return None
    answer = client.start_pipeline_execution(
        PipelineName=pipeline,
        PipelineExecutionDescription="Live scores are out of bounds",
        ClientRequestToken=f"retrain-{pipeline}-after-{last:020}",
    )
    state.retrain(now)
    return answer["PipelineExecutionArn"]
