"""The domain's layer as it is deployed: its sources and their bytecode, the same whenever it is made."""

import subprocess
import sys
from pathlib import Path

import pytest

from cdk.settings import DEV
from tests.infra.assembly import ROOT, Assembly, place

SOURCES = ROOT / "layers" / "common"
UNCHECKED = (1).to_bytes(4, "little")
"""Of a .pyc: named by its source's hash, which nobody checks when it is imported."""


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a synthesis that is to be deployed stages for the layer."""
    from aws_cdk import App, Stack  # noqa: PLC0415 - seconds

    from cdk.python_function import Layers  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("layers")
    app = App(outdir=str(folder))
    Layers(Stack(app, "Layers"), "Layers", stage=DEV).named("common")
    app.synth()
    [staged] = folder.glob("asset.*/python")
    return files(staged.parent)


def test_every_module_of_the_domain_comes_with_its_bytecode(deployed: dict[str, bytes]) -> None:
    sources = {name: content for name, content in files(SOURCES).items() if not name.endswith(".pyc")}
    compiled = {name: content for name, content in deployed.items() if name.endswith(".cpython-313.pyc")}
    if not compiled:
        pytest.skip("there is no Python 3.13 here to compile with")

    assert {name: content for name, content in deployed.items() if name not in compiled} == sources
    modules = {name.replace("__pycache__/", "").replace(".cpython-313.pyc", ".py") for name in compiled}
    assert modules == {name for name in sources if name.endswith(".py")}
    assert {content[4:8] for content in compiled.values()} == {UNCHECKED}


def test_it_is_the_same_whenever_it_is_made(deployed: dict[str, bytes], tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "layers" / "build.py"), "--common", str(tmp_path)], check=True)

    assert files(tmp_path) == deployed


def test_what_runs_here_is_read_in_place(local: Assembly) -> None:
    [common] = {place(layer) for layer in local.layers("aggregate_bars")} & {SOURCES}

    assert common == SOURCES
