"""The API on the command line.

    python -m btc.client forecast BTC-USD

asks at BTC_API_URL with the key in BTC_API_KEY, or as --url and --key say; a key in an option can be read by others
on the same machine. Prints a table, or with --json what the API answered. Exits 1 with the reason where it refuses.
`watch` goes on until it is interrupted, with --json a line each.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from btc import answers
from btc.client import Api, ApiError, NoCredentialsError, Signer, UnreachableError, UnusableError, tables


def _forecast(api: Api, told: argparse.Namespace) -> answers.Answer:
    return api.forecasts(told.symbol, venue=told.venue)


def _history(api: Api, told: argparse.Namespace) -> answers.Answer:
    return api.history(told.symbol, told.horizon, limit=told.limit, cursor=told.cursor, venue=told.venue)


def _bars(api: Api, told: argparse.Namespace) -> answers.Answer:
    return api.bars(told.symbol, interval=told.interval, start=told.start, end=told.end, venue=told.venue)


def _scores(api: Api, told: argparse.Namespace) -> answers.Answer:
    return api.scores(told.symbol, venue=told.venue)


COMMANDS: Final[Mapping[str, Callable[[Api, argparse.Namespace], answers.Answer]]] = {
    "forecast": _forecast,
    "history": _history,
    "bars": _bars,
    "scores": _scores,
    "model": lambda api, _: api.model(),
    "health": lambda api, _: api.health(),
}


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Runs the command; returns its exit status."""
    parser = _parser(environment)
    told = parser.parse_args(arguments)
    if not told.url:
        parser.error("where is the API? set BTC_API_URL, or give --url https://…/live")
    try:
        signer = Signer.of(environment, told.url) if told.sign else None
        with Api(told.url, told.key, timeout_s=told.timeout, signer=signer) as api:
            if told.command == "watch":
                for answer in api.watch(told.symbol, venue=told.venue):
                    _print(answer, as_json=told.json, indent=-1)
            else:
                _print(COMMANDS[told.command](api, told), as_json=told.json)
    except (ApiError, NoCredentialsError, UnreachableError, UnusableError) as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _print(answer: answers.Answer, *, as_json: bool, indent: int = 2) -> None:
    if as_json:
        encoded = msgspec.json.Encoder(decimal_format="number").encode(answer)
        print(msgspec.json.format(encoded, indent=indent).decode(), flush=True)
    else:
        print("\n".join(tables.table(answer)), flush=True)


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m btc.client", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default=environment.get("BTC_API_URL", ""), help="the API's address (BTC_API_URL)")
    parser.add_argument("--key", default=environment.get("BTC_API_KEY", ""), help="an API key (BTC_API_KEY)")
    parser.add_argument(
        "--sign", action="store_true", help="with the IAM credentials in AWS_ACCESS_KEY_ID and the like"
    )
    parser.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS", help="to wait for an answer")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="what the API answered")
    market = argparse.ArgumentParser(add_help=False, parents=[shared])
    market.add_argument("symbol", help="as BTC-USD")
    market.add_argument("--venue", help="where a symbol is traded at several")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("forecast", parents=[market], help="the newest forecast of each horizon")
    commands.add_parser("watch", parents=[market], help="the same, as they are made")
    history = commands.add_parser("history", parents=[market], help="past forecasts with what came of them")
    history.add_argument("--horizon", type=int, default=5, help="minutes ahead: 1, 5, 15 or 60")
    history.add_argument("--limit", type=int, default=20)
    history.add_argument("--cursor", help="of the page before")
    bars = commands.add_parser("bars", parents=[market], help="bars, oldest first")
    bars.add_argument("--interval", help="1m, 5m, 15m, 1h, 4h or 1d")
    bars.add_argument("--start", metavar="TIME", help="as 2026-11-22T20:28:00Z")
    bars.add_argument("--end", metavar="TIME")
    commands.add_parser("scores", parents=[market], help="how forecasts have done")
    commands.add_parser("model", parents=[shared], help="the model that serves")
    commands.add_parser("health", parents=[shared], help="the age of each feed; needs no key")
    return parser


if __name__ == "__main__":
    sys.exit(main())
