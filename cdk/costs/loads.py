"""The load a bill is for, and what one invocation of each function takes.

The units are counted by `python -m tests.bench.usage`, from the handlers themselves against moto, on a market at one
trade a second with a day of bars and forecasts held; tests/infra/test_usage.py counts them again. CPU is of the same
run, on the machine of the README's figures; how long AWS's own services take to answer could not be measured.
"""

from dataclasses import dataclass
from math import ceil, exp
from typing import Final, NamedTuple

HOURS: Final = 730
MINUTES: Final = HOURS * 60
SECONDS: Final = MINUTES * 60

ANSWER_MS: Final = {"dynamodb": 5.0, "s3": 40.0}
"""How long a call waits: assumed."""
VCPU_MB: Final = 1769
"""The memory at which Lambda gives one whole processor."""
PLATFORM_LOG_BYTES: Final = 320
"""START, END and REPORT of an invocation."""
REPORT_LOG_BYTES: Final = 900
"""What the ingest task writes a minute."""
TRADE_BYTES: Final = 9.03
"""Of a trade among many (README, ingest_bytes_per_trade)."""
RECORD_BYTES: Final = 60
"""Of a record beside its trades; a watermark is little else."""
TRADES_PER_CPU_S: Final = {"ingest": 762_097, "aggregate": 2_953_182}
"""README, ingest_trades_per_s and aggregate_trades_per_s."""
SHARD_BYTES_PER_S: Final = 500_000
"""Half of what a shard takes: history may fill the other half."""
FULL_BYTES: Final = 500_000
"""Gathered trades are sent when they have come to this much (btc.aws.streams)."""
STARTS: Final = HOURS
"""How often a month a function that is asked every minute starts anew: assumed, a process lives an hour at least."""
POLLS_A_MINUTE: Final = 60
"""Of a shard: records that come oftener share an invocation."""
TAPE_BYTES: Final = 24.1
"""In the lake, a trade."""
DAY_BYTES: Final = {"bars": 81_600, "forecasts": 168_000}
"""In the lake, a market's day."""
ITEM_BYTES: Final = {"bars": 240, "forecasts": 880}
HORIZONS: Final = 4
ANSWER_BYTES: Final = 3_900
"""Of the newest forecasts, as JSON."""
FIT_H: Final = 15 / 60
PROCESSING_H: Final = 5 / 60
"""What a training is billed for beside the search that its pipeline allows, and each of the two jobs around it for:
assumed, their starts included. On two cores two years took 28 minutes: one trial, fit and test."""


class Used(NamedTuple):
    """Of one invocation, or of one market in it."""

    reads: float = 0
    writes: float = 0
    puts: float = 0
    gets: float = 0
    calls: float = 0
    log_bytes: float = 0
    cpu_ms: float = 0


USED: Final = {
    "aggregate_bars trades": Used(reads=4, writes=1, calls=5, log_bytes=411, cpu_ms=4.5),
    "aggregate_bars again": Used(reads=2, calls=2, log_bytes=374, cpu_ms=2.0),
    "aggregate_bars closing": Used(reads=4, writes=4, calls=8, log_bytes=449, cpu_ms=5.6),
    "archive_trades 300 trades": Used(puts=1, calls=1, log_bytes=566, cpu_ms=11.0),
    "archive_bars day": Used(reads=42, puts=1, gets=1, calls=3, log_bytes=399, cpu_ms=66.0),
    "archive_forecasts two hours": Used(reads=69, puts=1, gets=1, calls=6, log_bytes=404, cpu_ms=105.0),
    "forecast first": Used(reads=94, writes=4, gets=2, calls=6, log_bytes=669, cpu_ms=174.0),
    "forecast bar": Used(reads=3, writes=8, calls=8, log_bytes=667, cpu_ms=16.0),
    "score_forecasts hour": Used(reads=85, writes=19, calls=18, log_bytes=2109, cpu_ms=100.0),
    "score_forecasts hour again": Used(reads=60, writes=18, calls=12, log_bytes=366, cpu_ms=87.0),
    "score_forecasts hour and day again": Used(reads=142, writes=18, calls=14, log_bytes=367, cpu_ms=164.0),
    "audit_bars day": Used(reads=86, calls=3, log_bytes=771, cpu_ms=81.0),
    "connect_listeners visit": Used(writes=4, calls=4, log_bytes=352, cpu_ms=2.3),
    "push_forecasts nobody": Used(reads=0.5, calls=1, log_bytes=428, cpu_ms=0.7),
    "push_forecasts one": Used(reads=5.5, calls=5, log_bytes=428, cpu_ms=6.3),
    "api forecasts": Used(reads=3, calls=3, cpu_ms=5.0),
}

