"""A pipeline's definition runs step by step as SageMaker would run it."""

from __future__ import annotations

import io
import tarfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.jobs import Machine
from local.pipeline import PipelineError, start
from local.streams import Emulator
from tests.local.delivering import emulator_process

TRAIN = """
    import argparse, json, os, pathlib
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials")
    trials = parser.parse_args().trials
    try:
        import local
        alone = False
    except ImportError:
        alone = True
    bars = sorted(p.name for p in pathlib.Path(os.environ["SM_CHANNEL_BARS"]).rglob("*") if p.is_file())
    report = {"trials": trials, "bars": bars, "alone": alone, "numpy": __import__("numpy").__name__}
    pathlib.Path(os.environ["SM_MODEL_DIR"], "model.json").write_text(json.dumps(report))
    print("skill=0.25")
"""
GATE = """
    import json, pathlib, sys, tarfile
    model, decision = map(pathlib.Path, sys.argv[1:])
    [archive] = model.iterdir()
    report = json.load(tarfile.open(archive).extractfile("./model.json"))
    (decision / "decision.json").write_text(json.dumps({"verdict": {"status": "Approved"}, "seen": report}))
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with emulator_process(tmp_path_factory.mktemp("emulator")) as emulator:
        s3 = emulator.client("s3")
        s3.create_bucket(Bucket="models")
        s3.put_object(Bucket="models", Key="code/source.tar.gz", Body=_bundle({"train.py": TRAIN, "gate.py": GATE}))
        s3.put_object(Bucket="models", Key="bars/date=1/bars.parquet", Body=b"bars")
        emulator.client("sagemaker").create_model_package_group(ModelPackageGroupName="models")
        yield emulator


def test_a_model_is_trained_weighed_and_registered_as_the_gate_decides(emulator: Emulator, tmp_path: Path) -> None:
    told: list[str] = []

    execution = start(_definition(), Machine(emulator, tmp_path), name="p", tell=told.append)

    [package] = execution.packages
    described = emulator.client("sagemaker").describe_model_package(ModelPackageName=package)
    assert told == ["Train", "Gate", "RegisterApproved"]
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["CustomerMetadataProperties"] == {"skill": "0.25"}
    assert execution.steps["Gate"].properties["PropertyFiles"]["Decision"]["seen"] == {
        "trials": "3",
        "bars": ["bars.parquet"],
        "alone": True,
        "numpy": "numpy",
    }


def test_a_parameter_of_the_execution_overrides_its_default(emulator: Emulator, tmp_path: Path) -> None:
    execution = start(_definition(), Machine(emulator, tmp_path), name="p", parameters={"Trials": "9"})

    assert execution.steps["Gate"].properties["PropertyFiles"]["Decision"]["seen"]["trials"] == "9"


def test_a_step_that_fails_is_named_with_its_last_words(emulator: Emulator, tmp_path: Path) -> None:
    definition = _definition()
    definition["Steps"][0]["Arguments"]["HyperParameters"]["unknown-option"] = "1"

    with pytest.raises(PipelineError, match=r"(?s)step Train: .*exit status 2.*unrecognized arguments"):
        start(definition, Machine(emulator, tmp_path), name="p")


def test_a_reference_that_leads_nowhere_is_named(emulator: Emulator, tmp_path: Path) -> None:
    definition = _definition()
    definition["Steps"][1]["Arguments"]["ProcessingInputs"][0]["S3Input"]["S3Uri"] = {"Get": "Parameters.Missing"}

    with pytest.raises(PipelineError, match=r"Parameters\.Missing leads nowhere"):
        start(definition, Machine(emulator, tmp_path), name="p")


def _definition() -> dict[str, Any]:
    run = {"Std:Join": {"On": "/", "Values": ["s3://models/runs", {"Get": "Execution.PipelineExecutionId"}]}}
    artefact = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    return {
        "Version": "2020-12-01",
        "Parameters": [{"Name": "Trials", "Type": "String", "DefaultValue": "3"}],
        "Steps": [
            {
                "Name": "Train",
                "Type": "Training",
                "Arguments": {
                    "AlgorithmSpecification": {"MetricDefinitions": [{"Name": "skill", "Regex": r"skill=([0-9.]+)"}]},
                    "HyperParameters": {
                        "sagemaker_program": "train.py",
                        "sagemaker_submit_directory": "s3://models/code/source.tar.gz",
                        "trials": {"Get": "Parameters.Trials"},
                    },
                    "InputDataConfig": [
                        {"ChannelName": "bars", "DataSource": {"S3DataSource": {"S3Uri": "s3://models/bars/"}}}
                    ],
                    "OutputDataConfig": {"S3OutputPath": run},
                    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
                },
            },
            {
                "Name": "Gate",
                "Type": "Processing",
                "Arguments": {
                    "AppSpecification": {
                        "ContainerEntrypoint": [
                            "bash",
                            "-c",
                            'tar -xzf /opt/ml/code/* && exec python3 gate.py "$@"',
                            "-",
                        ],
                        "ContainerArguments": ["/opt/ml/model-in", "/opt/ml/decision"],
                    },
                    "ProcessingInputs": [
                        {"S3Input": {"S3Uri": artefact, "LocalPath": "/opt/ml/model-in"}},
                        {"S3Input": {"S3Uri": "s3://models/code/source.tar.gz", "LocalPath": "/opt/ml/code"}},
                    ],
                    "ProcessingOutputConfig": {
                        "Outputs": [
                            {"OutputName": "decision", "S3Output": {"S3Uri": run, "LocalPath": "/opt/ml/decision"}}
                        ]
                    },
                },
                "PropertyFiles": [
                    {"PropertyFileName": "Decision", "OutputName": "decision", "FilePath": "decision.json"}
                ],
            },
            {
                "Name": "Choose",
                "Type": "Condition",
                "Arguments": {
                    "Conditions": [
                        {
                            "Type": "Equals",
                            "LeftValue": {
                                "Std:JsonGet": {
                                    "PropertyFile": {"Get": "Steps.Gate.PropertyFiles.Decision"},
                                    "Path": "verdict.status",
                                }
                            },
                            "RightValue": "Approved",
                        }
                    ],
                    "IfSteps": [_register("Approved", artefact)],
                    "ElseSteps": [_register("Rejected", artefact)],
                },
            },
        ],
    }


def _register(status: str, artefact: dict[str, str]) -> dict[str, Any]:
    skill = {"Std:Join": {"On": "", "Values": [{"Get": "Steps.Train.FinalMetricDataList['skill'].Value"}]}}
    return {
        "Name": f"Register{status}",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "models",
            "ModelApprovalStatus": status,
            "InferenceSpecification": {
                "Containers": [{"Image": "image", "ModelDataUrl": artefact}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            "CustomerMetadataProperties": {"skill": skill},
        },
    }


def _bundle(files: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in files.items():
            data = textwrap.dedent(text).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()
