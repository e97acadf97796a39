"""Records of the stream `trades`: a batch of trades of one market, or a watermark, as versioned msgpack.

Columns hold differences between neighbours: ids and times step by little, so that most numbers take one to four
bytes instead of nine. Readers know a record by its tag; a new layout gets a new tag beside the old ones.
"""

from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, pairwise
from typing import Any, Final, NamedTuple

import msgspec

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
    ids: list[int]
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
        _Trades1(market, _steps(entry.ids), _steps(entry.times), _steps(entry.prices), entry.sizes, entry.taker_buys)
    )


def decode(data: bytes) -> Trades | Watermark:
    """What a record says; raises UnreadableError on bytes that are none, whatever they are."""
    try:
        record = _DECODER.decode(data)
        market = Market.parse(record.market)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadableError(f"not a record of the trade stream: {error}") from error
    if isinstance(record, _Watermark1):
        return Watermark(market, record.time, record.last_id)
    columns = record.ids, record.times, record.prices, record.sizes, record.taker_buys
    if not record.ids:
        raise UnreadableError("a batch without trades")
    if len({len(column) for column in columns}) != 1:
        raise UnreadableError(f"columns of unequal length {[len(column) for column in columns]}")
    return Trades(market, _sums(record.ids), _sums(record.times), _sums(record.prices), record.sizes, record.taker_buys)


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
    def markets(self) -> set[Market]:
        return self.trades.keys() | self.watermarks.keys()

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


def _steps(column: list[int]) -> list[int]:
    return column[:1] + [after - before for before, after in pairwise(column)]


def _sums(steps: list[int]) -> list[int]:
    return list(accumulate(steps))