PROMOTION: Final = Used(writes=1, gets=1, calls=3, cpu_ms=500)
"""Not counted: once a week it is nothing."""

METRICS: Final = {
    "ingest_trades": {"FeedAge": False},
    "audit_bars": {"RepairableMinutes": True},
    "forecast": {"ForecastAge": True},
}
"""Told every hour while all is well, by service; True: one for each market. Others are told in the hours of a fault."""
DETAILS: Final = {
    "ingest_trades": (13, 0),
    "aggregate_bars": (2, 0),
    "archive_trades": (1, 0),
    "archive_bars": (1, 0),
    "archive_forecasts": (1, 0),
    "forecast": (2, 0),
    "push_forecasts": (3, 0),
    "score_forecasts": (1, 2 * HORIZONS),
    "audit_bars": (0, 5),
}
"""With DETAILED_METRICS: so many, and so many more for each market."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked of the system."""

    trades_per_s: float = 1.0
    """Of each symbol."""
    symbols: int = 1
    api_calls: int = 100_000
    """A month."""
    listeners: int = 1
    """Connected all month, each to one symbol."""
    retrainings: float = HOURS / 24 / 7
    """A month."""
    batch_s: float = 5.0
    senders: int = 1
    """Ingest tasks, each of which sends every trade; only the first to come is written."""

    @property
    def trades(self) -> float:
        """A second, of all symbols."""
        return self.trades_per_s * self.symbols

    @property
    def gathered_s(self) -> float:
        """From one sending of all that was gathered to the next: the first trade waits, or there is much of it."""
        return min(self.batch_s + 1 / self.trades, FULL_BYTES / (self.trades * TRADE_BYTES))

    @property
    def closings(self) -> float:
        """Sendings a minute because one has ended: the markets' at once, or each its own, as their venue tells."""
        return min(self.symbols, POLLS_A_MINUTE)

    @property
    def records(self) -> float:
        """A second, at most: batches by age or by size, and with each minute's end a watermark behind a short batch."""
        batches = max(self.trading(self.gathered_s) / self.gathered_s, self.trades * TRADE_BYTES / 25_000)
        return self.senders * (batches + 2 * self.symbols / 60)

    @property
    def bytes_per_s(self) -> float:
        return self.senders * self.trades * TRADE_BYTES + self.records * RECORD_BYTES

    @property
    def shards(self) -> int:
        """That the stream needs."""
        return max(1, ceil(self.bytes_per_s / SHARD_BYTES_PER_S), ceil(self.records / 1000))

    @property
    def task_cpu(self) -> int:
        """Units (1024 a processor) that the ingest task needs, at half of its speed."""
        needed = 2 * 1024 * self.trades / TRADES_PER_CPU_S["ingest"]
        return next((size for size in (256, 512, 1024, 2048, 4096, 8192, 16384) if size >= needed), 16384)

    def trading(self, seconds: float) -> float:
        """How many of the symbols trade within so many seconds."""
        return self.symbols * (1 - exp(-self.trades_per_s * seconds))


class Work(NamedTuple):
    """Of one function in a month."""

    invocations: float
    used: Used
    """Sums, of which the log's leaves out what the platform writes."""

    def seconds(self, memory_mb: int) -> float:
        """Billed: computing at the share of a processor that the memory brings, and waiting."""
        waits = (self.used.calls - self.used.puts - self.used.gets) * ANSWER_MS["dynamodb"]
        waits += (self.used.puts + self.used.gets) * ANSWER_MS["s3"]
        return (self.used.cpu_ms * max(1.0, VCPU_MB / memory_mb) + waits) / 1000


def of(used: Used, times: float) -> Used:
    return Used(*(value * times for value in used))


def total(*parts: Used) -> Used:
    return Used(*map(sum, zip(*parts, strict=True)))


@dataclass(frozen=True)
class Windows:
    """What the template says of how long each function's records wait for others (s), of the audit and of scoring."""

    seconds: dict[str, float]
    audit_minutes: float
    audit_days: float
    score_minutes: float
    score_days: float
    """Of each hour's looking back."""

    def each(self, function: str) -> float:
        return max(self.seconds[function], 1.0)


