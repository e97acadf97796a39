"""`make faults`: SCHEDULES schedules from seed SEED on, over all cores, and STACK more on the local stack."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

from tests.faults import schedules, stack
from tests.faults.faults import KINDS
from tests.faults.grounds import Grounds
from tests.faults.laws import Verdict
from tests.faults.schedules import Outcome
from tests.faults.world import FATAL

USUAL = {"SCHEDULES": 1000, "SEED": 1, "STACK": 20}
LIMIT_S = 60
"""A schedule takes a fraction of a second: one that takes so long does not end."""


def attempt(run: Callable[[int], Outcome], seed: int) -> Outcome:
    """The schedule's outcome; one that dies has broken the law, and the others go on."""
    try:
        return run(seed)
    except FATAL as error:
        return Outcome(seed, "unknown", Verdict(unproven=1, notes=[f"the schedule ended on {error!r}"]), Counter(), 0)


def in_process(seed: int) -> Outcome:
    """A schedule on the virtual clock; one that does not end has broken the law."""
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(LIMIT_S)
    try:
        return attempt(schedules.run, seed)
    finally:
        signal.alarm(0)


def _give_up(*_: object) -> None:
    raise TimeoutError(f"no end within {LIMIT_S} s")


def progress(outcomes: Iterable[Outcome], total: int) -> Iterator[Outcome]:
    """The outcomes, told of once a second."""
    began = told = time.monotonic()
    broken = 0
    for number, outcome in enumerate(outcomes, 1):
        broken += not outcome.verdict.holds
        if number == total or time.monotonic() - told >= 1:
            told = time.monotonic()
            line = f"{number}/{total} schedules, {broken} broke the law, {told - began:.0f} s"
            print(line, end="\n" if number == total else "\r", file=sys.stderr, flush=True)
        yield outcome


def tell_faults(outcomes: Sequence[Outcome]) -> None:
    """How often each fault struck, and in how many schedules."""
    strikes = sum((outcome.struck for outcome in outcomes), Counter[str]())
    drawn = Counter(kind for outcome in outcomes for kind, times in outcome.struck.items() if times)
    print(f"{'fault':40}{'schedules':>10}{'strikes':>10}")
    for kind in dict.fromkeys([*KINDS, *sorted(strikes)]):
        if strikes[kind]:
            print(f"{kind:40}{drawn[kind]:10}{strikes[kind]:10}")
    venues = Counter(outcome.venue for outcome in outcomes)
    print(", ".join(f"{venue} {times}" for venue, times in venues.most_common()))


def tell_broken(outcomes: Iterable[Outcome], again: str) -> None:
    """Which seeds broke the law, how, and how to see one of them again."""
    for outcome in outcomes:
        if outcome.verdict.holds:
            continue
        verdict = outcome.verdict
        print(f"seed {outcome.seed} ({outcome.venue}): {tally([outcome])}; {again.format(seed=outcome.seed)}")
        for note in verdict.notes[:5]:
            print(f"    {note}")


def tally(outcomes: Sequence[Outcome]) -> str:
    sums = {name: sum(getattr(one.verdict, name) for one in outcomes) for name in ("lost", "twice", "unproven")}
    return ", ".join(f"{name} {number}" for name, number in sums.items())


def on_the_virtual_clock(first: int, many: int) -> list[Outcome]:
    with ProcessPoolExecutor() as pool:
        outcomes = list(progress(pool.map(in_process, range(first, first + many), chunksize=5), many))
    tell_faults(outcomes)
    tell_broken(outcomes, "again: SEED={seed} SCHEDULES=1 STACK=0 make faults")
    return outcomes


def on_the_local_stack(first: int, many: int) -> list[Outcome]:
    logging.getLogger("local").setLevel(logging.ERROR)  # a delivery tells of each read that was torn
    # They mostly wait: one more than there are cores.
    with Grounds() as grounds, ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        run = partial(attempt, partial(stack.run, grounds))
        outcomes = list(progress(pool.map(run, range(first, first + many)), many))
    tell_faults(outcomes)
    tell_broken(outcomes, "the same blows again: SEED={seed} SCHEDULES=0 STACK=1 make faults")
    print(f"{many} schedules on the local stack: {tally(outcomes)}")
    return outcomes


def main() -> int:
    """Exit status 0 where the law held for every seed."""
    try:
        many, first, real = (int(os.environ.get(name) or usual) for name, usual in USUAL.items())
    except ValueError as error:
        sys.exit(f"{', '.join(USUAL)} are whole numbers: {error}")
    if many + real <= 0:
        sys.exit("no schedule is asked for: give SCHEDULES or STACK")
    outcomes = on_the_virtual_clock(first, many) if many else []
    if real:
        outcomes += on_the_local_stack(first, real)
    print(f"{many or real} schedules: {tally(outcomes)}")
    return 0 if all(outcome.verdict.holds for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
