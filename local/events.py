"""EventBridge on this machine: an event goes to the functions of every rule whose pattern matches it.

What a function fails on ends at its destination, and what no function can be handed in the queue behind the rule.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.declarations import Rule
from local.destinations import keep_event
from local.lambdas import Invoke, Result
from local.patterns import compile_pattern
from local.streams import Emulator

ATTEMPTS = 3
"""Lambda repeats an asynchronous invocation that failed twice; it waits between, and nobody here has the minutes."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """One target's last answer to an event."""

    function_arn: str
    result: Result


@dataclass(frozen=True, slots=True)
class Bus:
    """The default event bus with the template's rules."""

    rules: Sequence[Rule]
    functions: Mapping[str, Invoke]
    """Those that there are, by ARN."""
    emulator: Emulator
    on_failure: Mapping[str, str] = field(default_factory=dict)
    """The buckets of what functions fail on: ARNs by ARN."""

    def put(self, event: Mapping[str, Any]) -> list[Delivered]:
        """Deliver to every matching rule's functions, each up to ATTEMPTS times; what the last attempts gave.

        Raises LookupError where there is neither the function nor a queue: on AWS the event would be lost.
        """
        delivered = []
        for rule in self.rules:
            if compile_pattern(rule.pattern)(event):
                for arn, queue in rule.targets.items():
                    if function := self.functions.get(arn):
                        delivered.append(Delivered(arn, self._invoke(arn, function, event)))
                    elif queue:
                        self._leave(event, rule.arn, arn, queue)
                    else:
                        raise LookupError(f"{rule.arn}: there is no {arn}, and no queue to leave its event in")
        return delivered

    def _invoke(self, arn: str, function: Invoke, event: Mapping[str, Any]) -> Result:
        for _ in range(ATTEMPTS):
            result = function(event)
            if result.error is None:
                return result
        if arn in self.on_failure:
            keep_event(self.on_failure[arn], arn, event, result, ATTEMPTS, self.emulator)
        return result

    def _leave(self, event: Mapping[str, Any], rule: str, target: str, queue: str) -> None:
        """As EventBridge does at once where there is no such function."""
        sqs = self.emulator.client("sqs")
        told = {
            "RULE_ARN": rule,
            "TARGET_ARN": target,
            "ERROR_CODE": "NO_RESOURCE",
            "ERROR_MESSAGE": "The function does not exist",
        }
        sqs.send_message(
            QueueUrl=sqs.get_queue_url(QueueName=queue.rpartition(":")[2])["QueueUrl"],
            MessageBody=json.dumps(event),
            MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in told.items()},
        )


def model_package_event(package: Mapping[str, Any]) -> dict[str, Any]:
    """What SageMaker says of a model package that was registered or whose approval changed; `package` is what
    DescribeModelPackage gives."""
    arn = package["ModelPackageArn"]
    _, _, _, region, account, _ = arn.split(":", 5)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "SageMaker Model Package State Change",
        "source": "aws.sagemaker",
        "account": account,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [arn],
        "detail": {
            "ModelPackageGroupName": package["ModelPackageGroupName"],
            "ModelPackageName": arn.split("/", 1)[1],
            "ModelPackageVersion": package["ModelPackageVersion"],
            "ModelPackageArn": arn,
            "ModelPackageStatus": package.get("ModelPackageStatus", "Completed"),
            "ModelApprovalStatus": package["ModelApprovalStatus"],
            "CustomerMetadataProperties": package.get("CustomerMetadataProperties", {}),
        },
    }
