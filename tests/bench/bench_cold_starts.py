"""Cold starts under the real Lambda runtime client: each function, against the same with a data frame library."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from btc.settings import AggregateBars, Api
from local.lambdas import Function, FunctionSpec
from tests.bench.measure import Row

ROOT = Path(__file__).parents[2]
LAYERS = ROOT / "build" / "layers" / "local"
ROUNDS = 5
POWERTOOLS = {"POWERTOOLS_METRICS_NAMESPACE": "Bench", "POWERTOOLS_SERVICE_NAME": "bench"}
NOWHERE = {
    "path": "/nowhere",
    "httpMethod": "GET",
    "headers": {},
    "multiValueHeaders": {},
    "queryStringParameters": None,
    "multiValueQueryStringParameters": None,
    "requestContext": {"requestId": "1", "stage": "v1"},
    "body": None,
    "isBase64Encoded": False,
}


def cold_seconds(asset: Path, layers: tuple[str, ...], environment: dict[str, str], event: dict[str, Any]) -> float:
    """From no process to the first answer, wall time."""
    spec = FunctionSpec(
        name=asset.name,
        asset=asset,
        handler="handler.handler",
        layers=(ROOT / "layers" / "common", *(LAYERS / layer for layer in layers)),
        runtime=LAYERS / "runtime",
        environment=POWERTOOLS | environment,
        timeout_s=60,
        memory_mb=512,
        arn=f"arn:aws:lambda:us-east-1:123456789012:function:{asset.name}",
    )
    function = Function(spec, log=lambda _: None)
    began = time.perf_counter()
    function.start()
    try:
        result = function.invoke(event)
        taken = time.perf_counter() - began
    finally:
        function.stop()
    if result.error:
        raise RuntimeError(f"{asset.name}: {result.error}")
    return taken


def importing(library: str, function: str, folder: Path) -> Path:
    """The same function, with a library imported first as the usual handler does."""
    asset = folder / f"{function}_{library}"
    asset.mkdir()
    source = (ROOT / "functions" / function / "handler.py").read_text()
    asset.joinpath("handler.py").write_text(f"import {library}\n" + source)
    return asset


def rows() -> list[Row]:
    aggregate = AggregateBars(bars_table="bars", state_table="state", retention_days=30).to_env()
    api = Api(bars_table="b", forecasts_table="f", state_table="s", markets=("kraken:BTC-USD",)).to_env()
    with TemporaryDirectory() as folder:
        place = Path(folder)
        rivals = {
            "aggregate_bars": (ROOT / "functions/aggregate_bars", ("powertools",), aggregate, {"Records": []}),
            "with pandas": (
                importing("pandas", "aggregate_bars", place),
                ("powertools", "awswrangler"),
                aggregate,
                {"Records": []},
            ),
            "with awswrangler": (
                importing("awswrangler", "aggregate_bars", place),
                ("powertools", "awswrangler"),
                aggregate,
                {"Records": []},
            ),
            "api": (ROOT / "functions/api", ("powertools",), api, NOWHERE),
            "api with xgboost": (importing("xgboost", "api", place), ("powertools", "xgboost"), api, NOWHERE),
        }
        best = dict.fromkeys(rivals, float("inf"))
        for _ in range(ROUNDS):
            for name, rival in rivals.items():
                best[name] = min(best[name], cold_seconds(*rival))
    return [
        Row(
            "aggregate_bars_cold_start",
            1000 * best["aggregate_bars"],
            "ms",
            "the same importing pandas",
            best["with pandas"] / best["aggregate_bars"],
        ),
        Row(
            "aggregate_bars_cold_start_awswrangler",
            1000 * best["aggregate_bars"],
            "ms",
            "the same importing awswrangler",
            best["with awswrangler"] / best["aggregate_bars"],
        ),
        Row(
            "api_cold_start",
            1000 * best["api"],
            "ms",
            "the same importing xgboost",
            best["api with xgboost"] / best["api"],
        ),
    ]
