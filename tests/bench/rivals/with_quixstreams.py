"""Minute bars by quixstreams' tumbling windows as they are, over its own store, without a broker.

Reads trades from standard input as JSON, [time in ms, price, size] each; prints CPU seconds and the bars. Runs in a
virtual environment of its own, which knows nothing of this project.
"""

import json
import sys
import time
from tempfile import TemporaryDirectory

from quixstreams.dataframe.windows import TumblingTimeWindowDefinition
from quixstreams.dataframe.windows.aggregations import Count, First, Last, Max, Min, Sum
from quixstreams.state.rocksdb.windowed.store import WindowedRocksDBStore

ROUNDS = 3
BATCH = 1000
KEY = b"BTC-USDT"


def main() -> None:
    trades = [(moment, {"price": price, "size": size}) for moment, price, size in json.load(sys.stdin)]
    best = float("inf")
    for _ in range(ROUNDS):
        with TemporaryDirectory() as folder, WindowedRocksDBStore("bars", "trades", folder) as store:
            store.assign_partition(0)
            began = time.process_time()
            bars = windowed(trades, store)
            best = min(best, time.process_time() - began)
    print(json.dumps({"seconds": best, "bars": bars}))


def windowed(trades, store):
    """The bars by start; the store takes a transaction a batch, as it would a checkpoint."""
    window = TumblingTimeWindowDefinition(60_000, 0, dataframe=None, name="bars").agg(
        open=First("price"),
        high=Max("price"),
        low=Min("price"),
        close=Last("price"),
        volume=Sum("size"),
        trade_count=Count(),
    )
    bars = {}
    for first in range(0, len(trades), BATCH):
        with store.start_partition_transaction(0) as transaction:
            for moment, value in trades[first : first + BATCH]:
                updated, _ = window.process_window(value, KEY, moment, None, transaction)
                for _, bar in updated:
                    bars[bar["start"]] = bar
    return [{name: value for name, value in bar.items() if name != "end"} for bar in bars.values()]


main()
