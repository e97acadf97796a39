"""What every suite shares: where the real market data lies, and how hypothesis searches."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A thread of BLAS that has nothing to do spins, and takes the processor from the tests beside it: with two of them on
# two busy cores a network took ten times the CPU. It is read when numpy is loaded, so nowhere later than here.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent

settings.register_profile("ci", max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuses to run where groups are asked for and not made: each worker would make what a group shares."""
    grouped = [item for item in items if item.get_closest_marker("xdist_group")]
    if getattr(config.option, "loadgroup", False) and not all("@" in item.nodeid for item in grouped):
        raise pytest.UsageError("this pytest-xdist makes no groups of this pytest's tests: see pyproject.toml")


def pytest_xdist_auto_num_workers() -> int:
    """One more than cores where these are few: tests of the local stack wait more than they reckon."""
    cores = os.cpu_count() or 1
    return max(cores, 3)


@pytest.fixture(scope="session")
def market_data() -> Path:
    """Real captures and bars; they lie beside the project and are no part of it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the recorded market data is not there: expected it at ../shared/data beside the project")
    return folder
