"""`python -m tests.events`: runs the local stack, and keeps one event of each function as a file.

So their shapes are those that the functions are really given. What differs from run to run only shows as a difference.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from websockets.sync.client import connect

from local.declarations import schedules
from local.lambdas import Function, Result
from local.schedules import scheduled_event
from local.screen import Screen
from local.session import Options, Session
from local.stack import Stack

BY_THE_CLOCK: Final = ("audit_bars", "score_forecasts")
APART: Final = ("api", "connect_listeners", *BY_THE_CLOCK)
"""Fed by no stream and no bus."""
LARGE: Final = 4000
LIMIT_S: Final = 180
API_PATHS: Final = {
    "api": "/v1/forecasts/BTC-USD",
    "api_bars": "/v1/bars/BTC-USD?interval=5m",
    "api_health": "/health",
    "api_model": "/v1/models/current",
    "api_scores": "/v1/scores/BTC-USD",
}


class Overheard:
    """The events of one function, as it is given them."""

    def __init__(self, function: Function) -> None:
        self.events: list[Mapping[str, Any]] = []
        self._invoke: Callable[[Mapping[str, Any]], Result] = function.invoke
        setattr(function, "invoke", self)  # noqa: B010 - mypy takes no assignment to a method

    def __call__(self, event: Mapping[str, Any]) -> Result:
        result = self._invoke(event)
        if not result.error:
            self.events.append(event)
        return result

    def short(self) -> dict[str, Any]:
        """The last event with no more than three of its records: the smallest, one between and the largest that is
        not large."""
        event = dict(self.events[-1])
        if "Records" in event:
            by_size = sorted(event["Records"], key=lambda record: len(json.dumps(record)))
            short = [record for record in by_size if len(json.dumps(record)) < LARGE]
            event["Records"] = [short[row] for row in sorted({0, len(short) // 2, len(short) - 1})]
        return event


def main() -> int:
    with Stack() as stack:
        heard: dict[str, Overheard] = {}
        start = stack.start_functions

        def started(*arguments: Any, **options: Any) -> None:
            start(*arguments, **options)
            heard.update({name: Overheard(function) for name, function in stack.functions.items()})

        setattr(stack, "start_functions", started)  # noqa: B010
        session = Session(stack, Options(once=True), Screen())
        session.start()
        session.fill()
        session.first_forecast(session.train())
        wait_for(heard)
        with connect(session.get("/v1/forecasts/BTC-USD/live")["url"], open_timeout=30):
            keep("connect_listeners", dict(heard["connect_listeners"].events[0]))
        for name, path in API_PATHS.items():
            session.get(path)
            keep(name, heard["api"].short())
        by_arn = {each.function_arn: each for each in schedules(stack.deployed)}
        for name in BY_THE_CLOCK:
            keep(name, scheduled_event(by_arn[stack.functions[name].spec.arn], datetime.now(UTC)))
    for name, overheard in heard.items():
        if name not in APART:
            keep(name, overheard.short())
    return 0


def wait_for(heard: Mapping[str, Overheard]) -> None:
    """Until every function that is fed has been given something: the next minute brings it."""
    deadline = time.monotonic() + LIMIT_S
    fed = [overheard for name, overheard in heard.items() if name not in APART]
    while not all(overheard.events for overheard in fed):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all functions were given an event within {LIMIT_S} s")
        time.sleep(1)


def keep(name: str, event: Mapping[str, Any]) -> None:
    Path(__file__).with_name(f"{name}.json").write_text(json.dumps(event, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
