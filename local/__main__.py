"""The command line: `python -m local` runs the whole system, `replay` sends captures through it, `fill` the past, `ask`
asks its API, and `rebuild` compares a day of its lake with what the tape makes again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.table import Table

from btc.aws.contention import ContendedError
from btc.feeds.replay import CaptureError
from btc.times import parse_iso
from btc.trades import Market
from local import interrupts
from local import rebuild as rebuilding
from local import replay as replaying
from local.ask import ask
from local.delivery import DeliveryError
from local.fill import fill
from local.intrinsics import TemplateError
from local.lambdas import FunctionStoppedError
from local.pipeline import PipelineError
from local.processes import ProcessError
from local.running import NotRunningError
from local.screen import Screen
from local.session import Options, run
from local.stack import StackError
from local.template import ROOT, SynthesisError

FAILURES: Final = (
    CaptureError,
    ContendedError,
    DeliveryError,
    FunctionStoppedError,
    NotRunningError,
    PipelineError,
    ProcessError,
    StackError,
    SynthesisError,
    TemplateError,
    TimeoutError,
    rebuilding.LakeError,
    replaying.UnknownVenueError,
)
"""What ends a run with a reason instead of a trace."""


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Returns the exit status: 0, 1 with the reason on standard error or a difference, 130 when interrupted."""
    parser = _parser(environment)
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command not in ("ask", "fill"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    interrupts.heed()
    screen = Screen()
    try:
        return COMMANDS[options.command](options, screen)
    except KeyboardInterrupt:
        interrupts.heard()
        screen.say("stopped")
        return 130 if getattr(options, "once", False) else 0
    except FAILURES as error:
        screen.console.print(f"✗ {type(error).__name__}: {error}", style="red", markup=False, soft_wrap=True)
        return 1


def _run(options: argparse.Namespace, screen: Screen) -> int:
    trackers = {"MLFLOW_TRACKING_URI": f"sqlite:///{ROOT}/build/mlflow.db"}
    chosen = Options(feed=options.feed, once=options.once, picture=options.picture, trackers=trackers)
    if options.history_days is not None:
        chosen = replace(chosen, history_days=options.history_days)
    given = dict(options.parameter)
    summary = run(replace(chosen, parameters={**chosen.parameters, **given}), screen)
    print(json.dumps(summary.to_dict(), indent=2))
    return 0


def _replay(options: argparse.Namespace, screen: Screen) -> int:
    if missing := [str(path) for path in options.captures if not path.is_file()]:
        raise CaptureError(f"{', '.join(missing)}: no such file")
    place = options.bars.parent
    if options.bars.is_dir() or not place.is_dir() or not os.access(place, os.W_OK):
        raise CaptureError(f"{options.bars} cannot be written: name a file in a folder that is there")
    with screen.phase("replay") as phase:
        replayed = replaying.replay(options.venue, options.symbol, options.captures, phase.tell)
        phase.tell(str(replayed.market))
    replaying.write(replayed.bars, options.bars)
    table = Table("", str(replayed.market))
    for name, count in replayed.summary.items():
        table.add_row(name, f"{count:,}")
    screen.console.print(table)
    return 0


def _rebuild(options: argparse.Namespace, _screen: Screen) -> int:
    comparison = rebuilding.rebuild(options.lake, options.market, options.date, time.time_ns() // 1000)
    print(comparison)
    return 0 if comparison.equal else 1


def _fill(options: argparse.Namespace, _screen: Screen) -> int:
    return fill(options.rest)


def _ask(options: argparse.Namespace, _screen: Screen) -> int:
    return ask(options.rest)


COMMANDS: Final = {None: _run, "ask": _ask, "replay": _replay, "fill": _fill, "rebuild": _rebuild}


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument(
        "--feed",
        type=_feed,
        metavar="{sim,kraken}",
        default=environment.get("FEED") or "sim",
        help="the simulated exchange or the real one (FEED)",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        default=environment.get("ONCE", "") not in ("", "0"),
        help="end with the first forecast, as JSON (ONCE=1)",
    )
    parser.add_argument("--picture", type=Path, metavar="OUT.png", help="draw the first forecast")
    parser.add_argument("--history-days", type=int, help="how much history to fill and train on")
    parser.add_argument(
        "--parameter",
        action="append",
        type=_parameter,
        default=[],
        metavar="NAME=VALUE",
        help="of the pipeline, e.g. Trials=20",
    )
    commands = parser.add_subparsers(dest="command")
    replay = commands.add_parser("replay", help="send recorded captures through the real path")
    replay.add_argument("--venue", required=True)
    replay.add_argument("--symbol", required=True, help="canonical, as in BTC-USD")
    replay.add_argument("--bars", required=True, type=Path, metavar="OUT.parquet", help="where the bars go")
    replay.add_argument("captures", nargs="+", type=Path, help="frames a line, or a page of REST trades; may be .gz")
    rebuild = commands.add_parser("rebuild", help="make a day's bars again from the tape, and compare them")
    rebuild.add_argument("--lake", metavar="s3://BUCKET|FOLDER", help="instead of the running stack's")
    rebuild.add_argument("--market", required=True, type=Market.parse, metavar="VENUE:SYMBOL")
    rebuild.add_argument("--date", required=True, type=_date, metavar="YYYY-MM-DD", help="a day in UTC")
    # The command explains its arguments itself.
    commands.add_parser("fill", add_help=False, help="fill the running stack with a market's past")
    commands.add_parser("ask", add_help=False, help="ask the running stack's API, as `python -m btc.client` does")
    return parser


def _date(text: str) -> int:
    return parse_iso(f"{text}T00:00:00Z")


def _feed(text: str) -> str:
    # Checked as a type, since a default from the environment is, where choices are not.
    if text not in ("sim", "kraken"):
        raise argparse.ArgumentTypeError(f"there is no feed {text!r}: choose sim or kraken")
    return text


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
