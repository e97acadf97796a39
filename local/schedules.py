"""EventBridge's schedules on this machine: functions invoked when the template's expressions say so."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from local.declarations import Schedule
from local.events import ATTEMPTS
from local.intrinsics import TemplateError
from local.lambdas import FunctionStoppedError, Invoke, Result

_RATE: Final = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_CRON: Final = re.compile(r"cron\(([^)]*)\)")
_STEP: Final = re.compile(r"(?P<range>\*|\d+(-(?P<last>\d+))?)(/(?P<step>\d+))?")
_LIMITS: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (1970, 2199))
"""Of minutes, hours, days of the month, months, days of the week (1 is Sunday) and years."""
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FARTHEST: Final = timedelta(days=4 * 366)

Next = Callable[[datetime], datetime]
"""The first time of a schedule after the one given; both UTC."""


def compile_expression(expression: str, began: datetime) -> Next:
    """The times of `rate(…)`, counted from `began`, or `cron(…)`; raises TemplateError on any other expression."""
    if rate := _RATE.fullmatch(expression):
        period = timedelta(**{f"{rate[2]}s": int(rate[1])})
        return lambda moment: began + ((moment - began) // period + 1) * period
    cron = _CRON.fullmatch(expression)
    fields = cron[1].split() if cron else []
    if len(fields) != len(_LIMITS):
        raise TemplateError(f"{expression!r} is no schedule that runs here: write rate(…) or cron(…) of six fields")
    minutes, hours, days, months, weekdays, years = (
        _values(text, limits, expression) for text, limits in zip(fields, _LIMITS, strict=True)
    )

    def following(moment: datetime) -> datetime:
        at = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        while at - moment < _FARTHEST:
            if at.year not in years or at.month not in months or at.day not in days or _weekday(at) not in weekdays:
                at = at.replace(hour=0, minute=0) + timedelta(days=1)
            elif at.hour not in hours:
                at = at.replace(minute=0) + timedelta(hours=1)
            elif at.minute not in minutes:
                at += timedelta(minutes=1)
            else:
                return at
        raise TemplateError(f"{expression!r} does not come to pass in four years")

    return following


def _weekday(moment: datetime) -> int:
    return moment.isoweekday() % 7 + 1


def _values(text: str, limits: tuple[int, int], expression: str) -> frozenset[int]:
    """What a field of a cron expression stands for."""
    low, high = limits
    names = _MONTHS if high == 12 else _DAYS if high == 7 else ()
    for number, name in enumerate(names, 1):
        text = text.upper().replace(name, str(number))
    found: set[int] = set()
    for part in text.replace("?", "*").split(","):
        match = _STEP.fullmatch(part)
        if match is None:
            raise TemplateError(f"{expression!r}: {part!r} is not known here")
        every = match["range"] == "*"
        first = low if every else int(match["range"].partition("-")[0])
        last = int(match["last"]) if match["last"] else high if every or match["step"] else first
        found.update(range(first, last + 1, int(match["step"] or 1)))
    if not found or min(found) < low or max(found) > high:
        raise TemplateError(f"{expression!r}: {text!r} lies outside {low}-{high}")
    return frozenset(found)


@dataclass(slots=True)
class Scheduler:
    """Invokes each schedule's function at its times, one thread a schedule, from `start` to `stop`."""

    schedules: Sequence[Schedule]
    functions: Mapping[str, Invoke]
    """By ARN."""
    clock: Callable[[], float] = time.time
    results: dict[str, Result] = field(default_factory=dict)
    """The last answer by the schedule's name."""
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> Self:
        """Raises TemplateError on an expression that cannot run here."""
        began = self._now()
        for schedule in self.schedules:
            arguments = (schedule, compile_expression(schedule.expression, began))
            thread = threading.Thread(target=self._run, args=arguments, name=schedule.name, daemon=True)
            self._threads.append(thread)
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Nothing is invoked any more; what is under way ends with its function, which may take minutes."""
        self._stopping.set()

    def _run(self, schedule: Schedule, following: Next) -> None:
        due = following(self._now())
        while not self._stopping.wait(min(max(due.timestamp() - self.clock(), 0), 1.0)):
            if self._now() >= due:
                self._invoke(schedule, due)
                # What fell due meanwhile is not made up for.
                due = following(max(due, self._now()))

    def _invoke(self, schedule: Schedule, due: datetime) -> None:
        event = scheduled_event(schedule, due)
        for _ in range(ATTEMPTS):
            try:
                result = self.functions[schedule.function_arn](event)
            except FunctionStoppedError:
                return
            self.results[schedule.name] = result
            if result.error is None:
                return

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)


def scheduled_event(schedule: Schedule, due: datetime) -> dict[str, Any]:
    """What EventBridge Scheduler sends where the schedule says nothing of its own."""
    _, _, _, region, account, _ = schedule.function_arn.split(":", 5)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": account,
        "time": due.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [f"arn:aws:scheduler:{region}:{account}:schedule/default/{schedule.name}"],
        "detail": "{}",
    }
