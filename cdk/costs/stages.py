"""Bills of the stage that a load needs, and of those that a setting makes, each synthesised as it would be deployed."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from cdk.app import build
from cdk.costs.bills import Bill
from cdk.costs.loads import Load
from cdk.settings import Stage

GROWTH: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("1 symbol, 1 trade/s", {}),
    ("10 symbols, 1 trade/s each", {"symbols": 10}),
    ("100 symbols, 1 trade/s each", {"symbols": 100}),
    ("1 symbol, 100 trades/s", {"trades_per_s": 100}),
    ("1 symbol, 10,000 trades/s", {"trades_per_s": 10_000}),
    ("100 symbols, 10,000 trades/s each", {"symbols": 100, "trades_per_s": 10_000}),
)
SETTINGS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("spot=True, on_demand_fallback=True", {"spot": True, "on_demand_fallback": True}),
    ("shards=2", {"shards": 2}),
    ("batch_ms=1000", {"batch_ms": 1000}),
    ("batch_ms=10000", {"batch_ms": 10_000}),
    ("archive_window_s=60", {"archive_window_s": 60}),
    ("forecast_window_s=60", {"forecast_window_s": 60}),
    ("score_minutes=1", {"score_minutes": 1}),
    ("audit_minutes=15", {"audit_minutes": 15}),
    ("tracing=True", {"tracing": True}),
    ("detailed_metrics=True", {"detailed_metrics": True}),
    ("keep_data=True (recovery, old versions)", {"keep_data": True}),
    ("own_key=True", {"own_key": True}),
    ("firewall=True", {"firewall": True}),
    ("snap_start=True", {"snap_start": True}),
    ("signed=True", {"signed": True}),
    ("live=False", {"live": False}),
    ("forecast_retention_days=365", {"forecast_retention_days": 365}),
)


def template(stage: Stage) -> dict[str, Any]:
    """As it would be deployed."""
    with TemporaryDirectory() as folder:
        build(stage, output=Path(folder), in_place=True).synth()
        [path] = Path(folder).glob("*.template.json")
        synthesised: dict[str, Any] = json.loads(path.read_text())
        return synthesised


def bill(stage: Stage, load: Load) -> Bill:
    """Of the stage with as many symbols and shards as the load has and needs; the settings' own are kept."""
    more = tuple(f"S{row:03}-USD" for row in range(len(stage.symbols) + 1, load.symbols + 1))
    symbols = (*stage.symbols, *more)[: load.symbols]
    tasks = 2 if stage.spot and stage.on_demand_fallback else 1
    load = replace(load, batch_s=stage.batch_ms / 1000, senders=tasks)
    return Bill(template(replace(stage, symbols=symbols, shards=max(stage.shards, load.shards))), load)


def grown(stage: Stage, load: Load) -> Iterator[tuple[str, Bill]]:
    """The bills of GROWTH."""
    for name, changed in GROWTH:
        yield name, bill(stage, replace(load, **changed))


def settings(stage: Stage, load: Load) -> Iterator[tuple[str, Bill]]:
    """The bills of SETTINGS, one changed at a time."""
    for name, changed in SETTINGS:
        yield name, bill(replace(stage, **changed), load)
