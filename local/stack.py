"""The stand-in for AWS on this machine: the emulator, the template's resources in it, and what runs beside it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from local import declarations, events, interrupts, pipeline
from local.callers import noting, opened
from local.delivery import Delivery
from local.events import Bus
from local.intrinsics import Created, Resolver
from local.invocations import Invocations
from local.jobs import Machine
from local.lambdas import Function, FunctionSpec
from local.pipeline import Execution
from local.processes import Process, interpreter, tail
from local.resources import Deployed, deploy, pseudo_parameters
from local.rest import Gateway, Route
from local.runtime import managed_runtime
from local.schedules import Scheduler
from local.sockets import Sockets
from local.streams import Emulator
from local.template import ROOT, Assembly

Tell = Callable[[str], None]
INGEST: Final = "ingest_trades"


class StackError(RuntimeError):
    """A part of the stack does not do its work; the message says which, and what it last said."""


@dataclass(frozen=True, slots=True)
class Served:
    """Where the API answers, and the key it asks for."""

    url: str
    key: str


def silent(_: str) -> None:
    """For those who need not hear."""


class Stack:
    """Parts are started one by one, each needing those before it, and end in reverse when the `with` block does.

    Everything it writes lies in one temporary folder, which goes with it.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="predict-bitcoin-"))
        self.functions: dict[str, Function] = {}
        """By name, as their folders are called."""
        self.deliveries: dict[str, Delivery] = {}
        """By the name of the function they feed."""
        self.processes: dict[str, Process] = {}
        self.keys: set[str] = set()
        """That open the API: one that is taken out is revoked."""
        self._parts = ExitStack()
        self._parts.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.sockets = Sockets(noting(self._parts.enter_context(opened(self.log("calls")))))
        """Where the WebSocket API answers: its address stands in the template, so that it is the first of all parts."""
        self._parts.callback(self.sockets.stop)
        self._revive: Callable[[], Process]
        self._emulator: Emulator | None = None
        self._deployed: Deployed | None = None
        self._scheduler: Scheduler | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupts.heard()
        self._parts.close()

    @property
    def emulator(self) -> Emulator:
        assert self._emulator, "start_emulator comes first"
        return self._emulator

    @property
    def deployed(self) -> Deployed:
        assert self._deployed, "deploy comes first"
        return self._deployed

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def start_emulator(self) -> Emulator:
        process = self._start(
            "emulator", ["-m", "local.emulator"], {"CALLS_LOG": str(self.log("calls"))}, announces=True
        )
        self._emulator = Emulator(json.loads(process.announcement())["endpoint"])
        return self._emulator

    def deploy(self, assembly: Assembly, tell: Tell = silent) -> Deployed:
        """Create what the template declares, and upload the assets that are files, which jobs fetch from S3."""
        self._upload(assembly)
        self._deployed = deploy(assembly, self.emulator, tell, sockets=self.sockets.endpoint)
        return self._deployed

    def start_functions(self, only: Sequence[str] = (), overrides: Mapping[str, str] | None = None) -> None:
        """Let every function (or those named) accept invocations; their processes begin with the first.

        `overrides` takes the place of what their environments say, where they say it.
        """
        for spec in self._specs():
            if only and spec.name not in only:
                continue
            told = {name: value for name, value in (overrides or {}).items() if name in spec.environment}
            adapted = replace(spec, environment={**spec.environment, **told})
            function = Function(adapted, self.log(spec.name)).start()
            self._parts.callback(function.stop)
            self.functions[spec.name] = function

    def start_deliveries(self, only: Sequence[str] = ()) -> None:
        """Feed the functions that run (or those named) from their streams, each from its mapping's first record on."""
        by_arn = {function.spec.arn: function for function in self.functions.values()}
        for mapping in declarations.mappings(self.deployed):
            function = by_arn.get(mapping.function_arn)
            if function is not None and (not only or function.spec.name in only):
                delivery = Delivery(mapping, function.invoke, self.emulator).start()
                self._parts.callback(delivery.stop)
                self.deliveries[function.spec.name] = delivery

    def start_schedules(self) -> None:
        """Invoke the functions that run by the clock, each when its schedule says so."""
        functions = {function.spec.arn: function.invoke for function in self.functions.values()}
        declared = [each for each in declarations.schedules(self.deployed) if each.function_arn in functions]
        self._scheduler = Scheduler(declared, functions).start()
        self._parts.callback(self._scheduler.stop)

    def start_api(self) -> Served:
        """Serve the REST API of the template over HTTP, and its WebSocket API where its functions run."""
        api = declarations.api(self.deployed)
        by_arn = {function.spec.arn: function.invoke for function in self.functions.values()}
        self.keys.update(api.keys)
        client = self.emulator.client("s3")
        routes = [
            Route(
                each.path,
                each.method,
                by_arn[each.behind] if isinstance(each.behind, str) else partial(each.behind.answer, client),
                each.api_key_required,
                each.required,
            )
            for each in api.endpoints
        ]
        gateway = Gateway(routes, self.keys, api.stage, api.responses, api.compressed_bytes)
        url = gateway.start()
        self._parts.callback(gateway.stop)
        sockets = declarations.sockets(self.deployed)
        if sockets and sockets.function_arns <= set(by_arn):
            self.sockets.start(sockets.bound(by_arn))
            self._parts.callback(self.sockets.stop)
        return Served(url, api.keys[0])

    def start_invocations(self) -> str:
        """Let clients invoke the functions by name; returns the endpoint of Lambda's API."""
        invocations = Invocations({function.spec.arn: function.invoke for function in self.functions.values()})
        self._parts.callback(invocations.stop)
        return invocations.start()

    def start_exchange(self, arguments: Sequence[str] = ()) -> dict[str, str]:
        """Open the simulated exchange; what the ingest task has to know of it."""
        process = self._start("exchange", ["-m", "local.exchange", *arguments], {}, announces=True)
        addresses = json.loads(process.announcement())
        return {"WEBSOCKET_URL": addresses["websocket"], "REST_URL": addresses["rest"]}

    def start_ingest(self, overrides: Mapping[str, str]) -> Process:
        """Run the ingest task with its container's environment, but for `overrides`; killed, it is started again."""
        environment = {**declarations.task_environment(self.deployed, INGEST), **overrides}
        self._revive = partial(self.start_ingest, overrides)
        return self._start(INGEST, ["-m", "functions.ingest_trades"], environment)

    def start_fill(self, arguments: Sequence[str]) -> Process:
        """Run the task that fills the past, as its container would be run with these arguments."""
        environment = declarations.task_environment(self.deployed, "fill_history")
        process = self._start("fill_history", ["-m", "functions.fill_history", *arguments], environment)
        # It ends when its work is done: nobody is to miss it.
        return self.processes.pop(process.name)

    def run_pipeline(
        self, parameters: Mapping[str, str], tell: Tell = silent, variables: Mapping[str, str] | None = None
    ) -> Execution:
        """Run the training pipeline to its end, its jobs with these variables besides. Raises PipelineError."""
        declared = declarations.pipeline(self.deployed)
        machine = Machine(self.emulator, self.folder / "jobs", variables=variables or {})
        known = {entry["Name"] for entry in json.loads(declared.definition).get("Parameters", ())}
        given = {name: value for name, value in parameters.items() if name in known}
        return pipeline.start(
            declared.definition, machine, name=declared.name, arn=declared.arn, parameters=given, tell=tell
        )

    @property
    def bus(self) -> Bus:
        """EventBridge, before the functions that run."""
        return Bus(
            declarations.rules(self.deployed),
            {function.spec.arn: function.invoke for function in self.functions.values()},
            self.emulator,
            declarations.on_failure(self.deployed),
        )

    def announce(self, execution: Execution) -> list[str]:
        """Tell EventBridge of the model packages an execution registered; the functions that heard and succeeded.

        Raises StackError when one of them failed."""
        names = {function.spec.arn: name for name, function in self.functions.items()}
        heard = []
        for arn in execution.packages:
            package = self.emulator.client("sagemaker").describe_model_package(ModelPackageName=arn)
            for delivered in self.bus.put(events.model_package_event(package)):
                name = names[delivered.function_arn]
                if delivered.result.error:
                    raise StackError(f"{name}: {delivered.result.error.message}\n{tail(self.log(name))}")
                heard.append(name)
        return heard

    def check(self) -> None:
        """Raises StackError, ProcessError or DeliveryError where a part has ended or keeps failing.

        An ingest task that was killed is replaced, as the service that it belongs to would do; one that gave up by
        itself has said why, and would do so again.
        """
        for name, result in self._scheduler.results.items() if self._scheduler else ():
            if result.error:
                raise StackError(f"{name} failed: {result.error.message}")
        for name, process in list(self.processes.items()):
            if name == INGEST and process.status is not None and process.status < 0:
                self._revive()
            else:
                process.check()
        for name, delivery in self.deliveries.items():
            delivery.idle()
            counters = delivery.counters()
            if counters.discarded:
                raise StackError(f"{name} gave up {counters.discarded} records\n{tail(self.log(name))}")

    def _specs(self) -> list[FunctionSpec]:
        runtime = managed_runtime(self.folder / "runtime")
        return declarations.functions(self.deployed, runtime=runtime, endpoint_url=self.emulator.endpoint_url)

    def _start(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], *, announces: bool = False
    ) -> Process:
        process = Process.start(
            name,
            [*interpreter(), *arguments],
            log=self.log(name),
            environment={**self._environment(), "AWS_ACCESS_KEY_ID": name, **environment},
            folder=ROOT,
            announces=announces,
        )
        self._parts.callback(process.stop)
        self.processes[name] = process
        return process

    def _environment(self) -> dict[str, str]:
        """What every process needs, and nothing of the person who runs this: no profile, no credentials."""
        environment = {
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self.folder),
        }
        if self._emulator is not None:
            environment["AWS_ENDPOINT_URL"] = self._emulator.endpoint_url
        # A real exchange is reached as this machine reaches the world.
        world = ("SSL_CERT_FILE", "HTTPS_PROXY", "NO_PROXY", "https_proxy", "no_proxy")
        return environment | {name: os.environ[name] for name in world if name in os.environ}

    def _upload(self, assembly: Assembly) -> None:
        """Assets that are files go where the template says they are; folders are used where they lie."""
        resolver = Resolver({}, pseudo_parameters(assembly.stack, self.emulator.region), {}, lambda _: Created(""))
        client = self.emulator.client("s3")
        for asset in assembly.assets.values():
            if asset.place.is_file():
                bucket, key = resolver.value({"Fn::Sub": asset.bucket}), resolver.value({"Fn::Sub": asset.key})
                client.create_bucket(Bucket=bucket)
                client.upload_file(str(asset.place), bucket, key)
