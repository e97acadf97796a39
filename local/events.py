"""EventBridge on this machine: an event goes to the functions of every rule whose pattern matches it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.declarations import Rule
from local.lambdas import Invoke, Result
from local.patterns import compile_pattern

ATTEMPTS = 3
"""Lambda repeats an asynchronous invocation that failed twice; it waits between, and nobody here has the minutes."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """One target's last answer to an event."""

    rule: str
    function_arn: str
    result: Result


class Bus:
    """The default event bus with the template's rules."""

    def __init__(self, rules: Sequence[Rule], functions: Mapping[str, Invoke]) -> None:
        self._rules = [(rule, compile_pattern(rule.pattern)) for rule in rules]
        self._functions = functions

    def put(self, event: Mapping[str, Any]) -> list[Delivered]:
        """Deliver to every matching rule's functions, each up to ATTEMPTS times; what the last attempts gave."""
        return [
            Delivered(rule.name, arn, self._invoke(arn, event))
            for rule, matches in self._rules
            if matches(event)
            for arn in rule.function_arns
        ]

    def _invoke(self, arn: str, event: Mapping[str, Any]) -> Result:
        for _ in range(ATTEMPTS - 1):
            result = self._functions[arn](event)
            if result.error is None:
                return result
        return self._functions[arn](event)


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
