"""The SageMaker pipeline as a plain dict: snapshot → train → gate → register, Approved or Rejected.

Every argument may be a CDK token, so none is read or taken apart here but `train-seconds`. Each step's Arguments have
the shape of the API call the service makes of them (CreateTrainingJob, CreateProcessingJob, CreateModelPackage).
"""

from collections.abc import Mapping
from typing import Any, Final

VERSION: Final = "2020-12-01"
PROGRAM: Final = "train.py"
"""The entry point at the root of the source bundle: a copy of training/train.py."""

CODE: Final = "/opt/ml/processing/input/code"
MODEL: Final = "/opt/ml/processing/input/model"
BARS: Final = "/opt/ml/processing/input/bars"
DATASET: Final = "/opt/ml/processing/output/dataset"
DECISION: Final = "/opt/ml/processing/output/decision"
APPROVED: Final = "Approved"
REJECTED: Final = "Rejected"

_RUN: Final = (
    f'cd {CODE} && for bundle in *; do tar -xzf "$bundle"; done'
    " && { python3 -c 'import msgspec, awswrangler' || python3 -m pip install --quiet --requirement requirements.txt; }"
    ' && exec python3 -m "$0" "$@"'
)
_FIT_S: Final = 3600  # beside the search: with one trial, two years of bars took 28 minutes in all on two cores
_SPOT_WAIT_S: Final = 3600

Json = dict[str, Any]

_SNAPSHOT: Final[Json] = {"Get": "Steps.Snapshot.ProcessingOutputConfig.Outputs['dataset'].S3Output.S3Uri"}


def definition(  # noqa: PLR0913 - one argument a resource it works with
    *,
    role: str,
    region: str,
    image: str,
    source: str,
    bars: str,
    models: str,
    group: str,
    state_table: str,
    instance_type: str = "ml.m5.xlarge",
    hyperparameters: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    spot: bool = True,
    tags: Mapping[str, str] | None = None,
) -> Json:
    """The pipeline's definition.

    `region` is where the gate finds the champion, `source` the URI of the source bundle (tar.gz), `bars` the lake's
    prefix of one market's bars, `models` the prefix artefacts and decisions are written under, `group` the model
    package group's name, `state_table` the table that names the champion, `environment` what the training is told of
    its trackers. Trials, test days and instance type are parameters an execution may override; and `train-seconds`,
    after which no trial begins, though SageMaker ends a training by what is said of it here.
    """
    settings = {"trials": "20", "test-days": "14", "train-seconds": "1800", "seed": "7", **(hyperparameters or {})}
    names = {name: _parameter_name(name) for name in settings}
    run = _join(models, "runs", _get("Execution.PipelineExecutionId"))
    labels = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
    shared: Json = {"role": role, "image": image, "tags": labels}
    return {
        "Version": VERSION,
        "Metadata": {},
        "Parameters": [
            {"Name": "InstanceType", "Type": "String", "DefaultValue": instance_type},
            *({"Name": names[name], "Type": "String", "DefaultValue": value} for name, value in settings.items()),
        ],
        "PipelineExperimentConfig": None,
        "Steps": [
            _snapshot(source=source, bars=bars, run=run, region=region, **shared),
            _train(
                source=source,
                run=run,
                names=names,
                environment=environment or {},
                max_runtime_s=int(settings["train-seconds"]) + _FIT_S,
                spot=spot,
                **shared,
            ),
            _gate(source=source, run=run, region=region, state_table=state_table, **shared),
            _choose(image, run, group),
        ],
    }


def _snapshot(*, source: str, bars: str, run: Json, **shared: Any) -> Json:
    """The lake's bars as one file: late bars rewrite days of the lake, a run reads the same minutes throughout."""
    return {
        "Name": "Snapshot",
        "Type": "Processing",
        "Arguments": _job(
            "training.snapshot",
            ["--bars", bars, "--output", DATASET],
            inputs={"code": (source, CODE)},
            output=("dataset", _join(run, "dataset"), DATASET),
            **shared,
        ),
    }


