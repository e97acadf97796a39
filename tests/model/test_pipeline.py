"""The pipeline's definition: each step as its API call wants it, each reference to something that will be there."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.model import Shape, StructureShape
from botocore.validate import ParamValidator

from training import gate, pipeline, train
from training.evaluate import line

TOLD = {
    "role": "arn:aws:iam::123456789012:role/training",
    "region": "eu-central-1",
    "image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/sagemaker-xgboost:3.2-0",
    "source": "s3://assets/0123abcd.gz",
    "bars": "s3://lake/bars/venue=kraken/symbol=BTC-USD/",
    "models": "s3://models/models",
    "group": "bitcoin",
    "state_table": "state",
}
CALLS = {
    "Training": ("CreateTrainingJob", {"TrainingJobName": "made-by-the-service"}),
    "Processing": ("CreateProcessingJob", {"ProcessingJobName": "made-by-the-service"}),
    "RegisterModel": ("CreateModelPackage", {}),
}
DESCRIPTIONS = {"Training": "DescribeTrainingJob", "Processing": "DescribeProcessingJob"}


@pytest.fixture(scope="module")
def definition() -> dict[str, Any]:
    return pipeline.definition(**TOLD, tags={"project": "bitcoin"})


@pytest.fixture(scope="module")
def service():
    return botocore.session.get_session().get_service_model("sagemaker")


def steps(definition: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for step in definition["Steps"]:
        yield step
        for branch in ("IfSteps", "ElseSteps"):
            yield from step["Arguments"].get(branch, ())


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if set(value) == {"Get"}:
            yield value["Get"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolved(value: Any) -> Any:
    """Arguments with each reference replaced by some text, as the service replaces them before its call."""
    if isinstance(value, dict):
        if set(value) == {"Std:JsonGet"}:
            return f"resolved-{value['Std:JsonGet']['Path']}"
        if set(value) == {"Get"}:
            return "ml.m5.xlarge" if value["Get"] == "Parameters.InstanceType" else f"resolved-{value['Get']}"
        if set(value) == {"Std:Join"}:
            return value["Std:Join"]["On"].join(str(resolved(part)) for part in value["Std:Join"]["Values"])
        return {name: resolved(inner) for name, inner in value.items()}
    return [resolved(inner) for inner in value] if isinstance(value, list) else value


def test_each_steps_arguments_are_what_the_service_accepts(definition, service):
    checked = set()
    for step in steps(definition):
        if step["Type"] in CALLS:
            call, made = CALLS[step["Type"]]
            report = ParamValidator().validate(
                {**made, **resolved(step["Arguments"])}, service.operation_model(call).input_shape
            )
            assert not report.has_errors(), f"{step['Name']}: {report.generate_report()}"
            checked.add(step["Name"])

    assert checked == {"Snapshot", "Train", "Gate", "RegisterApproved", "RegisterRejected"}


def test_names_values_and_lengths_are_within_the_services_bounds(definition, service):
    for step in steps(definition):
        if step["Type"] in CALLS:
            shape = service.operation_model(CALLS[step["Type"]][0]).input_shape
            faults = list(out_of_bounds(resolved(step["Arguments"]), shape, step["Name"]))
            assert not faults


def out_of_bounds(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """botocore checks types and required members; enumerations and lengths are in its model unchecked."""
    if isinstance(shape, StructureShape):
        for name, inner in value.items():
            yield from out_of_bounds(inner, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for number, inner in enumerate(value):
            yield from out_of_bounds(inner, shape.member, f"{path}[{number}]")
    elif shape.type_name == "map":
        for name, inner in value.items():
            yield from out_of_bounds(inner, shape.value, f"{path}.{name}")
    elif shape.type_name == "string":
        allowed = shape.metadata.get("enum")
        if allowed and value not in allowed:
            yield f"{path}: {value!r} is none of the service's values"
        if len(value) > shape.metadata.get("max", len(value)):
            yield f"{path}: {len(value)} characters"


def test_every_reference_leads_to_a_parameter_or_to_an_earlier_steps_answer(definition, service):
    parameters = {entry["Name"] for entry in definition["Parameters"]}
    earlier: dict[str, dict[str, Any]] = {}
    for step in definition["Steps"]:
        for reference in references(step):
            root, _, rest = reference.partition(".")
            if root == "Parameters":
                assert rest in parameters
            elif root == "Execution":
                assert rest == "PipelineExecutionId"
            else:
                name, _, path = rest.partition(".")
                assert root == "Steps"
                assert leads(earlier[name], path, service), reference
        earlier[step["Name"]] = step


def leads(step: dict[str, Any], path: str, service: Any) -> bool:
    """Whether the step will have an answer at this path."""
    head, _, tail = path.partition(".")
    if head == "PropertyFiles":
        outputs = {entry["OutputName"] for entry in step["Arguments"]["ProcessingOutputConfig"]["Outputs"]}
        return any(entry["PropertyFileName"] == tail and entry["OutputName"] in outputs for entry in step[head])
    shape = service.operation_model(DESCRIPTIONS[step["Type"]]).output_shape
    for name, _, key in re.findall(r"(\w+)(\['([^']+)'\])?", path):
        if name not in shape.members:
            return False
        shape = shape.members[name]
        if key:  # a list that a pipeline reads by its entries' names
            outputs = step["Arguments"]["ProcessingOutputConfig"][name]
            if key not in {entry["OutputName"] for entry in outputs}:
                return False
            shape = shape.member
    return True


def test_each_step_waits_for_the_one_whose_answer_it_reads(definition):
    needs = {
        step["Name"]: {each.split(".")[1] for each in references(step) if each.startswith("Steps.")}
        for step in definition["Steps"]
    }

    assert needs == {
        "Snapshot": set(),
        "Train": {"Snapshot"},
        "Gate": {"Snapshot", "Train"},
        "Choose": {"Train", "Gate"},
    }


def test_both_jobs_read_the_snapshot_and_only_it_reads_the_lake(definition):
    readers = [step["Name"] for step in definition["Steps"] if TOLD["bars"] in json.dumps(step)]
    channel = step_named(definition, "Train")["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    [gate] = [entry for entry in step_named(definition, "Gate")["ProcessingInputs"] if entry["InputName"] == "bars"]

    assert readers == ["Snapshot"]
    assert (
        channel
        == gate["S3Input"]["S3Uri"]
        == {"Get": "Steps.Snapshot.ProcessingOutputConfig.Outputs['dataset'].S3Output.S3Uri"}
    )


def test_what_a_version_tells_of_itself_is_in_the_gates_decision(definition, run, tmp_path):
    gate.main(["--model", str(run.archive), "--bars", str(run.bars), "--output", str(tmp_path)])
    decision = json.loads((tmp_path / "decision.json").read_text())
    asked = {value["Path"] for step in steps(definition) for value in decided(step)}

    assert asked == {"status", "model_card", "dataset", "model_version"}
    assert all(isinstance(decision[name], str) for name in asked)


def decided(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if set(value) == {"Std:JsonGet"}:
            yield value["Std:JsonGet"]
        for inner in value.values():
            yield from decided(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from decided(inner)


def step_named(definition: dict[str, Any], name: str) -> dict[str, Any]:
    [arguments] = [step["Arguments"] for step in definition["Steps"] if step["Name"] == name]
    return arguments


def test_every_parameter_is_used_and_has_a_default(definition):
    used = {reference for reference in references(definition) if reference.startswith("Parameters.")}

    assert used == {f"Parameters.{entry['Name']}" for entry in definition["Parameters"]}
    assert all(isinstance(entry["DefaultValue"], str) for entry in definition["Parameters"])


def test_the_training_program_understands_the_hyperparameters_it_is_given(definition, monkeypatch, tmp_path):
    given = step_named(definition, "Train")["HyperParameters"]
    defaults = {entry["Name"]: entry["DefaultValue"] for entry in definition["Parameters"]}
    words = [
        word
        for name, value in given.items()
        if not name.startswith("sagemaker_")
        for word in (f"--{name}", defaults[value["Get"].removeprefix("Parameters.")])
    ]
    variables = {name: str(tmp_path) for name in ("SM_CHANNEL_BARS", "SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR")}

    assert train._told(words, variables).trials == 20


def test_the_jobs_log_lines_carry_the_metrics_the_service_collects(definition, run):
    metrics = step_named(definition, "Train")["AlgorithmSpecification"]["MetricDefinitions"]
    for metric, (horizon, measured) in zip(metrics, run.model.description["metrics"].items(), strict=True):
        found = re.search(metric["Regex"], line(int(horizon), measured))
        assert found
        assert float(found[1]) == pytest.approx(measured["crps_skill"], abs=1e-4)


def test_nothing_in_the_definition_depends_on_reading_a_token():
    tokens = {name: f"${{Token[{name}.{number}]}}" for number, name in enumerate(TOLD)}
    text = json.dumps(pipeline.definition(**tokens))

    assert all(token in text for token in tokens.values())
    assert json.loads(text) == pipeline.definition(**tokens)


@pytest.mark.parametrize("name", ["Snapshot", "Gate"])
def test_a_processing_job_is_told_the_region(definition, name):
    assert step_named(definition, name)["Environment"] == {"AWS_DEFAULT_REGION": TOLD["region"]}


def test_the_gates_command_unpacks_any_bundle_and_runs(definition, run, bundle, tmp_path):
    code, model, decision = (tmp_path / name for name in ("code", "model", "decision"))
    code.mkdir()
    model.mkdir()
    (code / "0123abcd.gz").write_bytes(bundle)
    (model / "model.tar.gz").write_bytes(run.archive.read_bytes())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(sys.executable)
    command = [*step_named(definition, "Gate")["AppSpecification"]["ContainerEntrypoint"]]
    command = [word.replace(pipeline.CODE, str(code)) for word in command]
    subprocess.run(
        [*command, "--model", str(model), "--bars", str(run.bars), "--output", str(decision)],
        check=True,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
    )

    assert json.loads((decision / "decision.json").read_text())["status"] in {"Approved", "Rejected"}


@pytest.mark.filterwarnings("ignore")  # the SDK's own
def test_steps_have_the_shape_the_sagemaker_sdk_gives_them(definition, monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")  # it makes clients while it is imported
    sdk = pytest.importorskip("sagemaker.mlops.workflow.condition_step", exc_type=ImportError)
    from sagemaker.core.workflow.conditions import ConditionEquals  # noqa: PLC0415
    from sagemaker.core.workflow.functions import Join, JsonGet  # noqa: PLC0415
    from sagemaker.core.workflow.properties import Properties, PropertyFile  # noqa: PLC0415
    from sagemaker.mlops.workflow.steps import StepTypeEnum  # noqa: PLC0415

    *_, gate, choose = definition["Steps"]
    file = PropertyFile(name="Decision", output_name="decision", path="decision.json")
    status = JsonGet(step_name="Gate", property_file="Decision", json_path="status")
    condition = ConditionEquals(left=status, right="Approved")
    made = sdk.ConditionStep(name="Choose", conditions=[condition]).to_request()

    snapshot = Properties(step_name="Snapshot", shape_name="DescribeProcessingJobResponse")
    [channel] = step_named(definition, "Train")["InputDataConfig"]
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == (
        snapshot.ProcessingOutputConfig.Outputs["dataset"].S3Output.S3Uri.expr
    )
    card = choose["Arguments"]["IfSteps"][0]["Arguments"]["ModelCard"]
    assert card["ModelCardContent"] == JsonGet(step_name="Gate", property_file="Decision", json_path="model_card").expr
    assert gate["PropertyFiles"] == [file.expr]
    assert set(made) == set(choose)
    assert set(made["Arguments"]) == set(choose["Arguments"])
    assert choose["Arguments"]["Conditions"] == [{**condition.to_request(), "LeftValue": status.expr}]
    assert {step["Type"] for step in steps(definition)} <= {kind.value for kind in StepTypeEnum}
    joined = Join(on="/", values=["a", "b"]).expr
    assert set(joined) == {"Std:Join"}
    assert set(joined["Std:Join"]) == {"On", "Values"}


@pytest.mark.filterwarnings("ignore")  # the SDK's own
def test_the_model_card_is_one_by_the_sdks_own_schema(run, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    shapes = pytest.importorskip("sagemaker.core.shapes.model_card_shapes", exc_type=ImportError)
    gate.main(["--model", str(run.archive), "--bars", str(run.bars), "--output", str(tmp_path)])
    text = (tmp_path / "model_card.json").read_text()
    card = shapes.ModelCardContent.model_validate_json(text, strict=False)

    [evaluation] = card.evaluation_details
    groups = [group.name for group in evaluation.metric_groups]
    assert "5 minutes ahead" in groups
    assert "against har" in groups
    assert evaluation.evaluation_observation.startswith(("Approved", "Rejected"))
    assert set(json.loads(text)) <= set(shapes.ModelCardContent.model_fields)
    assert len(json.dumps(json.loads(text))) < 100_000
