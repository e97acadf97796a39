"""`python -m local.exchange`: opens the simulated exchange, prints where it listens, serves until told to stop."""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence

from btc.times import parse_iso
from local.exchange.floor import Floor, Scenario
from local.exchange.server import serving


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints one JSON line once ready; returns 0 on SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m local.exchange", description=__doc__)
    parser.add_argument("--seed", type=int, default=7, help="the market's seed")
    parser.add_argument("--symbols", default="BTC-USD", help="canonical symbols, separated by commas")
    parser.add_argument("--history-days", type=float, default=10, help="days traded before the clock starts")
    parser.add_argument("--speed", type=float, default=1, help="exchange seconds per second of life")
    parser.add_argument("--trades-per-minute", type=float, default=12, help="on average, for each symbol")
    parser.add_argument("--now", help="where the clock starts, ISO 8601 (default: the present)")
    parser.add_argument("--port", type=int, default=0, help="the WebSocket's port; 0 takes a free one")
    options = parser.parse_args(arguments)
    try:
        scenario = Scenario(
            seed=options.seed,
            symbols=tuple(options.symbols.split(",")),
            history_days=options.history_days,
            trades_per_minute=options.trades_per_minute,
            speed=options.speed,
            now=parse_iso(options.now) if options.now else time.time_ns() // 1000,
        )
        floor = scenario.open()
    except ValueError as error:
        parser.error(str(error))
    asyncio.run(_serve(floor, options.port))
    return 0


async def _serve(floor: Floor, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(floor, port=port) as addresses:
        print(json.dumps(addresses.to_dict()), flush=True)
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
