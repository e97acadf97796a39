"""What a person chooses: which past, of which market, from where."""

import argparse
from collections.abc import Sequence
from typing import Final

from btc.feeds import binance_dumps
from btc.feeds.binance_dumps import Kind
from btc.feeds.minute_files import FORMATS
from btc.times import parse_iso
from btc.trades import Market

_EPILOG: Final = """\
examples:
  rest  --market kraken:BTC-USD --from 2026-10-01
  rest  --market kraken:BTC-USD --from 2026-11-24T10:52:00Z --until 2026-11-24T11:03:00Z     a hole among bars
  dumps --market binance:BTC-USDT --from 2024-01-01 --until 2024-07-01
  dumps --market binance:BTC-USDT --from 2018-01-01 --until 2024-01-01 --kind klines
  files --market kraken:BTC-USD --format kraken-ohlcvt XBTUSD_1.csv

Where it writes: STREAM, BARS_TABLE, STATE_TABLE, RETENTION_DAYS and BYTES_PER_S, or what --stack finds.
Killed at any moment, it goes on where it was when it is started with the same arguments again.
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """`command` is rest, dumps or files; times in µs. Exits with what is wrong, as argparse does."""
    parser = argparse.ArgumentParser(
        prog="python -m functions.fill_history",
        description="Fill a market's bars and the lake with its past.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--market", required=True, type=_market, metavar="VENUE:SYMBOL")
    common.add_argument("--stack", help="the deployed stack whose stream and tables are filled")
    common.add_argument("--strict", action="store_true", help="end at the first row that cannot be read")
    common.add_argument("--again", action="store_true", help="from the beginning, whatever was done before")
    commands = parser.add_subparsers(dest="command", required=True)

    rest = commands.add_parser("rest", parents=[common], help="trades of the venue's REST history")
    rest.add_argument(
        "--from", dest="since", required=True, type=_time, metavar="TIME", help="2026-10-01, or with time"
    )
    rest.add_argument(
        "--until",
        type=_time,
        metavar="TIME",
        help="default: where the bars begin, else the present; of a hole, its end",
    )
    rest.add_argument("--url", default="", help="another server than the venue's own")

    dumps = commands.add_parser("dumps", parents=[common], help="Binance's public monthly and daily files")
    dumps.add_argument("--from", dest="since", required=True, type=_day, metavar="DATE", help="the first day")
    dumps.add_argument("--until", required=True, type=_day, metavar="DATE", help="the day after the last")
    dumps.add_argument("--kind", type=Kind, choices=list(Kind), default=Kind.TRADES)
    dumps.add_argument("--url", default=binance_dumps.URL, help="another server of the same files")

    files = commands.add_parser("files", parents=[common], help="minutes from Kraken's downloads or any CSV")
    files.add_argument("--format", required=True, choices=FORMATS, dest="form")
    files.add_argument("--from", dest="since", type=_time, default=0, metavar="TIME", help="leave out what is earlier")
    files.add_argument("--until", type=_time, metavar="TIME", help="leave out what begins then or later")
    files.add_argument("--utc", action="store_true", help="times that name no zone are UTC; else they are refused")
    files.add_argument("files", nargs="+", metavar="FILE", help="CSV, or one as .gz or .zip; a path or an address")

    chosen = parser.parse_args(arguments)
    if chosen.until is not None and chosen.until <= chosen.since:
        parser.error("--until must lie behind --from")
    if chosen.command == "dumps" and chosen.market.venue != "binance":
        parser.error(f"the dumps are Binance's, not {chosen.market.venue}'s")
    return chosen


def _market(text: str) -> Market:
    try:
        return Market.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _time(text: str) -> int:
    try:
        return parse_iso(text if "T" in text or " " in text else f"{text}T00:00:00Z")
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: {error}") from None


def _day(text: str) -> int:
    if "T" in text or " " in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no day: the files are of whole UTC days, as in 2024-08-08")
    return _time(text)
