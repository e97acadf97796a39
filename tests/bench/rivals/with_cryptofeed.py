"""Trades through cryptofeed's parsers as they are; CPU seconds and sums out.

On standard input the exchange's name on the first line, then its frames, one a line. Runs in a virtual environment of
its own, which knows nothing of this project.
"""

import asyncio
import json
import sys
import time

from cryptofeed.defines import TRADES
from cryptofeed.exchanges import Binance, Kraken
from cryptofeed.symbols import Symbols

ROUNDS = 3
VENUES = {"kraken": (Kraken, "BTC-USD", "XBT/USD"), "binance": (Binance, "BTC-USDT", "BTCUSDT")}


async def main() -> None:
    name, *frames = sys.stdin.read().splitlines()
    venue, symbol, spelled = VENUES[name]
    trades = []

    async def keep(trade, receipt_timestamp):
        trades.append(trade)

    # What it would ask the venue for.
    Symbols.set(venue.id, {symbol: spelled}, {"instrument_type": {symbol: "spot"}})
    feed = venue(symbols=[symbol], channels=[TRADES], callbacks={TRADES: keep})
    best = float("inf")
    for _ in range(ROUNDS):
        trades.clear()
        began = time.process_time()
        for frame in frames:
            await feed.message_handler(frame, None, 0.0)
        best = min(best, time.process_time() - began)
    print(json.dumps({"seconds": best, "trades": len(trades), "volume": str(sum(trade.amount for trade in trades))}))


asyncio.run(main())
