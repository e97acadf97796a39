"""What runs when a stack goes: stops its pipeline's trainings, and deletes its registry's models where they go too.

SageMaker deletes neither a pipeline that is at work nor a group that holds models. CloudFormation runs this as it
stands here, with Lambda's own libraries alone.
"""

import json
import time
import urllib.request
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

PAUSE_S = 10
SPARE_MS = 30_000
"""What is left of the function's time when it gives up, to answer."""


class StillRunningError(Exception):
    """A training has not ended in the time that the function has."""


def handler(event: dict[str, Any], context: Any) -> None:
    """Answers CloudFormation, which waits for an hour where nothing answers."""
    [(kind, name)] = [(kind, event["ResourceProperties"][kind]) for kind in ENDS if kind in event["ResourceProperties"]]
    answer = {each: event[each] for each in ("StackId", "RequestId", "LogicalResourceId")}
    answer |= {"PhysicalResourceId": name, "Status": "FAILED", "Reason": f"{name} stays: see the function's log"}
    try:
        if event["RequestType"] == "Delete" and _goes(event["StackId"]):
            ENDS[kind](name, context)
        answer |= {"Status": "SUCCESS", "Reason": ""}
    except (BotoCoreError, ClientError, StillRunningError) as error:
        answer |= {"Reason": f"{name} stays: {error}"}
    finally:
        _tell(event["ResponseURL"], answer)


def _goes(stack: str) -> bool:
    """Whether all of the stack does: an update that keeps the group and its models deletes this alone."""
    [told] = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return bool(told["StackStatus"] == "DELETE_IN_PROGRESS")


def _tell(url: str, answer: dict[str, str]) -> None:
    request = urllib.request.Request(url, json.dumps(answer).encode(), method="PUT")  # noqa: S310
    request.add_header("Content-Type", "")
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - CloudFormation's own address


def stop(pipeline: str, context: Any) -> None:
    """Stop what the pipeline runs, and wait until it has ended. Raises StillRunningError."""
    sagemaker = boto3.client("sagemaker")
    while alive := _alive(sagemaker, pipeline):
        for arn in [arn for arn, status in alive.items() if status == "Executing"]:
            sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
        if context.get_remaining_time_in_millis() < SPARE_MS:
            raise StillRunningError(f"{', '.join(alive)} still stops: delete the stack again once it has ended")
        time.sleep(PAUSE_S)


def _alive(sagemaker: Any, pipeline: str) -> dict[str, str]:
    """The status of each execution that has not ended, by ARN."""
    pages = sagemaker.get_paginator("list_pipeline_executions").paginate(PipelineName=pipeline)
    told = [each for page in pages for each in page["PipelineExecutionSummaries"]]
    return {
        each["PipelineExecutionArn"]: each["PipelineExecutionStatus"]
        for each in told
        if each["PipelineExecutionStatus"] in ("Executing", "Stopping")
    }


def empty(group: str, context: Any) -> None:  # noqa: ARG001 - as for the other
    """Delete every version of every model of the group."""
    sagemaker = boto3.client("sagemaker")
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    for arn in [each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]]:
        sagemaker.delete_model_package(ModelPackageName=arn)


ENDS = {"Pipeline": stop, "Group": empty}
"""What is done to what a resource names, by the property that names it."""
