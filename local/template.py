"""The synthesised app: its template and where the code of its assets lies."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "local" / "cdk.out"
STAGE = "local"

_INPUTS = (
    "cdk.json",
    "build/dashboard",
    "cdk",
    "functions",
    "layers/common/python/btc/forecasts.py",
    "layers/common/python/btc/lake.py",
    "layers/common/python/btc/requests.py",
    "layers/common/python/btc/routes.py",
    "layers/common/python/btc/settings.py",
    "training/pipeline.py",
    "requirements.lock",
)
"""What the template depends on. Code inside an asset changes the asset's name at most, and names are not used here."""


class SynthesisError(RuntimeError):
    """The app did not synthesise; the message holds what it said."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file or folder of this machine, and the object in S3 that publishing makes of it (`${AWS::Region}` and the
    like still in the bucket's name)."""

    place: Path
    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class Assembly:
    """One stack of the app, its assets by their hash."""

    stack: str
    template: Mapping[str, Any]
    assets: Mapping[str, Asset]


def synthesised() -> Assembly:
    """The stack of stage `local`, synthesised anew where its inputs have changed. Raises SynthesisError."""
    stamp, wanted = OUTPUT / ".inputs", _fingerprint()
    if not stamp.exists() or stamp.read_text() != wanted:
        _synthesise()
        stamp.write_text(wanted)
    return read_assembly(OUTPUT)


def read_assembly(folder: Path) -> Assembly:
    """The one stack in a cloud assembly; raises SynthesisError where there is none or more."""
    manifest = json.loads((folder / "manifest.json").read_text())
    stacks = [
        (name, artifact)
        for name, artifact in manifest["artifacts"].items()
        if artifact["type"] == "aws:cloudformation:stack"
    ]
    if len(stacks) != 1:
        raise SynthesisError(f"{folder} holds {len(stacks)} stacks; the local stack is made of exactly one")
    [(name, artifact)] = stacks
    template = json.loads((folder / artifact["properties"]["templateFile"]).read_text())
    assets = json.loads((folder / f"{name}.assets.json").read_text())["files"]
    return Assembly(
        artifact["properties"].get("stackName", name),
        template,
        {identity: _asset(folder, entry) for identity, entry in assets.items() if "path" in entry["source"]},
    )


def _asset(folder: Path, entry: Mapping[str, Any]) -> Asset:
    destination = next(iter(entry["destinations"].values()))
    return Asset(folder / entry["source"]["path"], destination["bucketName"], destination["objectKey"])


def _synthesise() -> None:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "cdk.app", "--stage", STAGE, "--output", str(OUTPUT)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SynthesisError(f"the CDK app failed with exit status {done.returncode}:\n{done.stdout[-4000:]}")


def _fingerprint() -> str:
    content = hashlib.sha256(str(ROOT).encode())
    for path in _input_files():
        content.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return content.hexdigest()


def _input_files() -> Iterator[Path]:
    for name in _INPUTS:
        place = ROOT / name
        if place.is_dir():
            yield from sorted(path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        elif place.is_file():
            yield place