def works(load: Load, windows: Windows) -> dict[str, Work]:
    """What each function does in a month, by name."""
    symbols = load.symbols
    return {
        "aggregate_bars": _aggregate(load, windows.each("aggregate_bars")),
        "archive_trades": _tape(load, windows.each("archive_trades")),
        "archive_bars": _each(USED["archive_bars day"], SECONDS / windows.each("archive_bars"), symbols),
        # At noon, the mean, the day's object holds six times as much as it was counted with.
        "archive_forecasts": _each(
            USED["archive_forecasts two hours"]._replace(cpu_ms=6 * USED["archive_forecasts two hours"].cpu_ms),
            SECONDS * max(1 / windows.each("archive_forecasts"), 2 * HORIZONS * symbols / 60 / 1000),
            symbols,
        ),
        "forecast": _forecast(symbols),
        "score_forecasts": _score(load, windows),
        "audit_bars": _each(
            of(USED["audit_bars day"], windows.audit_days)._replace(log_bytes=USED["audit_bars day"].log_bytes),
            MINUTES / windows.audit_minutes,
            symbols,
        ),
        "api": Work(load.api_calls, of(USED["api forecasts"], load.api_calls)),
        "connect_listeners": _visits(load),
        "push_forecasts": _push(load),
        "promote_model": Work(load.retrainings, of(PROMOTION, load.retrainings)),
    }


def _forecast(symbols: int) -> Work:
    """A process that has just started reads a whole look-back of each market, and the model."""
    first, next_one = (USED[f"forecast {name}"] for name in ("first", "bar"))
    minutes = MINUTES * symbols
    return Work(minutes, total(of(first, STARTS * symbols), of(next_one, minutes - STARTS * symbols)))


def _each(used: Used, invocations: float, symbols: int) -> Work:
    """The same for every market, one line of log."""
    return Work(invocations, of(used, invocations * symbols)._replace(log_bytes=used.log_bytes * invocations))


def _aggregate(load: Load, window_s: float) -> Work:
    """A sending is merged by an invocation of its own, but for those of one window."""
    apart_s = max(load.gathered_s, window_s)
    trades, closing = (USED[f"aggregate_bars {name}"] for name in ("trades", "closing"))
    sendings, minutes = SECONDS / apart_s * load.trading(apart_s), MINUTES * load.symbols
    again = of(USED["aggregate_bars again"], (load.senders - 1) * (sendings + minutes))
    used = total(of(trades, sendings), of(closing, minutes), again)
    sent = load.senders * (SECONDS / apart_s + MINUTES * load.closings)
    invocations = load.shards * min(sent, SECONDS / window_s)
    folding_ms = 1000 * load.senders * load.trades * SECONDS / TRADES_PER_CPU_S["aggregate"]
    return Work(invocations, used._replace(log_bytes=trades.log_bytes * invocations, cpu_ms=used.cpu_ms + folding_ms))


def _tape(load: Load, window_s: float) -> Work:
    """One object a market; a delivery is full at 10,000 records or 6 MB of base64."""
    full = max(load.records / 10_000, load.bytes_per_s / 4_500_000)
    invocations = SECONDS * max(load.shards / window_s, full)
    used = USED["archive_trades 300 trades"]
    objects = invocations * min(load.symbols, load.trading(SECONDS / invocations))
    return Work(invocations, of(used, objects)._replace(log_bytes=used.log_bytes * invocations))


def _visits(load: Load) -> Work:
    """A ticket is bought and redeemed, a connection comes and goes: the gateway ends each after two hours."""
    visits = load.listeners * HOURS / 2
    return Work(3 * visits, of(USED["connect_listeners visit"], visits))


def _push(load: Load) -> Work:
    """As if all listened to the same symbol; each beyond the first is one more post."""
    heard = MINUTES if load.listeners else 0
    silent = MINUTES * load.symbols - heard
    posts = MINUTES * max(load.listeners - 1, 0)
    used = total(of(USED["push_forecasts nobody"], silent), of(USED["push_forecasts one"], heard), Used(calls=posts))
    return Work(MINUTES * load.symbols, used)


def _score(load: Load, windows: Windows) -> Work:
    """Each time a whole hour of a market is read and summed; each forecast gets its outcome once. Each hour looks back
    at days of which nothing is new."""
    used, again, looked = (USED[f"score_forecasts {name}"] for name in ("hour", "hour again", "hour and day again"))
    day = Used(*(one - other for one, other in zip(looked, again, strict=True)))
    invocations = MINUTES / windows.score_minutes
    hours = of(used._replace(writes=used.writes - 1, calls=used.calls - 1), invocations * load.symbols)
    outcomes = of(Used(writes=1, calls=1), HORIZONS * MINUTES * load.symbols)
    back = of(day._replace(log_bytes=0), HOURS * windows.score_days * load.symbols)
    return Work(invocations, total(hours, outcomes, back))


def traced(invocations: float) -> float:
    """Of so many a month, spread evenly: X-Ray records the first of a second, and a twentieth of the others.

    The API and the function behind it share a trace.
    """
    return min(invocations, SECONDS) + max(0.0, invocations - SECONDS) / 20
