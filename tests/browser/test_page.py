"""What a person meets: a key asked once, live data, and every kind of trouble told as what it is."""

from __future__ import annotations

import gzip
import io
import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from matplotlib.image import imread
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import Error as PlaywrightError

from btc.champions import Champion
from btc.tape import Watermark
from btc.times import MINUTE, SECOND, iso, parse_iso
from cdk.dashboard import SAFE, files
from local.session import Session
from tests.browser.conftest import Look, Looked, enter

MOST_BYTES = 300_000
FORECAST = {"light": (52, 80, 184)}
"""The colour of the median (--forecast)."""


class Watched(NamedTuple):
    """A page that was opened before all others, and the forecast it showed then."""

    page: Page
    as_of: str


@pytest.fixture(scope="module", autouse=True)
def watched(chromium: Browser, session: Session) -> Iterator[Watched]:
    with chromium.new_context() as context:
        page = ready(Looked(enter(context.new_page(), session, session.served.key)))
        page.evaluate("window.sameDocument = true")
        yield Watched(page, page.locator("#candles").get_attribute("data-fan") or "")


def ready(looked: Looked) -> Page:
    """Everything has been asked for and is shown."""
    expect(looked.page.locator("#status")).to_have_text("Live")
    for part in ("#candles[data-fan]", "svg.reliability", "table.skill", "#model dl", "#record-told:not(:empty)"):
        looked.page.locator(part).wait_for()
    return looked.page


def test_it_is_small() -> None:
    sizes = {path: len(gzip.compress(file.read_bytes())) for path, file in files().items()}

    assert len(sizes) == 4
    assert sum(sizes.values()) < MOST_BYTES


def test_before_the_first_bar_it_says_what_it_waits_for(beginning: str) -> None:
    for words in (
        "No feed yet",
        "No bars yet",
        "no forecast yet",
        "has been made yet",
        "has come due yet",
        "none has been promoted",
        "never",
    ):
        assert words in beginning


def test_it_loads_without_a_complaint_and_from_nowhere_else(look: Look, session: Session) -> None:
    seen = look()
    asked: list[str] = []
    seen.page.on("request", lambda request: asked.append(request.url))
    seen.page.get_by_label("Key", exact=True).fill(session.served.key)
    seen.page.get_by_role("button", name="Show the forecasts").click()
    ready(seen)

    assert seen.complaints == []
    assert asked
    assert not [url for url in asked if not url.startswith(session.served.url)]


def test_the_key_is_asked_once_and_kept_in_its_tab_alone(look: Look, session: Session) -> None:
    page = ready(look(session.served.key))
    page.reload()
    expect(page.locator("#status")).to_have_text("Live")

    assert page.locator("dialog").is_hidden()
    assert page.evaluate("Object.values(sessionStorage)") == [session.served.key]
    assert session.served.key not in page.evaluate("JSON.stringify(localStorage) + document.cookie + location.href")
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.get_by_role("dialog", name="API key")).to_be_visible()


def test_candles_and_fan_are_those_of_the_api(look: Look, session: Session) -> None:
    page = ready(look(session.served.key))
    told = session.get("/v1/forecasts/BTC-USD")
    expect(page.locator("#candles")).to_have_attribute("data-fan", told["as_of"])
    label = page.locator("#candles").get_attribute("aria-label") or ""
    bars = session.get("/v1/bars/BTC-USD")["bars"]
    expect(page.locator("#candles")).to_have_attribute("data-bars", bars[-1]["start"])

    for forecast in told["forecasts"]:
        assert f"{forecast['quantiles']['0.05']:,.1f} and {forecast['quantiles']['0.95']:,.1f}" in label
    box = page.locator("#candles").bounding_box()
    assert box
    drawn = imread(io.BytesIO(page.locator("#candles").screenshot()), format="png")[:, :, :3] * 255
    width = drawn.shape[1]
    columns = (abs(drawn - FORECAST["light"]).sum(axis=2) < 60).any(axis=0).nonzero()[0]
    assert len(columns) > width / 4, "the median is not drawn"
    assert columns.min() > width / 4, "the median begins before the last price"


def test_a_wrong_key_is_said_to_be_wrong(look: Look, session: Session) -> None:
    page = look("not-a-key").page
    expect(page.locator("#ask-error")).to_contain_text("This key was not accepted")
    assert page.evaluate("sessionStorage.length") == 0
    page.get_by_label("Key", exact=True).fill(session.served.key)
    page.keyboard.press("Enter")

    expect(page.locator("#status")).to_have_text("Live")


def test_an_api_that_is_down_is_shown_as_such_until_it_is_back(look: Look, session: Session) -> None:
    seen = look(session.served.key)
    page = ready(seen)
    session.stack.functions["api"].stop()
    try:
        expect(page.locator("#status")).to_have_text("API down", timeout=20_000)
        expect(page.locator("#banner")).to_contain_text("The API cannot be reached")
        assert page.locator("#price").inner_text(), "what was known is not shown any more"
    finally:
        session.stack.functions["api"].start()

    expect(page.locator("#status")).to_have_text("Live", timeout=20_000)
    expect(page.locator("#banner")).to_be_hidden()


def test_a_page_without_a_network_says_so(look: Look, session: Session) -> None:
    page = ready(look(session.served.key))
    page.context.set_offline(True)

    expect(page.locator("#status")).to_have_text("API down", timeout=20_000)