def _train(  # noqa: PLR0913 - one argument a thing the job is told
    *,
    role: str,
    image: str,
    source: str,
    run: Json,
    names: Mapping[str, str],
    environment: Mapping[str, str],
    max_runtime_s: int,
    spot: bool,
    tags: list[Json],
) -> Json:
    """Tune, fit and evaluate in one job: a trial takes seconds, starting a job minutes."""
    stopping = {"MaxRuntimeInSeconds": max_runtime_s}
    if spot:
        stopping["MaxWaitTimeInSeconds"] = max_runtime_s + _SPOT_WAIT_S
    return {
        "Name": "Train",
        "Type": "Training",
        "Arguments": {
            "RoleArn": role,
            "AlgorithmSpecification": {
                "TrainingImage": image,
                "TrainingInputMode": "File",
                "MetricDefinitions": [
                    {"Name": f"crps_skill_{horizon}", "Regex": rf"crps_skill_{horizon}=(-?[0-9.]+)"}
                    for horizon in (1, 5, 15, 60)
                ],
            },
            "HyperParameters": {
                "sagemaker_program": PROGRAM,
                "sagemaker_submit_directory": source,
                **{name: _get(f"Parameters.{parameter}") for name, parameter in names.items()},
            },
            "InputDataConfig": [
                {
                    "ChannelName": "bars",
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": _SNAPSHOT,
                            "S3DataDistributionType": "FullyReplicated",
                        }
                    },
                }
            ],
            "OutputDataConfig": {"S3OutputPath": _join(run, "training")},
            "CheckpointConfig": {"S3Uri": _join(run, "checkpoints"), "LocalPath": "/opt/ml/checkpoints"},
            "ResourceConfig": {
                "InstanceType": _get("Parameters.InstanceType"),
                "InstanceCount": 1,
                "VolumeSizeInGB": 30,
            },
            "StoppingCondition": stopping,
            "EnableManagedSpotTraining": spot,
            # Threads that wait for each other asleep cost little where processors are shared.
            "Environment": {"OMP_WAIT_POLICY": "PASSIVE", **environment},
            **({"Tags": tags} if tags else {}),
        },
    }


def _gate(*, source: str, run: Json, state_table: str, **shared: Any) -> Json:
    """Weigh the candidate against the baselines and the champion on rows neither has seen."""
    return {
        "Name": "Gate",
        "Type": "Processing",
        "Arguments": _job(
            "training.gate",
            ["--model", MODEL, "--bars", BARS, "--state-table", state_table, "--output", DECISION],
            inputs={
                "code": (source, CODE),
                "model": (_get("Steps.Train.ModelArtifacts.S3ModelArtifacts"), MODEL),
                "bars": (_SNAPSHOT, BARS),
            },
            output=("decision", _join(run, "decision"), DECISION),
            **shared,
        ),
        "PropertyFiles": [
            {"PropertyFileName": "Decision", "OutputName": "decision", "FilePath": "decision.json"},
        ],
    }


def _job(  # noqa: PLR0913 - one argument a thing the job is told
    module: str,
    words: list[str],
    *,
    inputs: Mapping[str, tuple[Any, str]],
    output: tuple[str, Json, str],
    role: str,
    image: str,
    region: str,
    tags: list[Json],
) -> Json:
    """A processing job that runs a module of the source bundle; inputs and output name what lies where in S3.

    Nothing but the region tells its container where tables and buckets are.
    """
    name, target, folder = output
    return {
        "RoleArn": role,
        "AppSpecification": {
            "ImageUri": image,
            "ContainerEntrypoint": ["bash", "-c", _RUN, module],
            "ContainerArguments": words,
        },
        "ProcessingInputs": [
            {
                "InputName": each,
                "AppManaged": False,
                "S3Input": {
                    "S3Uri": uri,
                    "LocalPath": path,
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                    "S3DataDistributionType": "FullyReplicated",
                },
            }
            for each, (uri, path) in inputs.items()
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": name,
                    "AppManaged": False,
                    "S3Output": {"S3Uri": target, "LocalPath": folder, "S3UploadMode": "EndOfJob"},
                }
            ]
        },
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 10}
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 900},
        "Environment": {"AWS_DEFAULT_REGION": region},
        **({"Tags": tags} if tags else {}),
    }


def _choose(image: str, run: Json, group: str) -> Json:
    return {
        "Name": "Choose",
        "Type": "Condition",
        "Arguments": {
            "Conditions": [{"Type": "Equals", "LeftValue": _decided("status"), "RightValue": APPROVED}],
            "IfSteps": [_register(APPROVED, image, run, group)],
            "ElseSteps": [_register(REJECTED, image, run, group)],
        },
    }


def _register(status: str, image: str, run: Json, group: str) -> Json:
    """The model package with its card; metrics and the gate's reasons lie beside it, under the addresses it names."""
    decision, metrics = _join(run, "decision", "decision.json"), _join(run, "decision", "metrics.json")
    return {
        "Name": f"Register{status}",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": group,
            "ModelPackageDescription": f"{status} by the gate; its reasons are in the metadata's `decision`.",
            "ModelApprovalStatus": status,
            "InferenceSpecification": {
                "Containers": [
                    {"Image": image, "ModelDataUrl": _get("Steps.Train.ModelArtifacts.S3ModelArtifacts")},
                ],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            "ModelMetrics": {
                "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": metrics}},
            },
            "ModelCard": {"ModelCardContent": _decided("model_card"), "ModelCardStatus": "Approved"},
            "CustomerMetadataProperties": {
                "decision": decision,
                "metrics": metrics,
                "dataset": _decided("dataset"),
                "model_version": _decided("model_version"),
            },
        },
    }


def _decided(path: str) -> Json:
    """What the gate's decision says under a name."""
    return {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Gate.PropertyFiles.Decision"}, "Path": path}}


def _get(path: str) -> Json:
    return {"Get": path}


def _join(*values: object) -> Json:
    return {"Std:Join": {"On": "/", "Values": list(values)}}


def _parameter_name(hyperparameter: str) -> str:
    return "".join(word.capitalize() for word in hyperparameter.split("-"))
