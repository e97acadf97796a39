"""Cold starts under the real Lambda runtime client: each function, against the same with a data frame library, and
api against the handler that one would usually write for the same answer.

Two of aggregate_bars: up to its first answer, and with a record in the first event, for which it makes its DynamoDB
client and uses it, on the emulator's tables. What counts is the CPU time of the function's process, of which a start
consists here: on an idle machine it is the wall time.
"""

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import boto3
import numpy as np
import xgboost as xgb

from btc.forecasts import LEVELS
from btc.settings import AggregateBars
from btc.trades import Market, Trade, Trades
from local.lambdas import Function, FunctionSpec
from tests.bench.measure import Row
from tests.local.stocked import stock
from tests.unit.asking import SETTINGS, event
from tests.unit.aws import create_tables, kinesis_event

ROOT: Final = Path(__file__).parents[2]
LAYERS: Final = ROOT / "build" / "layers" / "local"
ROUNDS: Final = 7
REGION: Final = "us-east-1"
POWERTOOLS: Final = {"POWERTOOLS_METRICS_NAMESPACE": "Bench", "POWERTOOLS_SERVICE_NAME": "bench"}
NOWHERE: Final = event("/nowhere", {}, {})
MODEL: Final = {"MODEL_BUCKET": "models", "MODEL_KEY": "model.ubj"}
FORECASTS: Final = event("/v1/forecasts/BTC-USD", {}, {})


class Start(NamedTuple):
    """A function as it starts: its code, its third-party layers, and what it is asked first."""

    asset: Path
    layers: tuple[str, ...]
    environment: dict[str, str]
    event: Callable[[], dict[str, Any]]
    common: Path = ROOT / "layers" / "common"

    def cpu_seconds(self, endpoint: str) -> float:
        """What its process spends from nothing to the first answer."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with Function(self._spec(endpoint), log=lambda _: None) as function:
            result = function.invoke(self.event())
        if result.error:
            raise RuntimeError(f"{self.asset.name}: {result.error}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def _spec(self, endpoint: str) -> FunctionSpec:
        return FunctionSpec(
            name=self.asset.name,
            asset=self.asset,
            handler="handler.handler",
            layers=(self.common, *(LAYERS / layer for layer in self.layers)),
            runtime=LAYERS / "runtime",
            environment=POWERTOOLS | self.environment,
            timeout_s=60,
            memory_mb=512,
            arn=f"arn:aws:lambda:{REGION}:123456789012:function:{self.asset.name}",
            endpoint_url=endpoint,
        )


def importing(library: str, function: str, folder: Path) -> Path:
    """The same function, with a library imported first as the usual handler does."""
    asset = folder / f"{function}_{library}"
    asset.mkdir(exist_ok=True)
    source = (ROOT / "functions" / function / "handler.py").read_text()
    asset.joinpath("handler.py").write_text(f"import {library}\n" + source)
    return asset


@contextmanager
def emulated_tables() -> Iterator[str]:
    """The address of an emulator that holds the tables, with what the API tells of one market, and a model."""
    with subprocess.Popen([sys.executable, "-m", "local.emulator"], stdout=subprocess.PIPE, text=True) as emulator:
        assert emulator.stdout is not None
        try:
            endpoint: str = json.loads(emulator.stdout.readline())["endpoint"]
            session = boto3.session.Session("local", "local", "local", region_name=REGION)
            tables, objects = (session.client(name, endpoint_url=endpoint) for name in ("dynamodb", "s3"))
            create_tables(tables)
            stock(tables, SETTINGS)
            objects.create_bucket(Bucket=MODEL["MODEL_BUCKET"])
            objects.put_object(Bucket=MODEL["MODEL_BUCKET"], Key=MODEL["MODEL_KEY"], Body=usual_model())
            yield endpoint
        finally:
            emulator.terminate()


def first_records() -> Callable[[], dict[str, Any]]:
    """Events of one record with one trade, each of another market: whoever starts finds nothing in the table."""
    numbers = count()

    def event() -> dict[str, Any]:
        market = Market("kraken", f"BTC-{next(numbers)}")
        return kinesis_event([Trades.of(market, [Trade(market, 1, 1_762_776_000_000_000, 10**13, 10**8, True)])])

    return event


def aggregations(folder: Path, event: Callable[[], dict[str, Any]]) -> list[Start]:
    """aggregate_bars as it is, importing pandas, and importing awswrangler."""
    settings = AggregateBars(bars_table="bars", state_table="state", retention_days=30).to_env()
    return [
        Start(ROOT / "functions/aggregate_bars", ("powertools",), settings, event),
        *(
            Start(importing(library, "aggregate_bars", folder), ("powertools", "awswrangler"), settings, event)
            for library in ("pandas", "awswrangler")
        ),
    ]


def uncompiled(start: Start, folder: Path) -> Start:
    """The same with the domain's sources alone, which each start compiles anew: nothing can be kept under /opt."""
    common = folder / "common"
    if not common.exists():
        shutil.copytree(ROOT / "layers" / "common", common, ignore=shutil.ignore_patterns("__pycache__"))
    return start._replace(common=common, environment={**start.environment, "PYTHONDONTWRITEBYTECODE": "1"})


