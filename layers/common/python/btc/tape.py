"""Records of the stream `trades`: a batch of trades of one market, or a watermark, as versioned msgpack.

Ids are told as the runs they form, times and prices as differences between neighbours: they step by little, so that
most numbers take one to four bytes instead of nine. Readers know a record by its tag; a new layout gets a new tag
beside the old ones.
"""

from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any, Final, NamedTuple

import msgspec

from btc.times import FOREVER
from btc.trades import Market, Trades

MAX_BYTES: Final = 25_000
"""A record's aim: one Kinesis PUT payload unit (25 KB)."""


class UnreadableError(ValueError):
    """Bytes that are no record of this stream; the message says in what they differ."""


class Watermark(NamedTuple):
    """The feed of a market is alive up to `time` (µs), and `last_id` is the last trade it has made by then."""

    market: Market
    time: int
    last_id: int


class _Trades1(msgspec.Struct, array_like=True, tag="trades/1", frozen=True):
    market: str
    runs: list[int]
    """First id and length of each run of consecutive ids, one pair behind the other."""
    times: list[int]
    prices: list[int]
    sizes: list[int]
    taker_buys: bytes


class _Watermark1(msgspec.Struct, array_like=True, tag="watermark/1", frozen=True):
    market: str
    time: int
    last_id: int


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Trades1 | _Watermark1)


def encode(entry: Trades | Watermark) -> bytes:
    """The record's bytes; `decode` gives back an equal value."""
    market = str(entry.market)
    if isinstance(entry, Watermark):
        return _ENCODER.encode(_Watermark1(market, entry.time, entry.last_id))
    return _ENCODER.encode(
        _Trades1(market, _runs(entry.ids), _steps(entry.times), _steps(entry.prices), entry.sizes, entry.taker_buys)
    )


def decode(data: bytes) -> Trades | Watermark:
    """What a record says; raises UnreadableError on bytes that are none, whatever they are."""
    try:
        record = _DECODER.decode(data)
        market = Market.parse(record.market)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadableError(f"not a record of the trade stream: {error}") from error
    if isinstance(record, _Watermark1):
        if not 0 <= record.time < FOREVER or record.last_id < 0:
            raise UnreadableError(f"a watermark of trade {record.last_id} at {record.time} µs")
        return Watermark(market, record.time, record.last_id)
    if not record.times:
        raise UnreadableError("a batch without trades")
    ids = _ids(record.runs, len(record.times))
    columns = record.times, record.prices, record.sizes, record.taker_buys
    if len({len(column) for column in columns}) != 1:
        raise UnreadableError(f"columns of unequal length {[len(column) for column in columns]}")
    trades = Trades(market, ids, _sums(record.times), _sums(record.prices), record.sizes, record.taker_buys)
    # The edges tell nonsense from trades at no cost; what lies between was made by one producer.
    for edge in (0, -1):
        if ids[edge] < 0 or not 0 <= trades.times[edge] < FOREVER or trades.prices[edge] <= 0 or trades.sizes[edge] < 0:
            raise UnreadableError(f"trade {ids[edge]} at {trades.times[edge]} µs is none that a venue could have made")
    return trades


def cut(trades: Trades, max_bytes: int = MAX_BYTES) -> Iterator[bytes]:
    """The trades as one record, or as many as are needed for each to stay within `max_bytes`."""
    data = encode(trades)
    if len(data) <= max_bytes or len(trades) == 1:
        yield data
        return
    half = len(trades) // 2
    yield from cut(trades[:half], max_bytes)
    yield from cut(trades[half:], max_bytes)


class Batch(NamedTuple):
    """What a delivery of stream records says, market by market, up to the first record that cannot be read."""

    trades: dict[Market, list[Trades]]
    watermarks: dict[Market, list[Watermark]]
    records: int
    unread: str | None
    """Sequence number of the record from which the stream must deliver again; None when all were read."""
    cause: str | None

    @property
    def markets(self) -> list[Market]:
        """In the order in which they first appear, trades' before those of watermarks alone."""
        return list(dict.fromkeys([*self.trades, *self.watermarks]))

    def failures(self) -> dict[str, list[dict[str, str]]]:
        """The answer by which Lambda keeps what was read and sets the unreadable record apart."""
        return {"batchItemFailures": [{"itemIdentifier": self.unread}] if self.unread else []}


def read(records: Iterable[Mapping[str, Any]]) -> Batch:
    """The Kinesis records of a Lambda event, in their order."""
    trades: dict[Market, list[Trades]] = {}
    watermarks: dict[Market, list[Watermark]] = {}
    count = 0
    for record in records:
        try:
            entry = decode(a2b_base64(record["kinesis"]["data"]))
        except UnreadableError as error:
            return Batch(trades, watermarks, count, record["kinesis"]["sequenceNumber"], str(error))
        if isinstance(entry, Watermark):
            watermarks.setdefault(entry.market, []).append(entry)
        else:
            trades.setdefault(entry.market, []).append(entry)
        count += 1
    return Batch(trades, watermarks, count, None, None)


def _runs(ids: Sequence[int]) -> list[int]:
    if not ids:
        return []
    if list(ids) == list(range(ids[0], ids[0] + len(ids))):
        return [ids[0], len(ids)]
    ends = [row for row, (before, after) in enumerate(pairwise(ids), 1) if after != before + 1]
    return [number for row, end in pairwise([0, *ends, len(ids)]) for number in (ids[row], end - row)]


def _ids(runs: Sequence[int], count: int) -> Sequence[int]:
    """What `_runs` was given: a range where it is one run, as nearly always. Never more ids than `count`."""
    lengths = runs[1::2]
    if len(runs) % 2 or min(lengths, default=0) < 1 or sum(lengths) != count:
        raise UnreadableError(f"runs {list(runs)} are no {count} ids")
    ranges = [range(first, first + length) for first, length in zip(runs[::2], lengths, strict=True)]
    return ranges[0] if len(ranges) == 1 else list(chain(*ranges))


def _steps(column: list[int]) -> list[int]:
    return column[:1] + [after - before for before, after in pairwise(column)]


def _sums(steps: list[int]) -> list[int]:
    return list(accumulate(steps))
