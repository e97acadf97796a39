"""`make rehearse`: the app through bootstrap, deploy, update and destroy on an emulator, and trades through it; and
production, which is destroyed and deployed anew.

What the emulator cannot do is told in the output, with what stands in for it.
"""

import sys
import time
from collections.abc import Mapping
from typing import Final

from cdk import bootstrap
from local.processes import ProcessError
from local.screen import Screen
from tests.rehearsal.anew import rehearse_anew
from tests.rehearsal.app import DEVELOPMENT, deployed, revised, rewrite
from tests.rehearsal.deployment import Deployment
from tests.rehearsal.emulator import ACCOUNT, REGION, Emulator, RehearsalError, started
from tests.rehearsal.inventory import inventory
from tests.rehearsal.trip import Trip
from tests.virtualenvs import NotInstalledError

SECOND: Final = "second version"
UNTRIED: Final = (
    "SageMaker's group, pipeline and production's MLflow app: the emulator has no such service. "
    "tests/model/test_pipeline.py holds the definition to the service's model and the SDK, and the local stack creates "
    "group and pipeline in moto's registry.",
    "the ingest image: no engine publishes it here, and the service runs no task. `make image` builds and runs it; "
    "tests/local runs the task itself.",
    "rights: the emulator asks nobody for them. tests/local/test_stack.py compares them with the calls made.",
    "delivery: the emulator forgets failed batches, so the first attempt is all that is tried here; tests/local tries "
    "retries, bisection and the failures bucket.",
)


class Rehearsal:
    """One deployment's life."""

    def __init__(self, emulator: Emulator, screen: Screen) -> None:
        self._emulator = emulator
        self._screen = screen
        self._dev = Deployment(emulator, DEVELOPMENT)

    def run(self) -> None:
        """Raises RehearsalError at the first thing that is not as it should be."""
        emulator, dev, step = self._emulator, self._dev, self._screen.phase
        with step("cdk bootstrap") as phase:
            emulator.cdk("bootstrap", "--template", str(bootstrap.write()), "--app", "", f"aws://{ACCOUNT}/{REGION}")
            phase.tell(self._scanned())
        bare = inventory(emulator)
        with step("cdk deploy") as phase:
            outputs = dev.deploy(*dev.synthesised)
            phase.tell(dev.count())
        apart = dev.apart()
        with step("what CloudFormation lacks here") as phase:
            phase.tell(f"{apart.create()} resources and the tags of {apart.tag_buckets()} buckets through their APIs")
        trip = Trip(emulator, outputs, time.time_ns() // 1000)
        for title, do in {
            "trades into the stream": trip.send,
            "bars over the API": trip.expect_bars,
            "forecasts over the API": trip.expect_forecasts,
            "objects in the lake": trip.expect_objects,
            "what the gateway refuses": trip.expect_refusals,
        }.items():
            with step(title) as phase:
                phase.tell(do())
        whole, first = deployed(dev.assembly), {name: each["Description"] for name, each in dev.functions().items()}
        with step("cdk deploy, another version") as phase:
            rewrite(dev.assembly, lambda template: revised(template, SECOND))
            phase.tell(self._changed(outputs, dict.fromkeys(first, SECOND)))
        with step("a late trade, old bars kept") as phase:
            phase.tell(f"{trip.send_one_more()}: {trip.expect_bars()}")
        with step("cdk deploy, the version before") as phase:
            rewrite(dev.assembly, lambda _: whole)
            phase.tell(self._changed(outputs, first))
        with step("another late trade, all bars kept") as phase:
            phase.tell(f"{trip.send_one_more()}: {trip.expect_bars()}")
        apart.delete()
        declared = {each["PhysicalResourceId"] for each in dev.resources().values()}
        there = len(inventory(emulator) - bare)
        with step("cdk destroy") as phase:
            dev.destroy()
            left = inventory(emulator) - bare
            again = {name for name in left if name.startswith("logs ") and name.partition(": ")[2] in declared}
            if left := left - again:
                raise RehearsalError(f"{len(left)} things are left of {there}: {', '.join(sorted(left))}")
            late = f"; {len(again)} logs written again by what still ran, which no role allows on AWS" if again else ""
            phase.tell(f"0 left of {there} things that the services listed{late}")

    def _scanned(self) -> str:
        repositories = self._emulator.client("ecr").describe_repositories()["repositories"]
        bare = [each["repositoryName"] for each in repositories if not each["imageScanningConfiguration"]["scanOnPush"]]
        if bare or not repositories:
            raise RehearsalError(f"images would not be scanned in {', '.join(bare) or 'no repository'}")
        return f"images are scanned when they are pushed to {len(repositories)} repository"

    def _changed(self, outputs: Mapping[str, str], expected: Mapping[str, str]) -> str:
        """Deploy what lies in the assembly: every function then says what is expected, and nothing has another name."""
        if self._dev.deploy(*self._dev.as_it_is) != outputs:
            raise RehearsalError("a deployment gave something another name: what it held is gone")
        found = {name: each["Description"] for name, each in self._dev.functions().items()}
        if found != expected:
            raise RehearsalError(f"of another version: {sorted(found.items() ^ expected.items())}")
        return f"{len(found)} functions of that version, every output as before"


def main() -> int:
    screen = Screen()
    began = time.monotonic()
    try:
        with started() as emulator:
            Rehearsal(emulator, screen).run()
            rehearse_anew(emulator, screen)
    except (RehearsalError, NotInstalledError, ProcessError) as error:
        print(f"rehearsal: {error}", file=sys.stderr)
        return 1
    screen.say(f"rehearsed in {time.monotonic() - began:.0f} s; not tried here:")
    for line in UNTRIED:
        screen.say(f"- {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
