"""The lake's objects as bytes of Parquet: exact both ways, and the same bytes for the same rows."""

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from io import BytesIO
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from btc import lake
from btc.bars import Bar, Source
from btc.forecasts import Forecast, Outcome, Scored
from btc.formats import UnknownFormatError
from btc.lake import Columns
from btc.ranges import read, spell
from btc.trades import Market, Trades
from btc.units import SCALE, from_units

_TYPES: Final = {
    "timestamp": pa.timestamp("us"),  # Athena's carry no zone; all times of the lake are UTC
    "bigint": pa.int64(),
    "double": pa.float64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "array<double>": pa.list_(pa.float64()),
    "map<string,double>": pa.map_(pa.string(), pa.float64()),
    "map<string,array<double>>": pa.map_(pa.string(), pa.list_(pa.float64())),
}
_DECIMAL: Final = re.compile(r"decimal\((\d+),(\d+)\)")
_OF_A_BAR: Final = ("open", "high", "low", "close", "volume", "buy_volume", "turnover")
_MAPS: Final = [name for name, kind in lake.FORECASTS.items() if kind.startswith("map<")]
_ADDED: Final = {
    *("baseline_reason", "baselines"),
    *("below", "covered_50", "direction", "baseline_losses"),
}
"""What forecasts' first objects did not have yet."""
_OF_A_FORECAST: Final = [name for name in lake.FORECASTS if name not in Outcome.__dataclass_fields__]


def schema(columns: Columns) -> pa.Schema:
    """Arrow's types for Athena's."""
    return pa.schema([(name, _type(kind)) for name, kind in columns.items()])


def bars(rows: Sequence[Bar]) -> bytes:
    """Bars of one market; the partition tells which."""
    scales = {name: _scale(lake.BARS[name]) for name in _OF_A_BAR}
    columns: dict[str, list[Any]] = {
        name: [_decimal(getattr(bar, name), scales[name]) for bar in rows]
        if name in scales
        else [getattr(bar, name) for bar in rows]
        for name in lake.BARS
    }
    columns["ranges"] = [spell(bar.ranges) for bar in rows]
    return _encoded(lake.BARS, columns)


def bars_of(content: bytes, market: Market) -> list[Bar]:
    """The bars that `bars` was given; objects written before bars had a source hold those made of trades.

    Raises UnknownFormatError, as the others do.
    """
    return [
        Bar(
            market=market,
            start=row["start"],
            **{name: _units(row[name], _scale(lake.BARS[name])) for name in _OF_A_BAR},
            **{name: row[name] for name in ("trade_count", "prior_id", "next_id", "closed")},
            ranges=read(row["ranges"]),
            source=Source(row.get("source", Source.TRADES)),
        )
        for row in _rows(content, lake.BARS.keys() - {"source"})
    ]


def trades(rows: Trades) -> pa.Table:
    """Trades as a table with the tape's columns."""
    columns = {
        "trade_id": pa.array(rows.ids, pa.int64()),
        "time": pa.array(rows.times, _TYPES["timestamp"]),
        "price": _decimals(rows.prices, _type(lake.TAPE["price"])),
        "size": _decimals(rows.sizes, _type(lake.TAPE["size"])),
        "taker_buys": pa.array(np.frombuffer(rows.taker_buys, dtype=np.bool_)),
    }
    return pa.table(columns, schema(lake.TAPE))


def trades_of(contents: Iterable[bytes], market: Market) -> Trades:
    """The trades of the tape's objects, by id, each id once."""
    rows = [row for content in contents for row in _rows(content, lake.TAPE.keys())]
    return Trades(
        market,
        ids=[row["trade_id"] for row in rows],
        times=[row["time"] for row in rows],
        prices=[_units(row["price"], SCALE) for row in rows],
        sizes=[_units(row["size"], SCALE) for row in rows],
        taker_buys=bytes(row["taker_buys"] for row in rows),
    ).in_order()


def forecasts(rows: Sequence[Scored]) -> bytes:
    """Forecasts of one market with what is known of their outcomes."""
    columns = {
        name: [getattr(scored.forecast if name in _OF_A_FORECAST else scored.outcome, name, None) for scored in rows]
        for name in lake.FORECASTS
    }
    for name in _MAPS:  # in one order, whichever the table gave
        columns[name] = [None if told is None else sorted(told.items()) for told in columns[name]]
    return _encoded(lake.FORECASTS, columns)


def forecasts_of(content: bytes, market: Market) -> list[Scored]:
    """What `forecasts` was given; objects of the first layout hold no baselines, no reasons and no outcomes."""

    def scored(row: Mapping[str, Any]) -> Scored:
        said = {name: row.get(name) for name in _OF_A_FORECAST} | {"quantiles": tuple(row["quantiles"])}
        said["baselines"] = {name: tuple(prices) for name, prices in row.get("baselines") or ()}
        known: dict[str, Any] = {name: row.get(name) for name in Outcome.__dataclass_fields__}
        known["baseline_losses"] = dict(row.get("baseline_losses") or ())
        return Scored(Forecast(market, **said), None if known["realised_price"] is None else Outcome(**known))

    return [scored(row) for row in _rows(content, lake.FORECASTS.keys() - _ADDED)]


def _encoded(columns: Columns, values: Mapping[str, list[Any]]) -> bytes:
    sink = BytesIO()
    pq.write_table(pa.table(dict(values), schema(columns)), sink, compression="zstd")
    return sink.getvalue()


def _rows(content: bytes, needed: AbstractSet[str]) -> list[dict[str, Any]]:
    """Rows with times as µs; raises UnknownFormatError without the columns that every version has written.

    Not by `read_table`: the threads that it reads ahead with now and then abort a process that ends meanwhile.
    """
    table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
    if missing := sorted(needed - set(table.column_names)):
        raise UnknownFormatError("an object of the lake", KeyError(*missing))
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            times = table[field.name].cast(_TYPES["timestamp"]).cast(pa.int64())
            table = table.set_column(place, field.name, times)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _type(kind: str) -> pa.DataType:
    if decimal := _DECIMAL.fullmatch(kind):
        return pa.decimal128(*map(int, decimal.groups()))
    return _TYPES[kind]


def _scale(kind: str) -> int:
    scale: int = _type(kind).scale
    return scale


def _decimal(units: int | None, scale: int) -> Decimal | None:
    return None if units is None else from_units(units, scale)


def _units(number: Decimal | None, scale: int) -> Any:
    return None if number is None else int(number.scaleb(scale))


def _decimals(units: Sequence[int], kind: pa.DataType) -> pa.Array:
    """Units as decimals without an object for each: Arrow keeps a decimal as its units, in two words."""
    low = np.array(units, dtype=np.int64)
    words = np.stack([low, low >> 63], axis=1)
    return pa.Array.from_buffers(kind, len(units), [None, pa.py_buffer(np.ascontiguousarray(words))])
