"""The local stack with a day of history and a record of forecasts, and Chromium looking at its page."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from btc import serving
from btc.aws.forecasts import ForecastTable
from btc.aws.scores import ScoreTable, Tables, score_hours
from btc.aws.tables import BarTable
from btc.minutes import Minutes
from btc.times import DAY, HOUR, MINUTE, SECOND
from local.screen import Screen
from local.session import AGGREGATE, Options, Session
from local.stack import Stack
from local.template import synthesised

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    # Tests run as root, without a graphics card, where nothing but this machine can be reached.
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
RECORD = 2 * HOUR
"""How far back forecasts are made as they would have been."""
RETENTION_DAYS = 60
PATIENCE_S = 240.0


@dataclass(slots=True)
class Looked:
    """A page, and whatever it complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Run:
    """A running stack, and what its page said before there was anything to show."""

    session: Session
    beginning: str


Look = Callable[..., Looked]


@pytest.fixture(scope="session")
def run(chromium: Browser, screenshots: Path) -> Iterator[Run]:
    """Everything but training: the feed, the bars, the baseline's forecasts and their scores, the API and the page."""
    with Stack() as stack:
        session = Session(stack, Options(history_days=1), Screen())
        stack.start_emulator()
        stack.deploy(synthesised())
        simulated = stack.start_exchange(["--history-days", "2"])
        stack.start_functions(overrides=simulated)
        stack.start_deliveries(only=[AGGREGATE])
        session.served = stack.start_api()
        beginning = _beginning(chromium, session, screenshots)
        stack.start_ingest({"HISTORY_DAYS": str(session.options.history_days), **simulated})
        _wait(session, "history never reached the present", lambda: _is_fresh(session))
        _remember(session)
        stack.start_deliveries(only=["forecast", "push_forecasts"])
        stack.start_schedules()
        _wait(session, "no forecast came", lambda: bool(session.get("/v1/forecasts/BTC-USD")["forecasts"]))
        yield Run(session, beginning)


@pytest.fixture(scope="session")
def session(run: Run) -> Session:
    return run.session


@pytest.fixture(scope="session")
def beginning(run: Run) -> str:
    return run.beginning


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.skip("no Chromium here: `make browser` installs Debian's where it may")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=[*FLAGS])
        yield browser
        browser.close()


@pytest.fixture
def look(chromium: Browser, session: Session) -> Iterator[Look]:
    """Opens the page anew, as a person without a past would see it; with a key where `key` is given."""
    contexts: list[BrowserContext] = []

    def opened(key: str = "", **options: object) -> Looked:
        context = chromium.new_context(**{"viewport": {"width": 1320, "height": 900}, **options})
        contexts.append(context)
        looked = Looked(context.new_page())
        looked.page.on("console", partial(_hear, looked))
        looked.page.on("pageerror", lambda error: looked.complaints.append(str(error)))
        enter(looked.page, session, key)
        return looked

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where pictures go to be looked at."""
    place = Path(__file__).parents[2] / "build" / "screenshots"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _hear(looked: Looked, message: ConsoleMessage) -> None:
    if message.type in ("error", "warning"):
        looked.complaints.append(message.text)


def enter(page: Page, session: Session, key: str) -> Page:
    page.goto(f"{session.served.url}/")
    if key:
        page.get_by_label("Key", exact=True).fill(key)
        page.keyboard.press("Enter")
    return page


def _beginning(chromium: Browser, session: Session, screenshots: Path) -> str:
    with chromium.new_context() as context:
        page = context.new_page()
        enter(page, session, session.served.key)
        page.get_by_text("No feed yet").wait_for()
        page.get_by_text("none has been promoted").wait_for()
        page.get_by_text("has been made yet").wait_for()
        page.screenshot(path=screenshots / "beginning.png", full_page=True)
        return page.inner_text("body")


def _is_fresh(session: Session) -> bool:
    mark = session.state().watermark(session.market)
    return mark is not None and time.time_ns() // 1000 - mark.time < 20 * SECOND


def _remember(session: Session) -> None:
    """Makes the forecasts of the last hours from what was known at each of their minutes, and scores those now due."""
    outputs, client = session.stack.deployed.outputs, session.stack.emulator.client("dynamodb")
    tables = Tables(
        BarTable(outputs["BarsTable"], client),
        ForecastTable(outputs["ForecastsTable"], client),
        ScoreTable(outputs["ScoresTable"], client),
    )
    now = time.time_ns() // 1000
    minutes = Minutes.of_bars([bar for bar in tables.bars.between(session.market, now - DAY, now) if bar.closed])
    for last in range(len(minutes) - RECORD // MINUTE, len(minutes)):
        for forecast in serving.forecast(session.market, minutes[: last + 1], None):
            tables.forecasts.add(forecast, RETENTION_DAYS)
    hours = range(now - now % HOUR - RECORD, now, HOUR)
    score_hours(tables, session.market, hours, now, RETENTION_DAYS)


def _wait(session: Session, what: str, reached: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not reached():
        session.stack.check()
        assert time.monotonic() < until, what
        time.sleep(0.5)