def test_keys_alone_are_enough(look: Look, session: Session) -> None:
    page = look(session.served.key).page
    ready(Looked(page))
    visited: list[str] = []

    def tab_to(place: str) -> None:
        for _ in range(12):
            page.keyboard.press("Tab")
            visited.append(page.evaluate("document.activeElement.id || document.activeElement.name"))
            if visited[-1] == place:
                assert page.evaluate("document.activeElement.matches(':focus-visible')")
                return
        pytest.fail(f"Tab does not reach {place}: {visited}")

    tab_to("theme")
    page.keyboard.press("Space")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    tab_to("horizon")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#record-of")).to_have_text("1 h ahead")
    tab_to("interval")
    page.keyboard.press("ArrowRight")
    assert page.locator("input[name=interval]:checked").get_attribute("value") == "5m"
    tab_to("candles")
    still = page.locator("#candles").screenshot()
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    assert page.locator("#candles").screenshot() != still
    tab_to("record")
    tab_to("days")
    page.keyboard.press("ArrowLeft")
    assert page.locator("input[name=days]:checked").get_attribute("value") == "1"
    page.locator("#forget").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#key")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="API key")).to_be_visible()


def test_the_choice_of_light_or_dark_stays(look: Look, session: Session) -> None:
    page = ready(look(session.served.key, color_scheme="dark"))
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button", name="Switch to light").click()
    page.reload()

    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_nothing_but_its_own_script_runs(look: Look, session: Session) -> None:
    seen = look()
    for attack in (
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = true'}))",
        "document.body.innerHTML += '<img src=x onerror=\"window.ran = true\">'",
        "return fetch('https://example.com').then(() => { window.ran = true })",
    ):
        try:
            seen.page.evaluate(f"() => {{ {attack} }}")
        except PlaywrightError as refused:
            seen.complaints.append(str(refused))

    assert seen.page.evaluate("window.ran") is None
    told = " ".join(seen.complaints)
    assert "TrustedScript" in told
    assert "TrustedHTML" in told
    assert "connect-src" in told


@pytest.mark.parametrize("path", ["/", "part"])
def test_its_headers_are_strict_and_let_parts_be_kept(path: str, session: Session) -> None:
    part = next(each for each in files() if each.endswith(".js"))
    with urllib.request.urlopen(session.served.url + (part if path == "part" else path)) as answer:
        headers = answer.headers

    assert {name: headers[name] for name in SAFE} == SAFE
    assert headers["Cache-Control"] == ("no-cache" if path == "/" else "public, max-age=31536000, immutable")
    again = urllib.request.Request(session.served.url + path, headers={"If-None-Match": headers["ETag"]})
    if path == "/":
        with pytest.raises(urllib.error.HTTPError) as unchanged:
            urllib.request.urlopen(again)
        assert unchanged.value.code == 304
        unchanged.value.close()


def test_a_new_minute_appears_without_a_reload(watched: Watched) -> None:
    candles = watched.page.locator("#candles")
    expect(candles).not_to_have_attribute("data-fan", watched.as_of, timeout=75_000)
    as_of = candles.get_attribute("data-fan") or ""
    # The bar that closed then is there, or the one that has begun since.
    shown = re.compile(f"^{iso(parse_iso(as_of) - MINUTE)}|^{as_of}")
    expect(candles).to_have_attribute("data-bars", shown, timeout=15_000)

    assert watched.page.evaluate("window.sameDocument")
    assert watched.as_of < as_of
    expect(watched.page.locator("#aloud")).to_contain_text(f"at {as_of[11:16]}")


def test_a_silent_feed_is_shown_as_stale_until_it_speaks(look: Look, session: Session) -> None:
    page = ready(look(session.served.key))
    feed = session.stack.processes["ingest_trades"].pid
    os.kill(feed, signal.SIGSTOP)
    try:
        session.stack.deliveries["aggregate_bars"].wait_idle(30)
        mark = session.state().watermark(session.market)
        assert mark
        _set_back(session, mark, 600 * SECOND)
        expect(page.locator("#status")).to_have_text("Stale", timeout=20_000)
        expect(page.locator("#banner")).to_contain_text("The feed has been silent for 10 min")
        expect(page.locator("#alert")).to_contain_text("silent")
    finally:
        os.kill(feed, signal.SIGCONT)

    expect(page.locator("#status")).to_have_text("Live", timeout=60_000)


def test_a_champion_is_told_with_how_it_was_tested(look: Look, session: Session) -> None:
    tested = {"crps_skill": 0.0123, "crps_skill_low": -0.004, "crps_skill_high": 0.0287, "coverage_90": 0.903}
    champion = Champion("2025-01-31-abcdef", "group/7", "s3://none", "2025-01-31T00:00:00Z", "2025-02-01T03:10:00Z")
    card = {
        "trained_from": "2024-01-01T00:00:00Z",
        "tested_from": "2025-01-24T00:00:00Z",
        "tested_until": "2025-01-31T00:00:00Z",
        "metrics": {"15": {**tested, "best_baseline": "har"}},
    }
    # Long expired, so that nobody opens its artefact: the baseline goes on serving.
    session.state().promote(champion, card)
    told = ready(look(session.served.key)).locator("#model").inner_text()

    for words in (
        "Baseline",
        "2025-01-31-abcdef",
        "group/7",
        "2024-01-01 – 2025-01-31",
        "2025-01-24 – 2025-01-31",
        "+1.2 % (−0.4 … +2.9) over har",
        "90.3 % of 90 %",
        "2025-02-01 03:10 UTC",
    ):
        assert words in told


def _set_back(session: Session, mark: Watermark, by: int) -> None:
    session.stack.emulator.client("dynamodb").update_item(
        TableName=session.stack.deployed.outputs["StateTable"],
        Key={"name": {"S": f"watermark:{mark.market}"}},
        UpdateExpression="SET alive_until = :until",
        ExpressionAttributeValues={":until": {"N": str(time.time_ns() // 1000 - by)}},
    )
