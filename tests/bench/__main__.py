"""`make bench`: every figure this project claims, measured now, as a table and as build/bench.json."""

import importlib
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.measure import Row

ROOT = Path(__file__).parents[2]
SUITES = (
    "bench_ingest",
    "bench_history",
    "bench_aggregate",
    "bench_rivals",
    "bench_buffer",
    "bench_forecast",
    "bench_features",
    "bench_search",
    "bench_cold_starts",
    "bench_api",
    "bench_api_load",
    "bench_close",
)


def main() -> None:
    console = Console(width=None if sys.stdout.isatty() else 150)
    table = Table("name", "value", "unit", "against", "ratio", title="each ratio taken side by side in this run")
    measured: list[Row] = []
    for suite in sys.argv[1:] or SUITES:
        with console.status(f"measuring {suite} …"):
            measured += importlib.import_module(f"tests.bench.{suite}").rows()
    for row in measured:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} ×"
        table.add_row(
            row.name, f"{row.value:,.4g}" if row.value < 1000 else f"{row.value:,.0f}", row.unit, row.against, ratio
        )
    console.print(table)
    target = ROOT / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps([row._asdict() for row in measured], indent=1) + "\n")


if __name__ == "__main__":
    main()
