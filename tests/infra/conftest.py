"""Each stage is synthesised once: importing the CDK alone takes seconds."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from cdk.settings import DEV, LOCAL, PROD, Stage
from tests.infra.assembly import Assembly


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps these tests on one worker, so that no other pays for the import, but for those that pay apart."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("infra"))


def synthesised(stage: Stage, folder: Path) -> Assembly:
    from cdk.app import build  # noqa: PLC0415 - seconds, which collecting the tests need not cost

    build(stage, output=folder, in_place=True).synth()
    return Assembly.read(folder)


@pytest.fixture(scope="session")
def dashboard() -> ModuleType:
    """cdk/dashboard.py, which imports the CDK."""
    return import_module("cdk.dashboard")


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesised(DEV, tmp_path_factory.mktemp("dev"))


@pytest.fixture(scope="session")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesised(PROD, tmp_path_factory.mktemp("prod"))


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesised(LOCAL, tmp_path_factory.mktemp("local"))


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """With every setting of the API that is off by default, and traced."""
    options = {"signed": True, "firewall": True, "snap_start": True, "tracing": True}
    stage = replace(DEV, name="guarded", cors_origin="https://a.example", **options)
    return synthesised(stage, tmp_path_factory.mktemp("guarded"))
