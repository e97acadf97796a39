"""The API under load: its function under the real Lambda runtime client behind the local gateway, asked over HTTP.

DynamoDB is a server that repeats what the emulator answered once: the emulator itself could not keep up.
"""

import http.client
import json
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from urllib.request import Request as Forwarded
from urllib.request import urlopen

from local.http import Request, Server
from local.lambdas import Function, FunctionSpec
from local.rest import Gateway, Route
from tests.bench.bench_cold_starts import LAYERS, POWERTOOLS, REGION, ROOT, emulated_tables
from tests.bench.measure import Row
from tests.unit.asking import SETTINGS

RATE: Final = 200
SECONDS: Final = 60
SENDERS: Final = 8
PATH: Final = "/v1/forecasts/BTC-USD"


class Repeating(Request):
    """Answers a request as the emulator answered the first of its kind; times in it do not count."""

    emulator = ""
    known: dict[tuple[str, bytes], bytes] = {}  # noqa: RUF012 - one for all connections is meant

    def respond(self) -> None:
        body, target = self.body(), self.headers["X-Amz-Target"]
        if (target, body) not in self.known:
            asked = Forwarded(self.emulator, body, {name: self.headers[name] for name in self.headers})
            with urlopen(asked, timeout=30) as answer:
                self.known[target, body] = answer.read()
        self.answer(200, {"Content-Type": "application/x-amz-json-1.0"}, self.known[target, body])


class Load(NamedTuple):
    """What a stretch of load came to."""

    answers: int
    errors: int
    latencies_ms: list[float]
    grown_kb: int
    """Of the function's processes, from a tenth of the way to the end."""
    cpu_s: float
    """Of this process and the function's: client, gateway, store, runtime interface and handler together."""


@contextmanager
def gateway() -> Iterator[tuple[str, Function]]:
    with emulated_tables() as endpoint:
        store = Server(type("Store", (Repeating,), {"emulator": endpoint}))
        store.start()
        spec = FunctionSpec(
            name="api",
            asset=ROOT / "functions/api",
            handler="handler.handler",
            layers=(ROOT / "layers" / "common", LAYERS / "powertools"),
            runtime=LAYERS / "runtime",
            environment=POWERTOOLS | SETTINGS.to_env(),
            timeout_s=15,
            memory_mb=512,
            arn=f"arn:aws:lambda:{REGION}:123456789012:function:api",
            endpoint_url=f"http://{store.address}",
        )
        with Function(spec, log=lambda _: None) as function:
            served = Gateway([Route("/v1/forecasts/{symbol}", "GET", function.invoke)], [], "live")
            try:
                yield served.start(), function
            finally:
                served.stop()
                store.stop()


def loaded(url: str, function: Function, rate: float, seconds: float) -> Load:
    """Requests at `rate` a second by several senders, each on one connection; 0 is as fast as they are answered."""
    began = time.monotonic()
    latencies: list[float] = []
    errors: list[str] = []
    lock = threading.Lock()
    tickets = iter(range(int(rate * seconds)) if rate else range(10**9))

    def send() -> None:
        place = urlsplit(url)
        connection = http.client.HTTPConnection(place.netloc, timeout=30)
        while True:
            with lock:
                ticket = next(tickets, None)
            due = began + (ticket / rate if ticket is not None and rate else 0)
            if ticket is None or (not rate and time.monotonic() - began > seconds):
                break
            time.sleep(max(0.0, due - time.monotonic()))
            asked = time.monotonic()
            connection.request("GET", place.path + PATH)
            answer = connection.getresponse()
            content = answer.read()
            with lock:
                latencies.append(1000 * (time.monotonic() - asked))
                if answer.status != 200 or not json.loads(content)["forecasts"]:
                    errors.append(f"{answer.status} {content[:200]!r}")
        connection.close()

    spent = cpu(function)
    senders = [threading.Thread(target=send) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()
    time.sleep(seconds / 10)
    before = memory_kb(function)
    for sender in senders:
        sender.join()
    return Load(len(latencies), len(errors), sorted(latencies), memory_kb(function) - before, cpu(function) - spent)


def pids(function: Function) -> list[int]:
    return [environment._process.pid for environment in function._live]


def memory_kb(function: Function) -> int:
    return sum(
        int(line.split()[1])
        for pid in pids(function)
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    )


def cpu(function: Function) -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    ticks = sum(
        sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])) for pid in pids(function)
    )
    return own.ru_utime + own.ru_stime + ticks / 100


def rows() -> list[Row]:
    with gateway() as (url, function):
        loaded(url, function, 20, 3)  # every process started, every answer of the store known
        steady = loaded(url, function, RATE, SECONDS)
        full = loaded(url, function, 0, 10)
    load = f"{RATE} requests/s for {SECONDS} s over HTTP"
    return [
        Row("api_load_errors", steady.errors + full.errors, f"of {steady.answers:,} requests", load, None),
        Row("api_load_rate", steady.answers / SECONDS, "requests/s", load, None),
        Row("api_load_p99_ms", at(steady, 0.99), "ms to the answer", load, None),
        Row("api_load_memory_kb", steady.grown_kb, "kB grown in all", f"{load}, both processes", None),
        Row(
            "api_requests_per_s_per_core",
            full.answers / full.cpu_s,
            "requests/s of CPU",
            "client, gateway, store, runtime interface and handler together",
            None,
        ),
    ]


def at(load: Load, share: float) -> float:
    return load.latencies_ms[int(share * (len(load.latencies_ms) - 1))]
