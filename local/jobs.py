"""SageMaker's training and processing jobs as subprocesses that find the container's folders and variables.

A job's `/opt/ml` is a folder of its own under `work`; whatever names a path below /opt/ml is rewritten to it. The
managed image's packages are this environment's; the project itself is visible through the job's source alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from local.processes import Process, tail
from local.streams import Emulator

CONTAINER: Final = "/opt/ml"

Json = dict[str, Any]


class JobError(RuntimeError):
    """A job ended badly or asks for what no job here can have; the message holds the last it printed."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where jobs run: `work` receives a folder a job; `started` hears of each process, to end it when all ends."""

    emulator: Emulator
    work: Path
    started: Callable[[Process], None] = lambda _: None
    variables: Mapping[str, str] = field(default_factory=dict)
    """What each job finds in its environment besides."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job: its `name` is also its folder's and, in S3, its output's."""

    name: str
    machine: Machine

    @property
    def root(self) -> Path:
        """The job's /opt/ml."""
        return self.machine.work / self.name / "ml"

    @property
    def log(self) -> Path:
        return self.machine.work / self.name / "log"

    def path(self, given: str) -> Path:
        """The folder here of a path in the container."""
        if not given.startswith(f"{CONTAINER}/"):
            raise JobError(f"{self.name}: {given} does not lie under {CONTAINER}, where a job's folders are")
        return self.root / given.removeprefix(f"{CONTAINER}/")

    def here(self, text: str) -> str:
        """A text of the container's with its paths rewritten."""
        return re.sub(rf"{CONTAINER}(?=[/\s'\"]|$)", str(self.root), text)

    def run(
        self, command: list[str], folder: Path, source: Path | None, variables: Mapping[str, str], limit_s: float
    ) -> None:
        """Run to the end; raises JobError on failure and when it takes longer than the job may."""
        process = Process.start(
            self.name, command, log=self.log, environment=self._environment(source, variables), folder=folder
        )
        self.machine.started(process)
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired as error:
            raise JobError(f"{self.name} took longer than the {limit_s:.0f} s it may\n{tail(self.log)}") from error
        finally:
            process.stop()
        if status:
            failure = self.root / "output" / "failure"
            told = f"\n{failure.read_text()[:1024]}" if failure.exists() else ""
            raise JobError(f"{self.name} failed with exit status {status}{told}\n{tail(self.log)}")

    def _environment(self, source: Path | None, variables: Mapping[str, str]) -> dict[str, str]:
        places = [*([str(source)] if source else []), sysconfig.get_path("purelib")]
        return {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": self.machine.emulator.region,
            "AWS_REGION": self.machine.emulator.region,
            "AWS_ENDPOINT_URL": self.machine.emulator.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(self.root.parent),
            "LANG": "C.UTF-8",
            # In the cloud a job has a machine of its own. Here waiting threads of BLAS would spin on cores that the
            # rest of the stack needs.
            "OPENBLAS_NUM_THREADS": "1",
            "PATH": f"{_image_binaries(self.machine.work)}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": os.pathsep.join(places),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self.root.parent),
            "TRAINING_JOB_NAME": self.name,
            **self.machine.variables,
            **variables,
        }


def train(job: Job, arguments: Json) -> Json:
    """CreateTrainingJob in script mode: the properties that DescribeTrainingJob would give afterwards."""
    hyperparameters = {name: str(value) for name, value in arguments.get("HyperParameters", {}).items()}
    program, archive = hyperparameters["sagemaker_program"], hyperparameters["sagemaker_submit_directory"]
    own = {name: value for name, value in hyperparameters.items() if not name.startswith("sagemaker_")}
    bucket = _Objects(job.machine.emulator)
    channels = {
        entry["ChannelName"]: job.root / "input/data" / entry["ChannelName"] for entry in arguments["InputDataConfig"]
    }
    for entry in arguments["InputDataConfig"]:
        bucket.download(entry["DataSource"]["S3DataSource"]["S3Uri"], channels[entry["ChannelName"]])
    code, checkpoints = job.root / "code", arguments.get("CheckpointConfig")
    bucket.unpack(archive, code)
    for folder in ("model", "output/data", "checkpoints", "input/config"):
        (job.root / folder).mkdir(parents=True, exist_ok=True)
    if checkpoints:
        bucket.download(checkpoints["S3Uri"], job.root / "checkpoints")
    _write_config(job, hyperparameters, arguments)
    flags = [part for name, value in own.items() for part in (f"--{name}" if len(name) > 1 else f"-{name}", value)]
    variables = {**_script_mode(job, own, channels, flags), **arguments.get("Environment", {})}
    limit_s = float(arguments["StoppingCondition"]["MaxRuntimeInSeconds"])
    job.run(["python3", program, *flags], code, code, variables, limit_s)
    return _training_output(job, arguments, bucket)


