"""One stack on the emulator, by the CDK's command line: deployed, counted, destroyed."""

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdk.settings import Stage
from tests.rehearsal.apart import Apart, refused
from tests.rehearsal.app import WHOLE
from tests.rehearsal.emulator import BUILD, Emulator, RehearsalError


@dataclass(frozen=True)
class Deployment:
    """The stack of one stage."""

    emulator: Emulator
    stage: Stage

    @property
    def stack(self) -> str:
        return self.stage.stack_name

    @property
    def assembly(self) -> Path:
        return BUILD / f"cdk.out.{self.stage.name}"

    @property
    def synthesised(self) -> tuple[str, ...]:
        """Arguments that have the app made anew."""
        return "--app", f"{sys.executable} -m tests.rehearsal.app {self.stage.name}", "--output", str(self.assembly)

    @property
    def as_it_is(self) -> tuple[str, ...]:
        return "--app", str(self.assembly)

    def deploy(self, *app: str) -> dict[str, str]:
        """Its outputs."""
        told = BUILD / "outputs.json"
        self.emulator.cdk("deploy", *app, "--require-approval", "never", "--outputs-file", str(told))
        outputs: dict[str, str] = json.loads(told.read_text())[self.stack]
        return outputs

    def destroy(self) -> None:
        self.emulator.cdk("destroy", "--force", *self.as_it_is)

    def resources(self) -> dict[str, dict[str, Any]]:
        """As CloudFormation lists them, by logical id."""
        pages = self.emulator.client("cloudformation").get_paginator("list_stack_resources")
        summaries = [each for page in pages.paginate(StackName=self.stack) for each in page["StackResourceSummaries"]]
        return {each["LogicalResourceId"]: each for each in summaries}

    def count(self) -> str:
        """How many there are. Raises RehearsalError where one is missing."""
        declared = json.loads((self.assembly / f"{self.stack}.template.json").read_text())["Resources"]
        made = {name for name, each in self.resources().items() if each["ResourceStatus"] == "CREATE_COMPLETE"}
        if missing := sorted(set(declared) - made):
            raise RehearsalError(f"{len(missing)} of {len(declared)} resources were not created: {', '.join(missing)}")
        apart = Counter(each["Type"].removeprefix("AWS::") for each in self.whole().values() if refused(each))
        listed = ", ".join(f"{count} {kind}" for kind, count in sorted(apart.items()))
        return f"{len(made & set(declared))} of {len(declared)} resources created; apart: {listed}"

    def whole(self) -> dict[str, Any]:
        """The template's resources, with those that the emulator refuses."""
        resources: dict[str, Any] = json.loads((self.assembly / WHOLE).read_text())["Resources"]
        return resources

    def apart(self) -> Apart:
        physical = {name: each["PhysicalResourceId"] for name, each in self.resources().items()}
        return Apart(self.emulator, {"Resources": self.whole()}, physical)

    def functions(self) -> dict[str, dict[str, Any]]:
        """Their configurations by physical name."""
        asked = self.emulator.client("lambda").get_function_configuration
        resources = [each for each in self.resources().values() if each["ResourceType"] == "AWS::Lambda::Function"]
        return {each["PhysicalResourceId"]: asked(FunctionName=each["PhysicalResourceId"]) for each in resources}
