"""Runs a SageMaker pipeline from its definition, step by step, on this machine."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local import jobs
from local.jobs import Job, JobError, Machine

Json = dict[str, Any]

_PART = re.compile(r"\[(?:'([^']*)'|\"([^\"]*)\"|(\d+))\]|([^.\[\]]+)")
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda left, right: left == right,
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanOrEqualTo": lambda left, right: left >= right,
    "LessThan": lambda left, right: left < right,
    "LessThanOrEqualTo": lambda left, right: left <= right,
}


class PipelineError(RuntimeError):
    """The definition says something that cannot be run here, or a step failed; the message names the step."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a step did: its kind and what later steps may refer to."""

    name: str
    type: str
    properties: Json


@dataclass(slots=True)
class Execution:
    """One run of a pipeline: `steps` fills as they end."""

    name: str
    arn: str
    machine: Machine
    parameters: Mapping[str, Any]
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    began: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    steps: dict[str, Step] = field(default_factory=dict)

    @property
    def packages(self) -> list[str]:
        """The ARNs of the model packages it has registered."""
        return [step.properties["ModelPackageArn"] for step in self.steps.values() if step.type == "RegisterModel"]


def start(  # noqa: PLR0913 - what StartPipelineExecution is told
    definition: str | Json,
    machine: Machine,
    *,
    name: str,
    arn: str = "",
    parameters: Mapping[str, str] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Execution:
    """Run every step in the order their references ask for; `tell` hears of each as it begins.

    `parameters` override the definition's defaults. Raises PipelineError naming the step that failed.
    """
    document: Json = json.loads(definition) if isinstance(definition, str) else definition
    execution = Execution(name, arn, machine, _parameters(document, parameters or {}))
    for step in _in_order(document["Steps"]):
        _run(step, execution, tell)
    return execution


def _run(step: Json, execution: Execution, tell: Callable[[str], None]) -> None:
    name, kind = step["Name"], step["Type"]
    runner = _RUNNERS.get(kind)
    if runner is None:
        raise PipelineError(f"step {name} is of type {kind}, which cannot be run here")
    if kind != "Condition":
        tell(name)
    try:
        properties = runner(step, execution, tell)
    except JobError as error:
        raise PipelineError(f"step {name}: {error}") from error
    execution.steps[name] = Step(name, kind, properties)


def _train(step: Json, execution: Execution, _: Callable[[str], None]) -> Json:
    return jobs.train(_job(step, execution), _value(step["Arguments"], execution))


def _process(step: Json, execution: Execution, _: Callable[[str], None]) -> Json:
    job = _job(step, execution)
    properties = jobs.process(job, _value(step["Arguments"], execution))
    outputs = properties["ProcessingOutputConfig"]["Outputs"]
    files = {}
    for entry in step.get("PropertyFiles", ()):
        path = job.path(outputs[entry["OutputName"]]["S3Output"]["LocalPath"]) / entry["FilePath"]
        if not path.is_file():
            raise JobError(f"{job.name} left no {entry['FilePath']} in its output {entry['OutputName']}")
        files[entry["PropertyFileName"]] = json.loads(path.read_text())
    return {**properties, "PropertyFiles": files}


def _choose(step: Json, execution: Execution, tell: Callable[[str], None]) -> Json:
    arguments = step["Arguments"]
    holds = all(_holds(condition, execution) for condition in arguments["Conditions"])
    for chosen in _in_order(arguments.get("IfSteps" if holds else "ElseSteps", [])):
        _run(chosen, execution, tell)
    return {"Outcome": holds}


def _register(step: Json, execution: Execution, _: Callable[[str], None]) -> Json:
    arguments = _value(step["Arguments"], execution)
    client = execution.machine.emulator.client("sagemaker")
    arn = client.create_model_package(**arguments)["ModelPackageArn"]
    return dict(client.describe_model_package(ModelPackageName=arn))


def _fail(step: Json, execution: Execution, _: Callable[[str], None]) -> Json:
    raise PipelineError(f"step {step['Name']}: {_value(step['Arguments'], execution).get('ErrorMessage', 'failed')}")


_RUNNERS: Mapping[str, Callable[[Json, Execution, Callable[[str], None]], Json]] = {
    "Condition": _choose,
    "Fail": _fail,
    "Processing": _process,
    "RegisterModel": _register,
    "Training": _train,
}


def _job(step: Json, execution: Execution) -> Job:
    return Job(f"pipelines-{execution.id}-{step['Name']}", execution.machine)


def _parameters(document: Json, given: Mapping[str, str]) -> Json:
    declared = {entry["Name"]: entry for entry in document.get("Parameters", ())}
    if unknown := set(given) - set(declared):
        raise PipelineError(f"the pipeline has no parameter {', '.join(sorted(unknown))}; it has {', '.join(declared)}")
    values = {name: given.get(name, entry.get("DefaultValue")) for name, entry in declared.items()}
    if missing := [name for name, value in values.items() if value is None]:
        raise PipelineError(f"parameter {', '.join(missing)} has no default: give it a value")
    return values


def _value(given: Any, execution: Execution) -> Any:
    """`given` with every reference in it replaced by what it refers to."""
    if isinstance(given, list):
        return [_value(item, execution) for item in given]
    if not isinstance(given, dict):
        return given
    if len(given) == 1:
        [(name, argument)] = given.items()
        match name:
            case "Get":
                return _get(argument, execution)
            case "Std:Join":
                return argument["On"].join(str(_value(item, execution)) for item in argument["Values"])
            case "Std:JsonGet":
                document = _get(argument["PropertyFile"]["Get"], execution)
                return _walk(document, argument["Path"], f"{argument['PropertyFile']['Get']} {argument['Path']}")
    return {key: _value(item, execution) for key, item in given.items()}


def _get(path: str, execution: Execution) -> Any:
    root, _, rest = path.partition(".")
    match root:
        case "Parameters":
            known: Json = dict(execution.parameters)
        case "Execution":
            known = {
                "PipelineExecutionId": execution.id,
                "PipelineExecutionArn": f"{execution.arn}/execution/{execution.id}",
                "PipelineName": execution.name,
                "PipelineArn": execution.arn,
                "StartDateTime": execution.began,
                "CurrentDateTime": datetime.now(UTC).isoformat(),
            }
        case "Steps":
            known = {name: step.properties for name, step in execution.steps.items()}
        case _:
            raise PipelineError(f"{path} refers to {root}, which nothing here gives")
    return _walk(known, rest, path)


def _walk(document: Any, path: str, whole: str) -> Any:
    """The value at `a.b[0]['c']`; raises PipelineError naming the reference that leads nowhere."""
    for single, double, index, name in _PART.findall(path):
        key: Any = int(index) if index else single or double or name
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError) as error:
            raise PipelineError(f"{whole} leads nowhere: there is no {key}") from error
    return document