def apis(folder: Path) -> list[Start]:
    """api as it is, and importing xgboost; api up to the forecasts it tells, and the usual handler to its own."""
    settings = SETTINGS.to_env()
    usual = folder / "usual_api"
    usual.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).with_name("usual_api.py"), usual / "handler.py")
    return [
        Start(ROOT / "functions/api", ("powertools",), settings, lambda: NOWHERE),
        Start(importing("xgboost", "api", folder), ("powertools", "xgboost"), settings, lambda: NOWHERE),
        Start(ROOT / "functions/api", ("powertools",), settings, lambda: FORECASTS),
        Start(usual, ("xgboost", "awswrangler"), {**settings, **MODEL}, lambda: FORECASTS),
    ]


def usual_model() -> bytes:
    """Quantiles of one horizon in 200 rounds of depth 4, as a file: seven features, as usual_api makes them."""
    source = np.random.default_rng(7)
    matrix = xgb.QuantileDMatrix(source.normal(size=(2000, 7)), source.normal(size=2000))
    options = {"objective": "reg:quantileerror", "quantile_alpha": list(LEVELS), "max_depth": 4, "nthread": 2}
    return bytes(xgb.train(options, matrix, num_boost_round=200).save_raw("ubj"))


def rows() -> list[Row]:
    with TemporaryDirectory() as folder, emulated_tables() as endpoint:
        starts = [
            *aggregations(Path(folder), lambda: {"Records": []}),
            *aggregations(Path(folder), first_records()),
            *apis(Path(folder)),
        ]
        starts += [uncompiled(starts[place], Path(folder)) for place in (0, 6)]
        best = [float("inf")] * len(starts)
        for _ in range(ROUNDS):
            best = [min(least, start.cpu_seconds(endpoint)) for least, start in zip(best, starts, strict=True)]
    plain, pandas, wrangler, first, first_pandas, first_wrangler, api, xgboost, told, usual, bare, bare_api = best
    return [
        row("aggregate_bars_cold_start", plain, pandas, "the same importing pandas"),
        row("aggregate_bars_cold_start_vs_awswrangler", plain, wrangler, "the same importing awswrangler"),
        row("aggregate_bars_cold_start_vs_sources", plain, bare, "the same compiling the domain's sources"),
        row("aggregate_bars_first_record", first, first_pandas, "the same importing pandas"),
        row("aggregate_bars_first_record_vs_awswrangler", first, first_wrangler, "the same importing awswrangler"),
        row("api_cold_start", api, xgboost, "the same importing xgboost"),
        row("api_cold_start_vs_sources", api, bare_api, "the same compiling the domain's sources"),
        row("api_cold_start_vs_usual", told, usual, "boto3, pandas and xgboost, computing when asked; to the forecast"),
    ]


def row(name: str, ours: float, theirs: float, against: str) -> Row:
    return Row(name, 1000 * ours, "ms of CPU", against, theirs / ours)
