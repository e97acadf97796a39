"""Puts back what a table has lost: bars from the lake, by the day, or any item from a copy of its table.

For a person. Killed at any moment, it may be started again: what is there already is left as it is. Exits 0 when all
is put back, 1 with the cause where it cannot be, or where nothing tells which of two items is newer.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from btc.aws import clients
from btc.aws.contention import ContendedError
from btc.aws.forecasts import day_of_forecast
from btc.aws.lake import Lake
from btc.aws.outputs import NoStackError, output
from btc.aws.restoring import put_back, restore_bars
from btc.aws.scores import ScoreTable
from btc.aws.state import StateTable
from btc.aws.tables import BarTable
from btc.settings import Settings, SettingsError
from btc.times import DAY, date, day_of, parse_iso
from btc.trades import Market

TABLES: Final = {"bars": "BarsTable", "forecasts": "ForecastsTable", "scores": "ScoresTable", "state": "StateTable"}
"""The stack's outputs that name them."""
_EPILOG: Final = """\
examples:
  bars  --stack PredictBitcoin --market kraken:BTC-USD --from 2026-10-01
  items --stack PredictBitcoin --table forecasts --copy forecasts-as-of-noon

Where it writes: BARS_TABLE, STATE_TABLE, RETENTION_DAYS and LAKE_BUCKET, or what --stack finds.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Restore(Settings):
    bars_table: str
    state_table: str
    lake_bucket: str
    retention_days: int


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Runs the command; returns its exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        if chosen.command == "bars":
            _bars(chosen, Restore.from_env(_deployed(chosen.stack) if chosen.stack else environment))
        elif not _items(chosen):
            return 1
    except (BotoCoreError, ClientError, ContendedError, NoStackError, SettingsError) as error:
        print(f"stopped: {error}", file=sys.stderr)
        return 1
    return 0


def _bars(chosen: argparse.Namespace, settings: Restore) -> None:
    now = time.time_ns() // 1000
    source = Lake(settings.lake_bucket, clients.s3())
    table = BarTable(settings.bars_table, clients.dynamodb())
    state = StateTable(settings.state_table, clients.dynamodb())
    expires = now + settings.retention_days * DAY
    first = day_of(now) - settings.retention_days * DAY if chosen.since is None else chosen.since
    kept = merged = 0
    for day in range(first, min(chosen.until or now, now), DAY):
        done = restore_bars(source, table, state, chosen.market, day, expires, tape_alone=chosen.tape_alone)
        kept, merged = kept + done.kept, merged + done.merged
        print(f"{date(day)}  {done.kept:,} bars of the lake, {done.merged:,} from {done.trades:,} trades of the tape")
    print(f"{kept + merged:,} writes to {settings.bars_table}")


def _items(chosen: argparse.Namespace) -> bool:
    """Whether all was decided."""
    client = clients.dynamodb()

    def named(table: str) -> str:
        return output(clients.cloudformation(), chosen.stack, TABLES[table]) if chosen.stack else table

    days: set[tuple[Market, int]] = set()
    note = (lambda item: days.add(day_of_forecast(item))) if chosen.table == "forecasts" else (lambda _: None)
    table = named(chosen.table)
    done = put_back(client, chosen.copy, table, now=time.time(), replace=chosen.replace, told=note)
    for market, day in sorted(days):
        ScoreTable(named("scores"), client).forget_marks(market, day)
    print(f"{done.added:,} items added to {table}, {done.replaced:,} replaced, {done.left:,} left as they are")
    for key in done.undecided:
        print(f"undecided: {key}: neither is newer; delete what is wrong, then start again", file=sys.stderr)
    return not done.undecided


def _deployed(stack: str) -> dict[str, str]:
    """The names the stack's outputs tell. Raises NoStackError."""
    told = output(clients.cloudformation(), stack, "FillHistoryEnvironment")
    lake = output(clients.cloudformation(), stack, "LakeBucket")
    return {**dict(pair.split("=", 1) for pair in told.split()), "LAKE_BUCKET": lake}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m functions.restore",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--stack", help="the deployed stack whose tables and lake are meant")
    commands = parser.add_subparsers(dest="command", required=True)
    bars = commands.add_parser("bars", parents=[common], help="a market's bars, from the lake's bars and its tape")
    bars.add_argument("--market", required=True, type=Market.parse, metavar="VENUE:SYMBOL")
    bars.add_argument("--from", dest="since", type=_day, metavar="DATE", help="default: as far as the table goes back")
    bars.add_argument("--until", type=_day, metavar="DATE", help="the day after the last; default: the present")
    bars.add_argument("--tape-alone", action="store_true", help="believe none of the lake's bars")
    items = commands.add_parser("items", parents=[common], help="any table's items, from a copy of it")
    items.add_argument("--table", required=True, help=f"{', '.join(TABLES)} of the stack, or a table's own name")
    items.add_argument("--copy", required=True, help="the table that was restored to a point in time")
    items.add_argument("--replace", action="store_true", help="put them over what differs and is not newer, too")
    return parser


def _day(text: str) -> int:
    return parse_iso(f"{text}T00:00:00Z")


if __name__ == "__main__":
    sys.exit(main())
