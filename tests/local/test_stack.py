"""The whole system on this machine: trades become bars, bars a registered model, and forecasts come over HTTP."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from btc import correlation
from btc.times import MINUTE, date, minute_of, parse_iso
from local.screen import Screen
from local.session import Options, Session, Summary
from local.stack import Stack
from tests.local.living import children
from tests.local.policies import ANYWHERE, BY_HAND, NARROWED, Right, Rights, asked, loosened, refused

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(900)]

QUICK = Options(once=True, history_days=6, parameters={"Trials": "1", "TestDays": "0.7", "TrainSeconds": "20"})
"""Less of everything than `make local` takes, and the same ways."""


@dataclass(frozen=True)
class Run:
    """What one run came to, seen while it still served."""

    summary: Summary
    session: Session


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    before = children()
    with Stack() as stack:
        session = Session(stack, QUICK, Screen())
        session.start()
        session.fill()
        version = session.train()
        forecast = session.first_forecast(version)
        yield Run(session.summary(version, forecast), session)
        folder = stack.folder
    assert children() == before, "processes are left behind"
    assert not folder.exists()


def test_every_minute_of_history_is_there_and_proven(run: Run) -> None:
    assert run.summary.bars >= QUICK.history_days * 1440 - 2
    assert run.summary.gaps == 0
    assert run.summary.trades > 10_000


def test_a_forecast_tells_what_is_promised(run: Run) -> None:
    answer = run.summary.forecast
    assert {each["horizon"] for each in answer["forecasts"]} == {1, 5, 15, 60}
    for each in answer["forecasts"]:
        prices = list(each["quantiles"].values())
        assert each["symbol"] == "BTC-USD"
        assert each["as_of"] < each["target_time"]
        assert prices == sorted(prices)
        assert each["predicted_price"] == each["quantiles"]["0.50"]
        assert each["reference_price"] > 0
        assert 0 < each["probability_up"] < 1
        assert each["model_version"]
        assert isinstance(each["baseline"], bool)


def test_a_forecast_is_scored_when_its_minute_is_over(run: Run) -> None:
    until = time.monotonic() + 120
    while not (scored := run.session.get("/v1/scores/BTC-USD"))["as_of"]:
        run.session.stack.check()
        assert time.monotonic() < until, "no forecast got its outcome"
        time.sleep(1)

    one = next(each for each in scored["horizons"] if each["horizon"] == 1)
    day = one["windows"][0]["overall"]
    assert day["forecasts"] >= 1
    assert set(day["skill"]) == {"naive", "ewma", "har"}
    assert 0 <= day["coverage_90"] <= 1
    assert day["loss_bp"] > 0
    assert one["model_version"] in {each["model_version"] for each in run.summary.forecast["forecasts"]}


def test_one_id_leads_from_the_feed_to_what_became_of_a_forecast(run: Run) -> None:
    """An answer tells its minute; all logs name it, each in a line that tells what was done with it."""
    # The minute in which the first forecast is proven right or wrong: the feed was there when it began.
    stack, begins = run.session.stack, parse_iso(run.summary.forecast["as_of"])
    [minute] = correlation.minutes([(run.session.market, begins)])
    # A batch may hold more minutes than a line names: it names their day.
    names = {minute, f"{run.session.market} {date(begins)}"}
    done = {
        "ingest_trades": "ingested",
        **dict.fromkeys(("archive_trades", "archive_bars", "archive_forecasts"), "archived"),
        "aggregate_bars": "aggregated",
        "forecast": "forecast",
        "score_forecasts": "scored",
        "push_forecasts": "pushed",
    }
    until = time.monotonic() + 240
    while left := {name for name, what in done.items() if not _told(stack.log(name), what, names)}:
        stack.check()
        assert time.monotonic() < until, f"{minute} is not in the logs of {', '.join(sorted(left))}"
        time.sleep(1)


def _told(log: Path, message: str, names: set[str]) -> list[dict[str, Any]]:
    """The structured lines that bear one of the names; a function that has not run yet has no log."""
    if not log.exists():
        return []
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{") and "minutes" in line]
    return [line for line in lines if line.get("message") == message and names & set(line.get("minutes", ()))]


def test_the_model_that_trained_is_in_the_registry(run: Run) -> None:
    client = run.session.stack.emulator.client("sagemaker")

    [package] = client.list_model_packages(ModelPackageGroupName="predict-bitcoin-local")["ModelPackageSummaryList"]

    assert package["ModelApprovalStatus"] in ("Approved", "Rejected")
    champion = run.session.state().champion()
    assert (champion is not None) == (package["ModelApprovalStatus"] == "Approved")


@pytest.fixture(scope="module")
def pushed(run: Run) -> tuple[str, Any, Any]:
    """As of when the newest forecast was before, what then was pushed, and what the API tells of it.

    While it comes, the functions that let listeners in and post to them show what they need to be allowed.
    """
    before = run.session.get("/v1/forecasts/BTC-USD")["as_of"]
    with connect(run.session.get("/v1/forecasts/BTC-USD/live")["url"], open_timeout=30) as client:
        message = json.loads(client.recv(timeout=150))
    return before, message, run.session.get("/v1/forecasts/BTC-USD")


def test_a_forecast_is_pushed_as_it_is_made(pushed: tuple[str, Any, Any]) -> None:
    before, message, answer = pushed

    assert message["as_of"] > before
    assert message["forecasts"] == answer["forecasts"]


def test_without_a_key_nothing_is_told(run: Run) -> None:
    status, kind, problem = _get(run, "/v1/forecasts/BTC-USD", key="")

    assert status == 403
    assert kind == "application/problem+json"
    assert problem["status"] == 403
    assert problem["request_id"]


def test_an_unknown_symbol_is_a_problem(run: Run) -> None:
    status, kind, problem = _get(run, "/v1/forecasts/DOGE-USD", key=run.session.served.key)

    assert status == 404
    assert kind == "application/problem+json"
    assert problem["title"]
    assert "DOGE-USD" in problem["detail"]


def test_an_ingest_task_that_is_killed_is_replaced_and_leaves_no_hole(run: Run) -> None:
    stack, before = run.session.stack, run.session.state().watermark(run.session.market)
    assert before is not None
    os.kill(stack.processes["ingest_trades"].pid, signal.SIGKILL)
    killed = time.time_ns() // 1000

    until = time.monotonic() + 120
    while (mark := run.session.state().watermark(run.session.market)) is None or mark.time < minute_of(killed) + MINUTE:
        stack.check()
        assert time.monotonic() < until, "the feed did not come back"
        time.sleep(0.5)

    stack.deliveries["aggregate_bars"].wait_idle(30)
    since = [bar for bar in run.session.bars() if before.time - MINUTE < bar.start < killed]
    assert since
    assert all(bar.complete for bar in since)


def _get(run: Run, path: str, key: str) -> tuple[int, str, dict[str, Any]]:
    request = urllib.request.Request(run.session.served.url + path, headers={"x-api-key": key} if key else {})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    with refused.value as error:
        return error.code, error.headers["Content-Type"].split(";")[0], json.load(error)


@pytest.fixture(scope="module")
def rights(run: Run, pushed: tuple[str, Any, Any]) -> Rights:
    """Told once, when all has been called: what asks compares them and calls nothing."""
    return asked(run.session)


def test_no_role_is_wider_or_narrower_than_the_calls_of_its_code(rights: Rights) -> None:
    stack, granted, calls, idle = rights

    assert not refused(granted, calls), "called and not granted"
    assert not idle(granted), "granted and never called: take it away, or say why in policies.RARE"
    assert not loosened(granted), "a part of a table was granted, and now the whole is: see policies.NARROWED"
    # Where the gate rejects the first model, nobody is asked to promote it.
    assert {call.caller for call in calls} >= {*stack.functions, "ingest_trades"} - {"promote_model"}


@pytest.mark.parametrize("caller", ["api", "archive_bars", "ingest_trades"])
def test_a_widened_grant_and_a_missing_one_are_found(caller: str, rights: Rights) -> None:
    _, granted, calls, idle = rights
    [table, *_] = sorted(right.resource for right in granted if right.action == "dynamodb:Query")
    wider = Right(caller, "dynamodb:DeleteItem", table)
    needed = next(right for right in sorted(granted) if right.caller == caller and any(map(right.covers, calls)))

    assert idle({*granted, wider}) == [wider]
    assert {(call.caller, call.action) for call in refused(granted - {needed}, calls)} == {(caller, needed.action)}


def test_a_right_on_more_than_was_asked_for_is_found_whoever_has_it(rights: Rights) -> None:
    """Those that a run does not use and those that AWS uses too; fill_history's are told elsewhere."""
    _, granted, _, idle = rights
    narrow = {right for right in granted if right.resource != "*" and right.caller not in BY_HAND}
    for right in narrow:
        head = right.resource.partition("/")[0]
        for place in {"*", f"{head}*", f"{head}/*"} - {right.resource}:
            wider = replace(right, resource=place)
            if (right.action, place) != (ANYWHERE, "*"):
                assert wider in idle({*granted, wider} - {right}), wider


def test_a_dropped_condition_is_found(rights: Rights) -> None:
    _, granted, _, _ = rights
    narrowed = {right for right in granted if right.condition}

    assert {right.named for right in narrowed} >= set(NARROWED)
    for right in narrowed:
        dropped = replace(right, condition="")
        assert loosened({*granted, dropped} - {right}) == [dropped]
