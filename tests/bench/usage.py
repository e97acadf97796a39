"""What one invocation of each function uses of AWS: the handlers themselves against moto, on a live market's tables.

`python -m tests.bench.usage` prints it, each as a line of JSON; the bill (cdk/costs) is made of it.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType, SimpleNamespace
from typing import Any, Final
from unittest import mock

import boto3
import msgspec
from moto import mock_aws

from btc import scores
from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.aws.listeners import ListenerTable
from btc.aws.state import StateTable
from btc.aws.tables import bar_item
from btc.bars import Bar
from btc.champions import Champion
from btc.lookbacks import SETTLING
from btc.settings import (
    AggregateBars,
    Api,
    ArchiveBars,
    ArchiveForecasts,
    ArchiveTrades,
    AuditBars,
    ConnectListeners,
    Forecast,
    PushForecasts,
    ScoreForecasts,
    Settings,
)
from btc.tape import Watermark
from btc.times import HOUR, MINUTE, SECOND, iso
from btc.trades import Trade, Trades
from tests.bench.live_market import (
    FIRST,
    HELD,
    TRADES,
    VERSION,
    forget,
    key_of,
    live_market,
    price,
    said,
    store,
    unsettle,
)
from tests.bench.metering import Meter, Used
from tests.unit.aws import CONTEXT, create_tables, kinesis_event, load
from tests.unit.market import BTC, NOON
from tests.unit.test_forecast import artefact

CHANNEL: Final[dict[str, Any]] = {"channel_url": "wss://c1.execute-api.us-east-1.amazonaws.com/live"}
CHANNEL["listeners_table"] = "listeners"
TOLD: Final[dict[str, Any]] = {"bars_table": "bars", "state_table": "state"}
CALL: Final = SimpleNamespace(**vars(CONTEXT), get_remaining_time_in_millis=lambda: 600_000)


def measured() -> dict[str, Used]:
    """By function and what it was given: a market at one trade a second, at noon, with a day of bars and forecasts."""
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "POWERTOOLS_METRICS_NAMESPACE": "PredictBitcoin",
    }
    with mock.patch.dict(os.environ, environment), mock_aws(), Meter().running() as meter:
        for make in (clients.dynamodb, clients.kinesis, clients.s3, clients.sagemaker):
            make.cache_clear()
        create_tables(clients.dynamodb())
        boto3.client("s3").create_bucket(Bucket="lake")
        clients.kinesis().create_stream(StreamName="trades", ShardCount=1)
        used = {name: meter.of(run) for name, run in invocations(live_market())}
    return {name: each for name, each in used.items() if not name.endswith("warm")}


def main() -> None:
    for name, used in measured().items():
        print(msgspec.json.encode({"name": name, "used": used}).decode())


Invocations = Iterator[tuple[str, Callable[[], object]]]
"""By name; those whose name ends in `warm` are there to warm a function up."""


def invocations(held: Sequence[Bar]) -> Invocations:
    """Of each function, in an order in which one leaves to the next what it reads."""
    yield from of_the_stream()
    yield from of_the_lake(held[-1])
    yield from of_the_forecasts(held)
    yield from of_requests()


def loaded(name: str, settings: Settings) -> ModuleType:
    """At two seconds past noon."""
    os.environ["POWERTOOLS_SERVICE_NAME"] = name
    module = load(name, settings)
    module.__dict__["time"] = SimpleNamespace(
        time_ns=lambda: (NOON + 2 * SECOND) * 1000, monotonic=time.monotonic, perf_counter=time.perf_counter
    )
    return module


def changed(*bars: Bar) -> dict[str, Any]:
    return {"Records": [{"eventName": "MODIFY", "dynamodb": {"NewImage": bar_item(bar)}} for bar in bars]}


def trades(second: int, count: int) -> Trades:
    """One a second, from that second after noon on."""
    ids = range(FIRST + TRADES + second, FIRST + TRADES + second + count)
    times = [NOON + (each - FIRST - TRADES) * SECOND for each in ids]
    rows = zip(ids, times, strict=True)
    return Trades.of(BTC, [Trade(BTC, each, moment, price(each), 12_345_678, True) for each, moment in rows])


def of_the_stream() -> Invocations:
    aggregate = loaded("aggregate_bars", AggregateBars(**TOLD, retention_days=60))

    def aggregated(*entries: Any) -> Callable[[], object]:
        return lambda: aggregate.handler(kinesis_event(entries), CALL)

    yield "aggregate_bars warm", aggregated(trades(0, 5))
    yield "aggregate_bars trades", aggregated(trades(5, 6))
    yield "aggregate_bars again", aggregated(trades(5, 6))
    yield "aggregate_bars until the last warm", aggregated(trades(11, 46))
    mark = Watermark(BTC, NOON + MINUTE, FIRST + TRADES + 60)
    yield "aggregate_bars closing", aggregated(trades(57, 6), mark)

    tape = loaded("archive_trades", ArchiveTrades(lake_bucket="lake"))
    for name, first in (("warm", 0), ("300 trades", 300)):
        yield f"archive_trades {name}", lambda first=first: tape.handler(kinesis_event([trades(first, 300)]), CALL)


def of_the_lake(last: Bar) -> Invocations:
    bars_archive = loaded("archive_bars", ArchiveBars(bars_table="bars", lake_bucket="lake"))
    yield "archive_bars warm", lambda: bars_archive.handler(changed(last), CALL)
    store(replace(last, high=last.high + 1))
    yield "archive_bars day", lambda: bars_archive.handler(changed(last), CALL)

    forecasts_archive = loaded("archive_forecasts", ArchiveForecasts(forecasts_table="forecasts", lake_bucket="lake"))
    [first, *_] = newest = said(NOON - 2 * MINUTE)
    event = {"Records": [{"dynamodb": {"NewImage": key_of(each)}} for each in newest]}
    every = {"Records": [{"dynamodb": {"NewImage": key_of(each)}} for each in [*said(NOON - HELD * MINUTE), *newest]]}
    yield "archive_forecasts warm", lambda: forecasts_archive.handler(every, CALL)
    ForecastTable("forecasts", clients.dynamodb()).settle(first, scores.outcome(first, 100.0))
    yield "archive_forecasts two hours", lambda: forecasts_archive.handler(event, CALL)


def of_the_forecasts(held: Sequence[Bar]) -> Invocations:
    tables = {**TOLD, "forecasts_table": "forecasts"}
    forecast = loaded("forecast", Forecast(**tables, retention_days=60, max_bar_age_s=3600, max_model_age_days=30))
    yield "forecast promoted warm", promote_champion
    yield "forecast first", lambda: forecast.handler(changed(held[-2 - SETTLING]), CALL)
    yield "forecast next warm", lambda: forecast.handler(changed(held[-2]), CALL)
    forget(said(NOON))
    yield "forecast bar", lambda: forecast.handler(changed(held[-1]), CALL)

    limits = {"coverage_low": 0.85, "coverage_high": 0.95, "skill_low": 0.0}
    waits = {"retention_days": 0, "catch_up_hours": 24, "least_forecasts": 1000, "retrain_pause_hours": 24}
    of_score = {"scores_table": "scores", "markets": (str(BTC),), "pipeline": "p"}
    score = loaded("score_forecasts", ScoreForecasts(**tables, **of_score, **limits, **waits))
    # Just before noon, when the hour under way is full.
    score.__dict__["time"] = SimpleNamespace(time_ns=lambda: (NOON - 28 * SECOND) * 1000)
    state = StateTable("state", clients.dynamodb())
    yield "score_forecasts warm", lambda: score.handler({}, CALL)
    unsettle(said(held[-30].end - MINUTE)[0])
    yield "score_forecasts hour", lambda: score.handler({}, CALL)
    yield "score_forecasts hour again", lambda: score.handler({}, CALL)
    yield "score_forecasts begun warm", lambda: state.end_scoring(NOON - 2 * HOUR)
    yield "score_forecasts marks warm", lambda: score.handler({}, CALL)
    yield "score_forecasts begun anew warm", lambda: state.end_scoring(NOON - 2 * HOUR)
    yield "score_forecasts hour and day again", lambda: score.handler({}, CALL)

    of_audit = {"stream": "trades", "markets": (str(BTC),), "rest_url": ""}
    audit = loaded("audit_bars", AuditBars(**TOLD, **of_audit, look_back_days=1, every_minutes=30))
    yield "audit_bars warm", lambda: audit.handler({}, CALL)
    yield "audit_bars day", lambda: audit.handler({}, CALL)


def promote_champion() -> None:
    """A small model, whose calibration has followed the bars until half an hour ago."""
    with TemporaryDirectory() as folder:
        packed = artefact(Path(folder), NOON - 30 * MINUTE)
    clients.s3().put_object(Bucket="lake", Key="model.tar.gz", Body=packed)
    champion = Champion(VERSION, "package", "s3://lake/model.tar.gz", iso(NOON - 30 * MINUTE), iso(NOON))
    StateTable("state", clients.dynamodb()).promote(champion, {})


def of_requests() -> Invocations:
    tables = {"forecasts_table": "forecasts", "scores_table": "scores"}
    api = loaded("api", Api(**TOLD, **tables, markets=(str(BTC),), cors_origin="", signed=False, **CHANNEL))

    def asked(path: str) -> object:
        api.newest.cache_clear()  # as in the first request of a minute, which most are
        return api.handler(request(f"/v1/{path}/BTC-USD"), CALL)

    yield from of_listeners(api)

    for name, path in (("warm", "forecasts"), ("forecasts", "forecasts"), ("scores", "scores"), ("bars", "bars")):
        yield f"api {name}", lambda path=path: asked(path)


def of_listeners(api: ModuleType) -> Invocations:
    connecting = loaded("connect_listeners", ConnectListeners(listeners_table="listeners"))
    pushing = loaded("push_forecasts", PushForecasts(**CHANNEL, bars_table="bars", forecasts_table="forecasts"))
    key = key_of(said(NOON)[-1])
    newest = {"Records": [{"dynamodb": {"Keys": key, "NewImage": key}}]}
    visitor = {"connectionId": "first", "authorizer": {"market": str(BTC)}}

    def visit() -> None:
        answer = msgspec.json.decode(api.handler(request("/v1/forecasts/BTC-USD/live"), CALL)["body"])
        ticket = answer["url"].partition("=")[2]
        admitted = {"type": "REQUEST", "methodArn": "arn", "queryStringParameters": {"ticket": ticket}}
        for event in (
            admitted,
            {"requestContext": {**visitor, "eventType": "CONNECT"}},
            {"requestContext": {**visitor, "eventType": "DISCONNECT"}},
        ):
            connecting.handler(event, CALL)

    def pushed() -> None:
        pushing.newest.cache_clear()
        pushing.handler(newest, CALL)

    yield "connect_listeners warm", visit
    yield "connect_listeners visit", visit
    yield "push_forecasts warm", pushed
    yield "push_forecasts nobody", pushed
    yield "push_forecasts first warm", lambda: ListenerTable("listeners", clients.dynamodb()).add(BTC, "second", NOON)
    yield "push_forecasts one warm", pushed
    yield "push_forecasts one", pushed


def request(path: str) -> dict[str, Any]:
    return {
        "resource": path,
        "path": path,
        "httpMethod": "GET",
        "headers": {"Accept": "application/json"},
        "multiValueHeaders": {"Accept": ["application/json"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "requestContext": {"requestId": "request-1", "stage": "live", "identity": {}},
        "body": None,
        "isBase64Encoded": False,
    }


if __name__ == "__main__":
    main()
