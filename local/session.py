"""`python -m local`: the whole system on this machine, from an empty table to forecasts over HTTP."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from rich.text import Text

from btc.aws.state import StateTable
from btc.aws.tables import BarTable
from btc.bars import Bar
from btc.settings import AggregateBars
from btc.times import DAY, MINUTE, SECOND, to_datetime
from btc.trades import Market
from local import pictures
from local.pipeline import Execution
from local.processes import tail
from local.running import announced
from local.screen import Phase, Screen
from local.stack import Served, Stack, StackError
from local.template import Assembly, synthesised

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PRESENT_S: Final = 150
"""History is filled once the feed is known to be alive up to this long ago: a minute has to close, and be written."""
FIRST_FORECAST_S: Final = 150.0
HISTORY_S: Final = 900.0
AGGREGATE: Final = "aggregate_bars"
READERS: Final = (
    "archive_bars",
    "archive_forecasts",
    "archive_trades",
    "forecast",
    "push_forecasts",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person may choose. Training is told to be quick: its defaults are for an hour on a machine of its own."""

    feed: str = "sim"
    once: bool = False
    picture: Path | None = None
    """Where to draw the first forecast."""
    history_days: int = 7
    ingest: Mapping[str, str] = field(default_factory=dict)
    """What the ingest task is told in place of what its container is."""
    parameters: Mapping[str, str] = field(
        default_factory=lambda: {"Trials": "2", "TestDays": "2", "TrainSeconds": "20"}
    )
    trackers: Mapping[str, str] = field(default_factory=dict)
    """The variables by which training/tracking.py is told where to keep trainings."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to."""

    trades: int
    bars: int
    gaps: int
    """Minutes between the first and the last bar that are absent or not proven complete."""
    model_version: str
    forecast: Mapping[str, Any]
    """The API's answer."""
    seconds: Mapping[str, float]
    """By phase."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "trades": self.trades,
            "bars": self.bars,
            "gaps": self.gaps,
            "model_version": self.model_version,
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
            "forecast": self.forecast,
        }


class Session:
    """The steps of a run, in order, on one stack."""

    def __init__(self, stack: Stack, options: Options, screen: Screen) -> None:
        self.stack = stack
        self.options = options
        self.screen = screen
        self.began = time.monotonic()
        self.served = Served("", "")
        self.invocations = ""

    def start(self) -> None:
        """Start every part and let history flow."""
        with self.screen.phase("synthesise the template"):
            assembly = synthesised()
        with self.screen.phase("start the emulator") as phase:
            phase.tell(self.stack.start_emulator().endpoint_url)
        self._deploy(assembly)
        simulated = self._start_exchange()
        with self.screen.phase("start functions and API") as phase:
            self.stack.start_functions(overrides=simulated)
            self.stack.start_deliveries(only=[AGGREGATE])
            self.served = self.stack.start_api()
            self.invocations = self.stack.start_invocations()
            phase.tell(self.served.url)
        with self.screen.phase(f"start the feed ({self.options.feed})"):
            days = {"HISTORY_DAYS": str(self.options.history_days)}
            self.stack.start_ingest({**days, **simulated, **self.options.ingest})

    def fill(self) -> None:
        """Wait until bars reach the present and the lake holds them. Raises StackError when they never do."""
        expected = self.options.history_days * DAY // MINUTE
        with self.screen.phase("fill history", expected) as phase:
            self._wait("history never reached the present", HISTORY_S, lambda: self._filled(phase, expected))
        # The readers of the bars begin when these are there: a mapping reads its stream from the beginning, in batches
        # as large as it may, where two hundred small ones would fight the writer for two cores.
        with self.screen.phase("write the lake", expected) as phase:
            self.stack.start_deliveries(only=READERS)
            self.stack.start_schedules()
            began = time.monotonic()
            self._wait("the lake was never written", HISTORY_S, lambda: self._archived(phase, began))

    def train(self) -> str:
        """Run the pipeline and tell of what it registered; the champion's version, or why there is none."""
        with self.screen.phase("train, gate, register") as phase:
            execution = self.stack.run_pipeline(self.options.parameters, phase.tell, self.options.trackers)
            [package] = execution.packages
            phase.tell(package.rsplit(":", 1)[1])
        with self.screen.phase("promote") as phase:
            heard = self.stack.announce(execution)
            champion = self.state().champion()
            if champion is None:
                phase.tell(f"rejected, the baseline serves: {'; '.join(_reasons(execution))}")
                return ""
            if not heard:
                raise StackError("a model was approved and no rule chose its event: compare the template's pattern")
            phase.tell(champion.model_version)
            return champion.model_version

    def first_forecast(self, version: str) -> dict[str, Any]:
        """Wait for a forecast over HTTP, by the champion where there is one. Raises StackError when none comes."""
        found: dict[str, Any] = {}

        def served() -> bool:
            answer = self.get(f"/v1/forecasts/{self.market.symbol}")
            made = answer["forecasts"]
            if made and (not version or any(forecast["model_version"] == version for forecast in made)):
                found.update(answer)
            return bool(found)

        with self.screen.phase("wait for the next minute"):
            self._wait("no forecast came over HTTP", FIRST_FORECAST_S, served)
        return found

    def summary(self, version: str, forecast: Mapping[str, Any]) -> Summary:
        bars = self.bars()
        span = (bars[-1].start - bars[0].start) // MINUTE + 1
        # The first minute began before the history asked for, and the last may still be open.
        whole = sum(bar.complete for bar in bars[1:-1])
        seconds = {**self.screen.timings, "total": time.monotonic() - self.began}
        trades = sum(bar.trade_count or 0 for bar in bars)
        return Summary(trades, len(bars), span - 2 - whole, version or "baseline", forecast, seconds)

    def stream(self) -> NoReturn:
        """Show the newest forecast until the run is interrupted. Raises what `Stack.check` raises."""
        with self.screen.status_line() as line:
            while True:
                self.stack.check()
                line.update(Text(self._status(), style="dim"))
                time.sleep(5)

    def get(self, path: str) -> dict[str, Any]:
        """An answer of the API; raises StackError on any that is not 200."""
        request = urllib.request.Request(self.served.url + path, headers={"x-api-key": self.served.key})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                document: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            body = error.read().decode("utf-8", "replace")
            words = tail(self.stack.log("api"))
            raise StackError(f"GET {path} was answered {error.code}: {body}\n{words}") from error
        return document

    @property
    def market(self) -> Market:
        return Market("kraken", "BTC-USD")

    def state(self) -> StateTable:
        return StateTable(self._settings().state_table, self._dynamodb)

    def bars(self) -> list[Bar]:
        now = time.time_ns() // 1000
        start = now - (self.options.history_days + 1) * DAY
        return BarTable(self._settings().bars_table, self._dynamodb).between(self.market, start, now)

    def _deploy(self, assembly: Assembly) -> None:
        with self.screen.phase("create the resources") as phase:
            deployed = self.stack.deploy(assembly, phase.tell)
            phase.tell(f"{len(deployed.resources)} resources of {assembly.stack}")

    def _start_exchange(self) -> dict[str, str]:
        """Where the simulated exchange is, for those who ask a venue; nothing where the real one is meant."""
        if self.options.feed != "sim":
            return {}
        with self.screen.phase("open the simulated exchange"):
            return self.stack.start_exchange(["--history-days", str(self.options.history_days + 1)])

    def _filled(self, phase: Phase, expected: int) -> bool:
        table = self._dynamodb.describe_table(TableName=self._settings().bars_table)["Table"]
        delivered = self.stack.deliveries[AGGREGATE].counters().delivered
        phase.count(min(table["ItemCount"], expected), expected, f"{table['ItemCount']} bars, {delivered} records")
        mark = self.state().watermark(self.market)
        return mark is not None and time.time_ns() // 1000 - mark.time < PRESENT_S * SECOND

    def _archived(self, phase: Phase, began: float) -> bool:
        """Whether the readers have been at their streams' tips since `began`."""
        deliveries = [self.stack.deliveries[name] for name in READERS]
        counters = deliveries[0].counters()
        phase.count(counters.delivered, detail=f"{counters.delivered} changes in {counters.invocations} batches")
        return all(delivery.idle(began) for delivery in deliveries)

    def _wait(self, what: str, limit_s: float, reached: Callable[[], bool]) -> None:
        """Until `reached`; a part that ends or gives up meanwhile is told of at once."""
        until = time.monotonic() + limit_s
        while not reached():
            self.stack.check()
            if time.monotonic() > until:
                names = ("ingest_trades", AGGREGATE, *READERS)
                logs = "\n".join(f"{name}:\n{tail(self.stack.log(name), 5)}" for name in names)
                raise StackError(f"{what} within {limit_s:.0f} s\n{logs}")
            time.sleep(0.5)

    def _status(self) -> str:
        answer = self.get(f"/v1/forecasts/{self.market.symbol}")
        made = answer["forecasts"]
        told = "  ".join(
            f"{each['horizon']} min {each['predicted_price']:,.0f} (p up {each['probability_up']:.0%})" for each in made
        )
        as_of = f"{to_datetime(time.time_ns() // 1000):%H:%M:%S} UTC"
        return f"{as_of}  {self.market}  {told}  · Ctrl-C stops"

    def _settings(self) -> AggregateBars:
        return AggregateBars.from_env(self.stack.functions[AGGREGATE].spec.environment)

    @cached_property
    def _dynamodb(self) -> DynamoDBClient:
        client: DynamoDBClient = self.stack.emulator.client("dynamodb")
        return client