def _holds(condition: Json, execution: Execution) -> bool:
    kind = condition["Type"]
    if kind == "Not":
        return not _holds(condition["Expression"], execution)
    if kind == "Or":
        return any(_holds(part, execution) for part in condition["Conditions"])
    if kind == "In":
        return _value(condition["QueryValue"], execution) in _value(condition["Values"], execution)
    if kind not in _COMPARISONS:
        raise PipelineError(f"condition {kind} cannot be decided here")
    return _COMPARISONS[kind](_value(condition["LeftValue"], execution), _value(condition["RightValue"], execution))


def _in_order(steps: list[Json]) -> list[Json]:
    """Steps such that each comes after those it refers to or depends on; raises PipelineError on a circle."""
    waiting, ordered = {step["Name"]: step for step in steps}, []
    while waiting:
        ready = [name for name, step in waiting.items() if not (_needs(step) & waiting.keys() - {name})]
        if not ready:
            raise PipelineError(f"steps {', '.join(waiting)} wait for each other")
        ordered += [waiting.pop(name) for name in ready]
    return ordered


def _needs(step: Json) -> set[str]:
    return {*step.get("DependsOn", ()), *_referred(step.get("Arguments", {}))}


def _referred(given: Any) -> Iterator[str]:
    """The names of the steps that a value refers to."""
    if isinstance(given, dict):
        if isinstance(path := given.get("Get"), str) and path.startswith("Steps."):
            yield path.split(".")[1]
        for item in given.values():
            yield from _referred(item)
    elif isinstance(given, list):
        for item in given:
            yield from _referred(item)
