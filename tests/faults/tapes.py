"""What a simulated venue trades, drawn from a seed; and what bars those trades make, by the definition alone."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from btc.times import MINUTE
from btc.trades import Market, Trade

NOON = 1_762_776_000_000_000


def draw_tape(random: Random, market: Market, minutes: int, halts: Sequence[tuple[int, int]]) -> list[Trade]:
    """Trades of so many minutes from NOON on, none in the halts (µs): ids without a hole, quiet and busy minutes."""
    times: list[int] = []
    for start in range(NOON, NOON + minutes * MINUTE, MINUTE):
        many = random.choice([0, 0, 1, 3, 8, 15, 30, 50]) if times else 3
        within = [random.choice([0, MINUTE - 1, random.randrange(MINUTE)]) for _ in range(many // 4)]
        within += [random.randrange(MINUTE) for _ in range(many - many // 4)]
        # An order that takes several others makes several trades of one moment.
        times += [start + at for at in sorted(within) for _ in range(random.choice([1, 1, 1, 2, 3]))]
    open_times = [time for time in times if not any(begin <= time < end for begin, end in halts)]
    first, price = random.randrange(1, 10**9), random.randrange(10**12, 10**13)
    return [
        Trade(
            market,
            first + row,
            time,
            price + random.randrange(-(10**10), 10**10),
            random.randrange(1, 10**9),
            random.random() < 0.5,
        )
        for row, time in enumerate(open_times)
    ]


def expected_bars(tape: Sequence[Trade], until: int) -> dict[int, dict[str, object]]:
    """The bar of every minute from the first trade to `until` (µs): plain sums over its trades, by its start."""
    bars: dict[int, dict[str, object]] = {}
    first = tape[0].time - tape[0].time % MINUTE
    for start in range(first, until, MINUTE):
        held = [trade for trade in tape if start <= trade.time < start + MINUTE]
        before = [trade.trade_id for trade in tape if trade.time < start]
        prices = [trade.price for trade in held] or [bars[start - MINUTE]["close"]]
        bars[start] = {
            "open": prices[0],
            "high": max(prices),
            "low": min(prices),
            "close": prices[-1],
            "volume": sum(trade.size for trade in held),
            "turnover": sum(trade.price * trade.size for trade in held),
            "buy_volume": sum(trade.size for trade in held if trade.taker_buys),
            "trade_count": len(held),
            "ranges": ((held[0].trade_id, held[-1].trade_id),) if held else (),
            "prior_id": before[-1] if before else None,
            "next_id": (held[-1].trade_id if held else before[-1]) + 1,
            "closed": True,
        }
    return bars
