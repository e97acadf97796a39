"""What the bill takes an invocation to use is what the handlers use, counted again."""

import subprocess
import sys

import msgspec
import pytest

from cdk.costs.loads import DAY_BYTES, METRICS, TAPE_BYTES, USED
from tests.bench.live_market import HELD
from tests.bench.metering import Used

pytestmark = pytest.mark.xdist_group("usage")


class Line(msgspec.Struct):
    name: str
    used: Used


@pytest.fixture(scope="module")
def counted() -> dict[str, Used]:
    """In a process of its own: a logger that another test has set up counts other bytes."""
    command = [sys.executable, "-m", "tests.bench.usage"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [msgspec.json.decode(line, type=Line) for line in done.stdout.splitlines() if line.startswith('{"name"')]
    return {line.name: line.used for line in lines}


@pytest.mark.parametrize("name", USED)
def test_an_invocation_uses_what_the_bill_says(name: str, counted: dict[str, Used]) -> None:
    used, told = counted[name], USED[name]

    assert (used.read_units, used.write_units, used.puts, used.gets, used.calls) == told[:5]
    assert used.log_bytes == pytest.approx(told.log_bytes, rel=0.05)


def test_the_lake_holds_what_the_bill_says(counted: dict[str, Used]) -> None:
    assert counted["archive_trades 300 trades"].stored_bytes / 300 == pytest.approx(TAPE_BYTES, rel=0.05)
    assert counted["archive_bars day"].stored_bytes * 2 == pytest.approx(DAY_BYTES["bars"], rel=0.05)
    forecasts = counted["archive_forecasts two hours"].stored_bytes * 24 * 60 / HELD
    assert forecasts == pytest.approx(DAY_BYTES["forecasts"], rel=0.05)


def test_custom_metrics_are_those_that_are_counted(counted: dict[str, Used]) -> None:
    told = {(service, name) for service, names in METRICS.items() for name in names}
    found = {metric for used in counted.values() for metric in used.metrics}

    assert found | {("ingest_trades", "FeedAge")} == told, "tests/unit/test_report.py counts those of the ingest task"
