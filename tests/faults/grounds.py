"""What schedules on the local stack share: the emulator and the exchange, in processes of their own."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Self
from urllib.request import Request, urlopen

from btc.times import SECOND
from btc.trades import Market, Trade
from btc.units import to_units
from local.runtime import managed_runtime
from local.stack import Stack

BTC = Market("kraken", "BTC-USD")
SPEED = 20
"""Seconds of the exchange in one of life's."""


class Grounds:
    """What the schedules share: the emulator and the exchange, in processes of their own."""

    def __init__(self) -> None:
        self.stack = Stack()
        self.emulator = self.stack.start_emulator()
        self.exchange = self.stack.start_exchange(
            ["--speed", str(SPEED), "--trades-per-minute", "300", "--history-days", "0.002"]
        )
        self.runtime = managed_runtime(self.stack.folder / "runtime")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.__exit__(*error)

    def control(self, **order: object) -> None:
        """Make the exchange misbehave."""
        urlopen(Request(f"{self.exchange['REST_URL']}/control", json.dumps(order).encode()), timeout=5).close()

    def ask(self, question: str) -> Any:
        with urlopen(f"{self.exchange['REST_URL']}/0/public/{question}", timeout=5) as answer:
            return json.load(answer, parse_float=Decimal)

    def now(self) -> int:
        """The exchange's clock (µs)."""
        while "result" not in (answer := self.ask("Time")):
            pass  # throttled for a call or two
        return int(answer["result"]["unixtime"]) * SECOND

    def tape(self) -> list[Trade]:
        """All that the exchange has traded, read without a line of the product's."""
        rows: dict[int, Trade] = {}
        since = 0
        while True:
            answer = self.ask(f"Trades?pair=XBTUSD&since={since}")
            if "result" not in answer:
                continue
            page = answer["result"]["XXBTZUSD"]
            for price, size, moment, side, _, _, identity in page:
                at = int(moment * SECOND)
                rows[identity] = Trade(BTC, identity, at, to_units(price), to_units(size), side == "b")
            if len(page) < 1000:
                return [rows[identity] for identity in sorted(rows)]
            since = int(answer["result"]["last"]) - 1