def process(job: Job, arguments: Json) -> Json:
    """CreateProcessingJob: the properties that DescribeProcessingJob would give afterwards."""
    bucket = _Objects(job.machine.emulator)
    for entry in arguments.get("ProcessingInputs", ()):
        bucket.download(entry["S3Input"]["S3Uri"], job.path(entry["S3Input"]["LocalPath"]))
    outputs = arguments.get("ProcessingOutputConfig", {}).get("Outputs", ())
    for entry in outputs:
        job.path(entry["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
    specification = arguments["AppSpecification"]
    words = [*specification.get("ContainerEntrypoint", ()), *specification.get("ContainerArguments", ())]
    if not words:
        raise JobError(f"{job.name} names no entry point: the image's own cannot be run here")
    variables = {name: job.here(value) for name, value in arguments.get("Environment", {}).items()}
    limit_s = float(arguments.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86_400))
    job.root.mkdir(parents=True, exist_ok=True)
    job.run([job.here(word) for word in words], job.root, None, variables, limit_s)
    for entry in outputs:
        bucket.upload(job.path(entry["S3Output"]["LocalPath"]), entry["S3Output"]["S3Uri"])
    return {
        **arguments,
        "ProcessingJobName": job.name,
        "ProcessingJobStatus": "Completed",
        "ProcessingOutputConfig": {"Outputs": {entry["OutputName"]: entry for entry in outputs}},
    }


def _training_output(job: Job, arguments: Json, bucket: _Objects) -> Json:
    """Model, output data and checkpoints go to S3 under the names SageMaker gives them."""
    place = f"{arguments['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{job.name}/output"
    artefacts = bucket.pack(job.root / "model", f"{place}/model.tar.gz")
    if any((job.root / "output/data").iterdir()):
        bucket.pack(job.root / "output/data", f"{place}/output.tar.gz")
    if "CheckpointConfig" in arguments:
        bucket.upload(job.root / "checkpoints", arguments["CheckpointConfig"]["S3Uri"])
    return {
        **arguments,
        "TrainingJobName": job.name,
        "TrainingJobStatus": "Completed",
        "ModelArtifacts": {"S3ModelArtifacts": artefacts},
        "FinalMetricDataList": _metrics(job, arguments),
    }


def _metrics(job: Job, arguments: Json) -> Json:
    """The last value of each metric that the job's own words gave, by name."""
    words = job.log.read_text("utf-8", "replace")
    found = {
        metric["Name"]: re.findall(metric["Regex"], words)
        for metric in arguments["AlgorithmSpecification"].get("MetricDefinitions", ())
    }
    return {name: {"MetricName": name, "Value": float(values[-1])} for name, values in found.items() if values}


def _write_config(job: Job, hyperparameters: Mapping[str, str], arguments: Json) -> None:
    files = {
        "hyperparameters": hyperparameters,
        "inputdataconfig": {
            entry["ChannelName"]: {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
            for entry in arguments["InputDataConfig"]
        },
        "resourceconfig": {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"},
    }
    for name, content in files.items():
        (job.root / "input/config" / f"{name}.json").write_text(json.dumps(content))


def _script_mode(job: Job, own: Mapping[str, str], channels: Mapping[str, Path], flags: list[str]) -> dict[str, str]:
    """The variables of the training toolkit that the managed images carry."""
    root = job.root
    return {
        **{f"SM_CHANNEL_{name.upper()}": str(folder) for name, folder in channels.items()},
        **{f"SM_HP_{name.upper()}": value for name, value in own.items()},
        "SM_CHANNELS": json.dumps(sorted(channels)),
        "SM_CURRENT_HOST": "algo-1",
        "SM_HOSTS": '["algo-1"]',
        "SM_HPS": json.dumps(own),
        "SM_INPUT_CONFIG_DIR": str(root / "input/config"),
        "SM_INPUT_DIR": str(root / "input"),
        "SM_MODEL_DIR": str(root / "model"),
        "SM_MODULE_DIR": str(root / "code"),
        "SM_NUM_CPUS": str(os.cpu_count() or 1),
        "SM_NUM_GPUS": "0",
        "SM_OUTPUT_DATA_DIR": str(root / "output/data"),
        "SM_OUTPUT_DIR": str(root / "output"),
        "SM_USER_ARGS": json.dumps(flags),
        "SM_CHECKPOINT_DIR": str(root / "checkpoints"),
    }


def _image_binaries(work: Path) -> Path:
    """The managed image's `python3`: the interpreter without the environment's own start-up files, which would make
    the whole project importable."""
    folder = work / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    for name in ("python", "python3"):
        # A link would start as whatever its own path suggests; a script names the interpreter.
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{base}" -s "$@"\n')
        script.chmod(0o755)
    return folder


class _Objects:
    """S3 as jobs use it: prefixes into folders, folders into prefixes, archives."""

    def __init__(self, emulator: Emulator) -> None:
        self._client = emulator.client("s3")

    def download(self, uri: str, folder: Path) -> None:
        """Everything under a prefix, or one object, as File mode lays it out."""
        bucket, prefix = _split(uri)
        folder.mkdir(parents=True, exist_ok=True)
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                key = entry["Key"]
                inner = key[prefix.rfind("/") + 1 :] if key == prefix else key.removeprefix(prefix).lstrip("/")
                target = folder / inner
                target.parent.mkdir(parents=True, exist_ok=True)
                self._client.download_file(bucket, key, str(target))

    def upload(self, folder: Path, uri: str) -> None:
        bucket, prefix = _split(uri)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            self._client.upload_file(str(path), bucket, f"{prefix.rstrip('/')}/{path.relative_to(folder)}")

    def pack(self, folder: Path, uri: str) -> str:
        """The folder's content as one tar.gz at `uri`, which is returned."""
        bucket, key = _split(uri)
        archive = Path(shutil.make_archive(str(folder.parent / f"{folder.name}-packed"), "gztar", folder))
        self._client.upload_file(str(archive), bucket, key)
        return uri

    def unpack(self, uri: str, folder: Path) -> None:
        bucket, key = _split(uri)
        folder.mkdir(parents=True, exist_ok=True)
        archive = folder.parent / "source.tar.gz"
        self._client.download_file(bucket, key, str(archive))
        # Python before 3.11.4 knows no filters; what is unpacked here is the bundle this project built.
        careful: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        with tarfile.open(archive) as content:
            content.extractall(folder, **careful)  # noqa: S202


def _split(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    if parts.scheme != "s3":
        raise JobError(f"{uri} is no S3 address")
    return parts.netloc, parts.path.lstrip("/")
