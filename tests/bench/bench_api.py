"""The API's handler, warm: what an answer costs in CPU beside the network, every route in turn with its defaults."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest import mock

import botocore.awsrequest

from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.forecasts import HORIZONS
from btc.times import SECOND
from tests.bench.bench_cold_starts import POWERTOOLS, emulated_tables
from tests.bench.measure import Row
from tests.local.stocked import MARKET
from tests.unit.asking import SETTINGS, event
from tests.unit.aws import CONTEXT, load

ROUNDS: Final = 200
ASKED: Final = {
    "forecasts": ("/v1/forecasts/BTC-USD", {}),
    "history": ("/v1/forecasts/BTC-USD/history", {"horizon": "5"}),
    "bars": ("/v1/bars/BTC-USD", {}),
    "scores": ("/v1/scores/BTC-USD", {}),
    "model": ("/v1/models/current", {}),
    "health": ("/health", {}),
}


class Replayed:
    """DynamoDB's answers as they came over the wire once: what is left is what the handler and its client compute."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._answers: dict[tuple[Any, Any], botocore.awsrequest.AWSResponse] = {}

    def send(self, request: Any) -> botocore.awsrequest.AWSResponse:
        key = request.headers["X-Amz-Target"], request.body
        if key not in self._answers:
            answer = self._session.send(request)
            assert answer.content
            self._answers[key] = answer
        return self._answers[key]


@contextmanager
def warm_handler() -> Iterator[Any]:
    """The handler's module at one moment, over tables whose answers are kept."""
    with emulated_tables() as endpoint:
        account = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "us-east-1"}
        with mock.patch.dict(os.environ, {**account, **POWERTOOLS, "AWS_ENDPOINT_URL": endpoint}):
            clients.dynamodb.cache_clear()
            client = clients.dynamodb()
            newest = ForecastTable(SETTINGS.forecasts_table, client).latest(MARKET, HORIZONS[-1])
            assert newest, "the tables come with forecasts"
            moment = newest.as_of + 5 * SECOND
            client._endpoint.http_session = Replayed(client._endpoint.http_session)
            module = load("api", SETTINGS)
            module.now = lambda: moment
            yield module
            clients.dynamodb.cache_clear()


def milliseconds(module: Any, asked: dict[str, Any]) -> float:
    began = time.thread_time()
    answer = module.handler(asked, CONTEXT)
    spent = 1000 * (time.thread_time() - began)
    if answer["statusCode"] != 200:
        raise RuntimeError(f"{asked['path']}: {answer['body']}")
    return spent


def rows() -> list[Row]:
    spent: dict[str, list[float]] = {name: [] for name in ASKED}
    with warm_handler() as module:
        events = {name: event(path, {"Accept": "application/json"}, query) for name, (path, query) in ASKED.items()}
        for asked in events.values():
            milliseconds(module, asked)
        for _ in range(ROUNDS):
            for name, asked in events.items():
                spent[name].append(milliseconds(module, asked))
    every = sorted(each for times in spent.values() for each in times)
    return [
        Row("api_warm_p50_ms", quantile(every, 0.5), "ms of CPU", "every route in turn, without the network", None),
        Row("api_warm_p99_ms", quantile(every, 0.99), "ms of CPU", "every route in turn, without the network", None),
        *(
            Row(
                f"api_warm_{name}_ms", quantile(sorted(times), 0.5), "ms of CPU", "half of the requests take less", None
            )
            for name, times in spent.items()
        ),
    ]


def quantile(ascending: list[float], share: float) -> float:
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]
