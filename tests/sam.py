"""AWS SAM over the synthesised template: `python -m tests.sam invoke FUNCTION [EVENT]`, `api`, `validate`.

What it runs it runs in containers, built for Lambda's own machine; the local stack needs none, and the tests run the
same events through it (tests/local/test_events.py).
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.virtualenvs import NotInstalledError, program

ROOT: Final = Path(__file__).parents[1]
LOCK: Final = ROOT / "tests" / "tools" / "sam.lock"
EVENTS: Final = ROOT / "tests" / "events"
SYNTHESISED: Final = ROOT / "build" / "cdk.out"
NO_RUNTIME: Final = (
    "sam runs functions in containers, and neither Docker nor Finch answers here: start one, or use `make local`, "
    "which runs the same code and needs none"
)


class RefusedError(RuntimeError):
    """What was asked for cannot be done; the message says why, and what to do."""


def template() -> Path:
    """The stack that was synthesised last. Raises RefusedError."""
    found = sorted(SYNTHESISED.glob("*.template.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise RefusedError(f"{SYNTHESISED.relative_to(ROOT)} holds no template: run `make synth` first")
    return found[-1]


def logical_id(name: str, path: Path) -> str:
    """The function of functions/`name` as the template calls it. Raises RefusedError naming those there are."""
    functions = {
        resource["Properties"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]: identity
        for identity, resource in json.loads(path.read_text())["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Function" and "Environment" in resource["Properties"]
    }
    if name not in functions:
        raise RefusedError(f"there is no function {name!r}: FUNCTION is one of {', '.join(sorted(functions))}")
    return functions[name]


def container_runtime(environment: Mapping[str, str] = os.environ) -> str | None:
    """The first that is installed and answers."""
    for name in ("docker", "finch"):
        try:
            done = subprocess.run([name, "info"], env=dict(environment), capture_output=True, timeout=20, check=False)
        except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return name
    return None


def command(arguments: argparse.Namespace, path: Path) -> list[str]:
    """What sam is told. Raises RefusedError."""
    if arguments.verb == "validate":
        return ["validate", "--template", str(path)]
    if arguments.verb == "api":
        chosen = ["local", "start-api"]
    else:
        event = Path(arguments.event) if arguments.event else EVENTS / f"{arguments.function}.json"
        if not event.is_file():
            raise RefusedError(f"there is no event {event}: name one with EVENT=…")
        chosen = ["local", "invoke", logical_id(arguments.function, path), "--event", str(event)]
    if container_runtime() is None:
        raise RefusedError(NO_RUNTIME)
    return [*chosen, "--template", str(path)]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: sam's own, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    invoke = verbs.add_parser("invoke")
    invoke.add_argument("function")
    invoke.add_argument("event", nargs="?")
    verbs.add_parser("api")
    verbs.add_parser("validate")
    try:
        told = command(parser.parse_args(arguments), template())
        sam = program(LOCK, "sam")
    except (RefusedError, NotInstalledError) as error:
        print(f"sam: {error}", file=sys.stderr)
        return 1
    environment = {"AWS_DEFAULT_REGION": "us-east-1", **os.environ, "SAM_CLI_TELEMETRY": "0"}
    return subprocess.run([str(sam), *told], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
