"""What every suite shares: where the real market data lies, and how hypothesis searches."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A thread of BLAS that has nothing to do spins, and takes the processor from the tests beside it: with two of them on
# two busy cores a network took ten times the CPU. It is read when numpy is loaded, so nowhere later than here.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent

settings.register_profile("ci", max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_xdist_auto_num_workers() -> int:
    """Twice as many as cores where these are few: tests of the local stack wait more than they reckon."""
    cores = os.cpu_count() or 1
    return max(cores, min(2 * cores, 4))


@pytest.fixture(scope="session")
def market_data() -> Path:
    """Real captures and bars; they lie beside the project and are no part of it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the recorded market data is not there: expected it at ../shared/data beside the project")
    return folder
