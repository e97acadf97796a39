"""How long after a minute's end its forecast can be read over HTTP: the local stack, real processes, life's own clock.

Trades are gathered as long as in the deployed stages, and watermarks stay as far behind the venue's clock. The
simulated exchange trades twelve times a minute, so that most minutes end with a question to its REST history. MINUTES
measures so many instead of six; the two that it is compared with get half of them each.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from math import ceil
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console

from btc.forecasts import HORIZONS
from btc.times import MINUTE, SECOND, minute_of, parse_iso
from cdk.settings import DEV
from local.delivery import Delivery
from local.screen import Screen
from local.session import AGGREGATE, Options, Session
from local.stack import Stack
from tests.bench.measure import Row

MINUTES: Final = int(os.environ.get("MINUTES", "6"))
USUAL_S: Final = 5
"""The window that records are usually given to come together in."""
LAMBDA_POLL_S: Final = 1.0
"""Lambda asks a shard for records once a second; the local stack does oftener."""
EARLIEST_S: Final = 1.0
EVERY_S: Final = 0.05
PATIENCE_S: Final = 45.0


def rows() -> list[Row]:
    told = {"BATCH_MS": str(DEV.batch_ms), "WATERMARK_LAG_MS": str(DEV.watermark_lag_ms)}
    with Stack() as stack:
        session = Session(stack, Options(once=True, ingest=told), Screen(Console(quiet=True)))
        session.start()
        session.fill()
        session.first_forecast(session.train())
        ours = measured(session, MINUTES)
        load = os.getloadavg()[1]
        with switched(stack, poll_s=LAMBDA_POLL_S):
            polled = measured(session, ceil(MINUTES / 2))
            with switched(stack, window_s=USUAL_S):
                usual = measured(session, ceil(MINUTES / 2))
    of = f"s, of {len(ours)} minutes"
    rival = f"a window of {USUAL_S} s: p50 {at(usual, 0.5):.2f}, p99 {at(usual, 0.99):.2f}, of {len(usual)} minutes"
    machine = f"load average meanwhile {load:.1f} on {os.cpu_count()} cores"
    return [
        Row("close_to_forecast_p50_s", at(ours, 0.5), of, rival, at(usual, 0.5) / at(ours, 0.5)),
        Row("close_to_forecast_p99_s", at(ours, 0.99), of, rival, at(usual, 0.99) / at(ours, 0.99)),
        Row("close_to_forecast_max_s", max(ours), of, machine, None),
        Row(
            "close_to_forecast_polled_p99_s",
            at(polled, 0.99),
            f"s, of {len(polled)} minutes",
            f"shards asked once a second, as by Lambda; p50 {at(polled, 0.5):.2f}",
            None,
        ),
    ]


@contextmanager
def switched(stack: Stack, *, window_s: float = DEV.aggregate_window_s, poll_s: float = 0.2) -> Iterator[None]:
    """Records come to the bars in this way instead, from now on."""
    before = stack.deliveries[AGGREGATE]
    mapping = replace(before.mapping, window_s=window_s, starting_position="LATEST")
    with Delivery(mapping, stack.functions[AGGREGATE].invoke, stack.emulator, poll_s=poll_s) as other:
        stack.deliveries[AGGREGATE] = other
        time.sleep(2 * poll_s)  # it reads where the stream ends now, before the other leaves
        before.stop()
        yield


def measured(session: Session, minutes: int) -> list[float]:
    """Seconds from each of so many minutes' ends to the answer that holds all forecasts of it, in order of size."""
    place = urlsplit(session.served.url)
    connection = HTTPConnection(place.netloc, timeout=30)
    found = []
    for _ in range(minutes):
        end = minute_of(time.time_ns() // 1000) + MINUTE
        while (late := _since(end)) < PATIENCE_S:
            time.sleep(max(EVERY_S, EARLIEST_S - late))
            connection.request(
                "GET", f"{place.path}/v1/forecasts/{session.market.symbol}", headers={"x-api-key": session.served.key}
            )
            answer = connection.getresponse()
            document = json.loads(answer.read())
            came = _since(end)
            if answer.status != 200:
                raise RuntimeError(f"the API answered {answer.status}: {document}")
            if [parse_iso(made["as_of"]) for made in document["forecasts"]] == [end] * len(HORIZONS):
                found.append(came)
                break
        else:
            raise RuntimeError(f"no forecast within {PATIENCE_S:g} s of the minute's end")
        session.stack.check()
    connection.close()
    return sorted(found)


def _since(moment: int) -> float:
    """Seconds; the simulated exchange runs by the same clock."""
    return (time.time_ns() // 1000 - moment) / SECOND


def at(sizes: list[float], share: float) -> float:
    """By nearest rank: of fewer than a hundred, the 99th percentile is the largest."""
    return sizes[ceil(share * len(sizes)) - 1]
