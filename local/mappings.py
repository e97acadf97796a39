"""Event-source mappings: which stream feeds which function, and how failures are dealt with."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Mapping as Properties
from dataclasses import dataclass
from typing import Any, Literal, Self

_READ = {
    "BatchSize",
    "BisectBatchOnFunctionError",
    "DestinationConfig",
    "Enabled",
    "EventSourceArn",
    "FilterCriteria",
    "FunctionName",
    "FunctionResponseTypes",
    "MaximumBatchingWindowInSeconds",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "StartingPosition",
}
_WITHOUT_EFFECT = {"KmsKeyArn", "LoggingConfig", "MetricsConfig", "Tags"}


class UnsupportedMappingError(Exception):
    """The mapping asks for something that delivery here does not do; running it would differ from AWS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """An AWS::Lambda::EventSourceMapping on a stream. `function` is a name or ARN, `filters` are patterns as JSON
    text; `retries` and `max_age_s` are without limit at -1, as on AWS."""

    uuid: str
    function: str
    source_arn: str
    batch_size: int = 100
    window_s: float = 0.0
    retries: int = -1
    bisect: bool = False
    report_failures: bool = False
    filters: tuple[str, ...] = ()
    on_failure_arn: str | None = None
    max_age_s: float = -1
    starting_position: Literal["TRIM_HORIZON", "LATEST"] = "TRIM_HORIZON"
    enabled: bool = True

    @classmethod
    def from_properties(cls, properties: Properties[str, Any]) -> Self:
        """From CloudFormation's properties, with every intrinsic resolved. Raises UnsupportedMappingError."""
        _refuse_unsupported(properties)
        function, source = properties["FunctionName"], properties["EventSourceArn"]
        destination = properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        return cls(
            uuid=str(uuids.uuid5(uuids.NAMESPACE_URL, f"{source} {function}")),
            function=function,
            source_arn=source,
            batch_size=int(properties.get("BatchSize", 100)),
            window_s=float(properties.get("MaximumBatchingWindowInSeconds", 0)),
            retries=int(properties.get("MaximumRetryAttempts", -1)),
            bisect=_flag(properties.get("BisectBatchOnFunctionError", False)),
            report_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", ()),
            filters=tuple(item["Pattern"] for item in properties.get("FilterCriteria", {}).get("Filters", ())),
            on_failure_arn=destination,
            max_age_s=float(properties.get("MaximumRecordAgeInSeconds", -1)),
            starting_position=properties["StartingPosition"],
            enabled=_flag(properties.get("Enabled", True)),
        )

    @property
    def function_arn(self) -> str:
        """The function's ARN, in its stream's account and region where only its name is given."""
        if self.function.startswith("arn:"):
            return self.function
        _, partition, _, region, account, *_ = self.source_arn.split(":")
        return f"arn:{partition}:lambda:{region}:{account}:function:{self.function}"


def _refuse_unsupported(properties: Properties[str, Any]) -> None:
    unknown = set(properties) - _READ - _WITHOUT_EFFECT
    if properties.get("ParallelizationFactor", 1) == 1:
        unknown.discard("ParallelizationFactor")
    if properties.get("TumblingWindowInSeconds", 0) == 0:
        unknown.discard("TumblingWindowInSeconds")
    if unknown:
        raise UnsupportedMappingError(f"{properties['FunctionName']}: {', '.join(sorted(unknown))} cannot be run here")
    if (position := properties.get("StartingPosition")) not in ("TRIM_HORIZON", "LATEST"):
        raise UnsupportedMappingError(f"{properties['FunctionName']}: StartingPosition {position} cannot be run here")


def _flag(value: bool | str) -> bool:  # noqa: FBT001 - a template may spell a boolean as text
    return value is True or value == "true"
