"""What runs when a stack goes whose data goes with it: deletes a registry's models, without which its group stays.

CloudFormation runs it as it stands here, with Lambda's own libraries alone.
"""

import json
import urllib.request
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def handler(event: dict[str, Any], context: Any) -> None:  # noqa: ARG001 - Lambda's
    """Answers CloudFormation, which waits for an hour where nothing answers."""
    answer = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    answer |= {"PhysicalResourceId": event["ResourceProperties"]["Group"], "Status": "FAILED"}
    answer |= {"Reason": "the registry's models stay: see the function's log"}
    try:
        if event["RequestType"] == "Delete" and _goes(event["StackId"]):
            empty(event["ResourceProperties"]["Group"])
        answer |= {"Status": "SUCCESS", "Reason": ""}
    except (BotoCoreError, ClientError) as error:
        answer |= {"Reason": f"the registry's models stay: {error}"}
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


def empty(group: str) -> None:
    """Delete every version of every model of the group."""
    sagemaker = boto3.client("sagemaker")
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    for arn in [each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]]:
        sagemaker.delete_model_package(ModelPackageName=arn)
