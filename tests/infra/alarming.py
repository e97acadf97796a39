"""CloudWatch's rule for alarms, and the metrics that a process really printed for it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any

from tests.infra.assembly import Assembly, Json, resolved

STATISTICS = {
    "Maximum": max,
    "Minimum": min,
    "Sum": sum,
    "p99": lambda values: sorted(values)[ceil(0.99 * len(values)) - 1],
}
COMPARISONS = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
}

Sample = tuple[str, str, frozenset[tuple[str, str]], float]
"""Namespace, name, dimensions, value."""


def alarms(assembly: Assembly) -> dict[str, Json]:
    """By what the alarm is called, without what the CDK puts around it."""
    found = assembly.of_type("CloudWatch::Alarm").items()
    return {name.removeprefix("Monitoring")[:-8]: resource["Properties"] for name, resource in found}


def rule(assembly: Assembly, name: str) -> tuple[str, Json]:
    [found] = [each for each in assembly.of_type("Events::Rule").items() if each[0].startswith(f"Monitoring{name}Rule")]
    return found[0], resolved(found[1]["Properties"])


def samples(printed: str) -> list[Sample]:
    """What CloudWatch makes of the embedded metrics among these lines."""
    found = []
    for line in filter(lambda line: line.startswith("{"), printed.splitlines()):
        document = json.loads(line)
        for group in document.get("_aws", {}).get("CloudWatchMetrics", ()):
            for keys in group["Dimensions"]:
                where = frozenset((key, document[key]) for key in keys)
                for metric in group["Metrics"]:
                    value = document[metric["Name"]]
                    values = value if isinstance(value, list) else [value]
                    found += [(group["Namespace"], metric["Name"], where, float(each)) for each in values]
    return found


def state(alarm: Json, periods: Sequence[Iterable[Sample]]) -> str:
    """ALARM or OK after these periods, one after the other, the last of which are those that the alarm looks at."""
    assert "DatapointsToAlarm" not in alarm
    looked_at = periods[-alarm["EvaluationPeriods"] :]
    assert len(looked_at) == alarm["EvaluationPeriods"]
    breaching = [_breaches(alarm, [sample[3] for sample in period if _is_of(alarm, sample)]) for period in looked_at]
    return "ALARM" if all(breaching) else "OK"


def dimensions(alarm: Mapping[str, Any]) -> dict[str, str]:
    return {each["Name"]: resolved(each["Value"]) for each in alarm.get("Dimensions", ())}


def _is_of(alarm: Json, sample: Sample) -> bool:
    return sample[:3] == (alarm["Namespace"], alarm["MetricName"], frozenset(dimensions(alarm).items()))


def _breaches(alarm: Json, values: list[float]) -> bool:
    if not values:
        return bool({"breaching": True, "notBreaching": False}[alarm["TreatMissingData"]])
    value = STATISTICS[alarm.get("Statistic") or alarm["ExtendedStatistic"]](values)
    return bool(COMPARISONS[alarm["ComparisonOperator"]](value, alarm["Threshold"]))
