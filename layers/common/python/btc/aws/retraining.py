"""Starting the training pipeline out of turn, ever more rarely where no model comes of it."""

from typing import TYPE_CHECKING, Final

from btc.aws.state import StateTable
from btc.times import HOUR, parse_iso

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

LONGEST: Final = 7 * 24
"""Hours: as rarely as the pipeline runs by itself."""


def start(client: "SageMakerClient", state: StateTable, pipeline: str, now: int, pause_hours: int) -> str | None:
    """The ARN of the execution that was started; None where the last one began less than a pause ago.

    The pause is `pause_hours`; from the second on that brought no other champion it doubles, up to LONGEST: what the
    gate turned away twice it will turn away tomorrow.

    Until a start is on record every attempt carries the token of the one before it, so that whoever is interrupted
    between the two, or comes at the same moment, gets the same execution.
    """
    last, times = state.retrained()
    if (champion := state.champion()) and parse_iso(champion.promoted_at) > last:
        times = 0
    pause = min(pause_hours * 2 ** max(0, times - 1), max(pause_hours, LONGEST))
    if now - last < pause * HOUR:
        return None
    answer = client.start_pipeline_execution(
        PipelineName=pipeline,
        PipelineExecutionDescription="Live scores are out of bounds",
        ClientRequestToken=f"retrain-{pipeline}-after-{last:020}",
    )
    state.retrain(now, times + 1)
    return answer["PipelineExecutionArn"]
