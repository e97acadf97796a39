"""The trades that are measured with: a recorded session, or, without the recording, trades drawn to look alike."""

import gzip
import json
import random
from pathlib import Path
from typing import Final

from btc.trades import Market, Trade
from btc.units import to_units

MARKET: Final = Market("binance", "BTC-USDT")
_DATA: Final = Path(__file__).parents[3] / "shared/data"
BARS: Final = _DATA / "bars"
"""Two and a half years of recorded minutes."""
_CAPTURE: Final = _DATA / "wire/binance_spot_btcusdt_20240808.gz"


def recorded(count: int) -> list[Trade]:
    """The session's first trades, the session over again where they are not enough."""
    if not _CAPTURE.exists():
        return drawn(count)
    trades = []
    with gzip.open(_CAPTURE, "rt") as lines:
        for line in lines:
            said = json.loads(line.partition(" ")[2])["data"] if line.strip() else {}
            if said.get("e") == "trade":
                price, size = to_units(said["p"]), to_units(said["q"])
                trades.append(Trade(MARKET, said["t"], said["T"] * 1000, price, size, not said["m"]))
    while len(trades) < count:
        span = trades[-1].time - trades[0].time + 1
        trades += [trade._replace(trade_id=trade.trade_id + len(trades), time=trade.time + span) for trade in trades]
    return trades[:count]


def drawn(count: int) -> list[Trade]:
    source = random.Random(7)
    time = 1_723_161_254_000_000
    trades = []
    for row in range(count):
        time += round(source.expovariate(1 / 35_000))
        price = 6_183_763_000_000 + 10**6 * source.randrange(-500, 500)
        trades.append(Trade(MARKET, row, time, price, source.randrange(1, 10**8), source.random() < 0.5))
    return trades
