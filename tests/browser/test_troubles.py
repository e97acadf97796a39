"""Trouble that is told once and as what it is: quotas, parts that fail alone, forecasts that never came, signatures."""

from __future__ import annotations

import json
import re
import time
from email.utils import formatdate
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from btc import openapi
from btc.problems import CONTENT_TYPE, Problem
from cdk.problems import PROBLEMS
from local.session import Session
from tests.browser.conftest import Look

SCORES = re.compile(r"/v1/scores/")
SEEN = """() => {
  const status = document.getElementById("status");
  window.seen = [status.textContent];
  new MutationObserver(() => window.seen.push(status.textContent)).observe(status, { childList: true });
}"""


def refusing(problem: Problem, **headers: str) -> Any:
    """A route's handler that answers as the API refuses; what it was asked is in its `asked`."""
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        body = problem.to_json("/live/v1", "request-1")
        route.fulfill(status=problem.status, headers=headers, content_type=CONTENT_TYPE, body=body)

    refuse.asked = asked  # type: ignore[attr-defined]
    return refuse


def opened(look: Look, session: Session, pattern: re.Pattern[str], handler: Any) -> Page:
    """The page with a key, where what `pattern` matches is answered by `handler`."""
    page = look().page
    page.route(pattern, handler)
    page.get_by_label("Key", exact=True).fill(session.served.key)
    page.keyboard.press("Enter")
    return page


@pytest.mark.parametrize("told", ["seconds", "date"])
def test_a_quota_that_is_used_up_is_told_as_that_and_not_asked_against(told: str, look: Look, session: Session) -> None:
    quota = PROBLEMS["QUOTA_EXCEEDED"]
    wait = str(quota.retry_after_s) if told == "seconds" else formatdate(time.time() + 3600, usegmt=True)
    refuse = refusing(Problem(429, quota.title, quota.detail or ""), **{"Retry-After": wait})
    page = opened(look, session, SCORES, refuse)

    expect(page.locator("#status")).to_have_text("Quota used up")
    expect(page.locator("#banner")).to_contain_text("This key has used up its requests for today (UTC).")
    page.wait_for_timeout(4_000)
    assert len(refuse.asked) == 1


@pytest.mark.parametrize("wish", ["soon", ""])
def test_a_wish_that_cannot_be_read_is_no_reason_to_ask_without_a_pause(
    wish: str, look: Look, session: Session
) -> None:
    refuse = refusing(Problem(429, "Too Many Requests", "wait"), **{"Retry-After": wish})
    page = opened(look, session, SCORES, refuse)

    expect(page.locator("#status")).to_have_text("Slowed down")
    page.wait_for_timeout(3_000)
    assert 1 <= len(refuse.asked) <= 3


def test_a_part_that_fails_alone_is_named_and_the_others_do_not_hide_it(look: Look, session: Session) -> None:
    page = opened(look, session, SCORES, refusing(Problem(500, "Internal Server Error", "")))
    expect(page.locator("#status")).to_have_text("Incomplete", timeout=15_000)
    expect(page.locator("#banner")).to_contain_text("scores")
    page.evaluate(SEEN)
    page.wait_for_timeout(12_000)  # prices are asked for twice, with success

    assert page.evaluate("window.seen") == ["Incomplete"]
    page.unroute(SCORES)
    expect(page.locator("#status")).to_have_text("Live", timeout=20_000)


def test_what_a_firewall_refuses_does_not_cost_the_key(look: Look, session: Session) -> None:
    refused = PROBLEMS["WAF_FILTERED"]
    bars = re.compile(r"/v1/bars/")
    page = opened(look, session, bars, refusing(Problem(403, refused.title, refused.detail or "")))

    expect(page.locator("#status")).to_have_text("Refused")
    expect(page.locator("#banner")).to_contain_text("The firewall refuses this request.")
    assert page.evaluate("Object.values(sessionStorage)") == [session.served.key]
    page.unroute(bars)
    expect(page.locator("#status")).to_have_text("Live", timeout=20_000)


def test_it_is_not_live_before_a_forecast_has_come(look: Look, session: Session) -> None:
    def none_yet(route: Route) -> None:
        if "/live?" in route.request.url:
            route.fulfill(status=404, content_type=CONTENT_TYPE, body=Problem(404, "Not Found", "").to_json("/", "r"))
        elif "/history?" in route.request.url:
            route.continue_()
        else:
            route.fulfill(json={"symbol": "BTC-USD", "venue": "kraken", "as_of": None, "forecasts": []})

    page = opened(look, session, re.compile(r"/v1/forecasts/"), none_yet)

    expect(page.locator("#status")).to_have_text("No forecasts")
    expect(page.locator("#banner")).to_contain_text("no forecast has been made yet")


def test_where_requests_have_to_be_signed_no_key_is_asked_for(look: Look, session: Session) -> None:
    page = look(viewport={"width": 390, "height": 844}).page
    signed = json.dumps(openapi.document(signed=True, root="/live"))
    page.route("**/openapi.json", lambda route: route.fulfill(content_type="application/json", body=signed))
    page.reload()

    expect(page.locator("#status")).to_have_text("Not for browsers")
    expect(page.locator("#banner")).to_contain_text("python -m btc.client --sign")
    expect(page.get_by_role("dialog", name="API key")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than a phone"
