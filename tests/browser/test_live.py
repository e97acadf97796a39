"""Forecasts that come by themselves: over a channel that comes back when cut, and asked for where it is refused."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from local.session import Session
from tests.browser.conftest import Look

ASKED = re.compile(r"/v1/forecasts/BTC-USD\?")
NEXT_MINUTE_MS = 75_000


def fan(page: Page) -> str:
    return page.locator("#candles").get_attribute("data-fan") or ""


def shown(page: Page, way: str) -> None:
    expect(page.locator("#status")).to_have_text("Live")
    page.locator("#candles[data-fan]").wait_for()
    expect(page.locator("#feed")).to_contain_text(f"Forecasts come{way}", timeout=20_000)


def test_a_channel_that_is_cut_comes_back_and_brings_the_next_forecast(look: Look, session: Session) -> None:
    seen = look(session.served.key)
    page = seen.page
    shown(page, "as they are made")
    with page.expect_event("websocket") as again:
        assert session.stack.sockets.cut() >= 1
    assert again.value.url.startswith(session.stack.sockets.endpoint)
    shown(page, "as they are made")
    page.wait_for_timeout(1_000)  # the newest has been asked for, in case it was made meanwhile
    before, asked = fan(page), []
    page.on("request", lambda request: asked.append(request.url) if ASKED.search(request.url) else None)

    expect(page.locator("#candles")).not_to_have_attribute("data-fan", before, timeout=NEXT_MINUTE_MS)

    assert fan(page) > before
    assert asked == [], "it was asked for"
    assert session.get("/v1/forecasts/BTC-USD")["as_of"] == fan(page)
    assert seen.complaints == []


def test_where_it_is_refused_the_page_asks_as_before(look: Look, session: Session) -> None:
    session.stack.functions["connect_listeners"].stop()
    try:
        page = look(session.served.key).page
        shown(page, "when asked for")
        before = fan(page)

        expect(page.locator("#candles")).not_to_have_attribute("data-fan", before, timeout=NEXT_MINUTE_MS)
        expect(page.locator("#feed")).to_contain_text("Forecasts comewhen asked for")
    finally:
        session.stack.functions["connect_listeners"].start()


def test_no_other_channel_can_be_opened(look: Look, session: Session) -> None:
    seen = look(session.served.key)
    shown(seen.page, "as they are made")
    assert seen.complaints == []
    for other in ("wss://example.com", "ws://127.0.0.1:9", session.served.url.replace("http", "ws")):
        seen.page.evaluate(f"() => {{ try {{ new WebSocket({other!r}) }} catch {{ }} }}")
        seen.page.wait_for_timeout(200)

    told = " ".join(seen.complaints)
    assert told.count("connect-src") >= 3, told
