"""The app as it is rehearsed: `python -m tests.rehearsal.app STAGE`, which the CDK's command line runs in place of
cdk.app.

It is stage dev or prod but for what the emulator cannot take: layers are built for this machine, whose Python runs
them; what its CloudFormation refuses is left out (tests/rehearsal/apart.py); and no image is published, since nothing
here could build it. The whole template is kept beside the one that is deployed.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cdk.app import build
from cdk.settings import DEV, PROD
from tests.rehearsal.apart import Json, refused

WHOLE = "whole.json"
DEVELOPMENT = replace(DEV, layers="local")
PRODUCTION = replace(PROD, layers="local", mlflow=False)  # without its app, which other resources ask for its address
STAGES = {stage.name: stage for stage in (DEVELOPMENT, PRODUCTION)}


class StillReferredToError(RuntimeError):
    """Something else of the template needs what is left out."""


def without(template: Json) -> Json:
    """The template less what the emulator refuses. Raises StillReferredToError."""
    gone = {name for name, each in template["Resources"].items() if refused(each)}
    kept = {name: dict(each) for name, each in template["Resources"].items() if name not in gone}
    for resource in kept.values():
        waits = resource.pop("DependsOn", [])
        if left := [name for name in ([waits] if isinstance(waits, str) else waits) if name not in gone]:
            resource["DependsOn"] = left
    text = json.dumps(kept)
    if referred := sorted(name for name in gone if f'"{name}"' in text):
        raise StillReferredToError(f"other resources refer to {', '.join(referred)}: these cannot be left out")
    return {**template, "Resources": kept}


def revised(template: Json, revision: str) -> Json:
    """Another version of every function."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"]["Description"] = revision
    return template


def rewrite(assembly: Path, change: Callable[[Json], Json]) -> None:
    """Put another template in place of the synthesised one, under the name that its content gives it."""
    [listed] = assembly.glob("*.assets.json")
    assets = json.loads(listed.read_text())
    assets["dockerImages"] = {}
    [(old, path)] = [
        (name, assembly / each["source"]["path"])
        for name, each in assets["files"].items()
        if each["source"]["path"].endswith(".template.json")
    ]
    path.write_text(json.dumps(change(json.loads(path.read_text())), indent=1))
    new = hashlib.sha256(path.read_bytes()).hexdigest()
    listed.write_text(json.dumps(assets, indent=1).replace(old, new))
    manifest = assembly / "manifest.json"
    manifest.write_text(manifest.read_text().replace(old, new))


def deployed(assembly: Path) -> Json:
    """The template that is deployed from there."""
    [path] = assembly.glob("*.template.json")
    template: Json = json.loads(path.read_text())
    return template


def main() -> None:
    assembly = Path(build(STAGES[sys.argv[1]], validate=False).synth().directory)
    [path] = assembly.glob("*.template.json")
    (assembly / WHOLE).write_text(path.read_text())
    rewrite(assembly, without)


if __name__ == "__main__":
    main()