def _reasons(execution: Execution) -> list[str]:
    """What the gate said, from the files its step left for the pipeline."""
    files = [file for step in execution.steps.values() for file in step.properties.get("PropertyFiles", {}).values()]
    return [reason for file in files for reason in file.get("reasons", ())]


def run(options: Options, screen: Screen) -> Summary:
    """A whole run; with `once` it ends with the first forecast and its summary, else by an interruption."""
    with Stack() as stack:
        try:
            return _follow(Session(stack, options, screen), options, screen)
        except KeyboardInterrupt:
            screen.say("stopping …")
            raise


def _follow(session: Session, options: Options, screen: Screen) -> Summary:
    session.start()
    endpoints = session.stack.emulator.endpoint_url, session.invocations
    # The template's own address and key are AWS's; here they are these.
    served = {"ApiUrl": session.served.url, "ApiKey": session.served.key}
    with announced(*endpoints, {**session.stack.deployed.outputs, **served}):
        return _see_through(session, options, screen)


def _see_through(session: Session, options: Options, screen: Screen) -> Summary:
    session.fill()
    version = session.train()
    forecast = session.first_forecast(version)
    screen.say(f"first forecast after {time.monotonic() - session.began:.0f} s")
    if options.picture:
        pictures.draw(session.get(f"/v1/bars/{session.market.symbol}"), forecast, options.picture)
        screen.say(f"drawn in {options.picture}")
    if not options.once:
        url, key = session.served.url, session.served.key
        screen.say(
            f"\npage  {url}/\nAPI   {url}\nkey   {key}\n\n  curl -H 'x-api-key: {key}' {url}/v1/forecasts/BTC-USD\n"
        )
        session.stream()
    return session.summary(version, forecast)
