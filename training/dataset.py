"""Bars read from the lake or a plain file, as features, labels and the rows that may be used."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from btc import features, labels
from btc.bars import Source
from btc.forecasts import HORIZONS
from btc.minutes import BrokenMinutesError, Floats, Ints, Minutes
from btc.times import MINUTE, iso
from btc.units import SCALE, UNIT

Columns = dict[str, npt.NDArray[Any]]

MANIFEST: Final = "manifest.json"
"""What lies beside a snapshot: its digest, among what else is told of it."""
PRICES: Final = ("open", "high", "low", "close")
_NUMBERS: Final = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
_FEW: Final = 0.01
"""The share of rows outside their own high and low beyond which the columns are more likely mixed up."""
_MOST: Final = 1e15
"""Volume or trades of a minute, whatever they are counted in: beyond it stands no market but a mistake."""
_MOST_PRICE: Final = 9e10
"""What units can hold."""
OPTIONAL: Final = ("buy_volume", "trade_count", "complete", "source")


class UnreadableBarsError(ValueError):
    """The bars cannot be trained on as they are: the message says why."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """All rows of a minute grid; `rows` are those with a whole look-back."""

    minutes: Minutes
    matrix: npt.NDArray[np.float32]
    scale: Floats
    targets: Mapping[int, Floats]
    """Scaled returns (n,) by horizon; NaN where the future is not known."""
    rows: Ints
    digest: str
    """See `digest`."""
    repairs: tuple[str, ...]
    """What was set right while reading, said in words."""

    def ended(self, until: int) -> Ints:
        """The usable rows whose labels, at the longest horizon, end by `until` (µs UTC)."""
        ends = self.minutes.start[self.rows] + (1 + max(HORIZONS)) * MINUTE
        return self.rows[ends <= until]


Rows = tuple[Dataset, Ints]
"""Some rows of a dataset."""


def load(path: Path) -> Dataset:
    """The dataset of a Parquet file, or of all Parquet files below a folder; see `read` and `build`.

    Raises UnreadableBarsError where a manifest lies in the folder and names other data.
    """
    dataset = build(*read(path))
    refuse_other_data(path / MANIFEST, dataset.digest)
    return dataset


def build(minutes: Minutes, repairs: tuple[str, ...] = ()) -> Dataset:
    """Features, scale and labels of the minutes."""
    scale = features.scale(minutes)
    return Dataset(
        minutes=minutes,
        matrix=features.matrix(minutes, os.cpu_count() or 1),
        scale=scale,
        targets={horizon: labels.targets(minutes, horizon, scale) for horizon in HORIZONS},
        rows=np.flatnonzero(features.usable(minutes)),
        digest=digest(minutes),
        repairs=repairs,
    )


def digest(minutes: Minutes) -> str:
    """SHA-256 of every column: it names the data, whatever file they lie in."""
    told = hashlib.sha256()
    for field in fields(minutes):
        told.update(np.ascontiguousarray(getattr(minutes, field.name)).tobytes())
    return told.hexdigest()


def before(path: Path, until: int) -> Dataset:
    """The dataset of a file with only those rows that have `ended` by `until`; raises UnreadableBarsError where none
    has.
    """
    dataset = load(path)
    rows = dataset.ended(until)
    if not len(rows):
        raise UnreadableBarsError(f"{path} has no usable minute before {iso(until)}, where calibration begins")
    return replace(dataset, rows=rows, repairs=tuple(f"{path}: {repair}" for repair in dataset.repairs))


def refuse_other_data(manifest: Path, found: str) -> None:
    """Raises UnreadableBarsError where there is a manifest that names data of another digest."""
    if not manifest.is_file():
        return
    try:
        told = json.loads(manifest.read_text())["digest"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableBarsError(f"{manifest} names no data ({error!r}): take the snapshot anew") from error
    if told != found:
        raise UnreadableBarsError(f"{manifest} names the data {told}, beside it lie {found}: take the snapshot anew")


def read(path: Path) -> tuple[Minutes, tuple[str, ...]]:
    """Minute bars with columns start, open, high, low, close, volume, and buy_volume, trade_count, complete if there.

    Decimals are the lake's exact units; floats are taken as they are. Disorder is sorted and equal repeats are dropped;
    a row without a price, or with one outside its high and low, counts as an absent minute; flows that cannot be count
    as not recorded; each is told in the second value. Raises UnreadableBarsError, which names the path, where columns
    are missing or hold something else, rows are no minutes, repeats contradict each other, or nothing is left.
    """
    try:
        return _read(path)
    except UnreadableBarsError as error:
        raise UnreadableBarsError(f"{path}: {error}") from error


def _read(path: Path) -> tuple[Minutes, tuple[str, ...]]:
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    markets = {file.parent.parent for file in files if file.parent.name.startswith("date=")}
    if not files or not all(file.is_file() for file in files):
        raise UnreadableBarsError("there is no Parquet file")
    if len(markets) > 1:
        raise UnreadableBarsError(f"there are bars of {len(markets)} markets below: name one market's folder")
    try:
        tables = [_columns(pq.ParquetFile(file)) for file in files]
    except (pa.ArrowException, OSError) as error:
        raise UnreadableBarsError(
            f"no readable Parquet ({error}): convert other files, for instance by pandas.read_csv(…).to_parquet(…)"
        ) from error
    columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    columns, repairs = _repaired(columns)
    _refuse_other_steps(columns["start"])
    prices = [columns[name] for name in PRICES]
    try:
        minutes = Minutes.of_columns(
            columns["start"],
            *prices,
            volume=columns["volume"],
            buy_volume=columns["buy_volume"],
            trade_count=columns["trade_count"],
            known=columns["complete"],
        )
    except BrokenMinutesError as error:
        raise UnreadableBarsError(str(error)) from error
    absent = len(minutes) - len(columns["start"])
    if absent:
        repairs = (*repairs, f"{absent} absent minutes stand flat at the close before and are unknown")
    return minutes, repairs


def _columns(file: pq.ParquetFile) -> Columns:
    names = set(file.schema_arrow.names)
    if twice := sorted({name for name in names if file.schema_arrow.names.count(name) > 1}):
        raise UnreadableBarsError(f"column {', '.join(twice)} is there more than once: which one is meant?")
    if missing := sorted({"start", *PRICES, "volume"} - names):
        raise UnreadableBarsError(f"column {', '.join(missing)} is missing; there are {', '.join(sorted(names))}")
    table = file.read(columns=["start", *PRICES, "volume", *(name for name in OPTIONAL if name in names)])
    columns: Columns = {"start": _moments(table["start"])}
    for name in (*PRICES, "volume", "buy_volume", "trade_count"):
        columns[name] = _floats(name, table[name]) if name in names else np.full(len(table), np.nan)
        most = _MOST_PRICE if name in PRICES else _MOST
        if (np.isfinite(columns[name]) & (columns[name] > most)).any():
            raise UnreadableBarsError(f"column {name} holds numbers above {most:.0e}: in which unit are they?")
    columns["complete"] = np.ones(len(table), bool)
    if "complete" in names:
        if not pa.types.is_boolean(table["complete"].type):
            raise UnreadableBarsError(f"column complete holds {table['complete'].type}, not true and false")
        columns["complete"] = pc.fill_null(table["complete"], fill_value=False).to_numpy()
    if "source" in names and _is_text(table["source"].type):
        columns["complete"] |= pc.fill_null(pc.equal(table["source"], Source.KLINES), fill_value=False).to_numpy()
    return columns


def _is_text(kind: pa.DataType) -> bool:
    held = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(held) or pa.types.is_large_string(held))


def _moments(column: pa.ChunkedArray) -> Ints:
    """µs UTC; times without a zone are taken as UTC, integers as µs."""
    kind = column.type
    if not (pa.types.is_timestamp(kind) or pa.types.is_integer(kind)):
        raise UnreadableBarsError(f"column start holds {kind}, not timestamps: convert them, for instance to UTC µs")
    if column.null_count:
        raise UnreadableBarsError(f"{column.null_count} rows have no start: leave them out")
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    moments = np.asarray(column.cast(pa.int64()).to_numpy())
    if len(odd := moments[moments % MINUTE != 0]):
        raise UnreadableBarsError(
            f"{len(odd)} rows do not start on a whole minute, the first at {np.datetime64(int(odd[0]), 'us')}: "
            "start must be the minute's beginning, integers are taken as µs since 1970"
        )
    return moments


def _floats(name: str, column: pa.ChunkedArray) -> Floats:
    """Nulls are NaN. Decimals of the units' scale become the floats that `Minutes.of_bars` makes of the same units."""
    kind = column.type
    if not any(test(kind) for test in _NUMBERS):
        raise UnreadableBarsError(f"column {name} holds {kind}, not numbers")
    if not (pa.types.is_decimal128(kind) and kind.scale == SCALE):
        return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    if not len(array):
        return np.empty(0)
    # A 128-bit decimal is two words; no price or volume needs the upper one.
    words = np.frombuffer(array.buffers()[1], dtype=np.int64).reshape(-1, 2)[array.offset : array.offset + len(array)]
    absent = array.is_null().to_numpy(zero_copy_only=False)
    if (~absent & (words[:, 1] != words[:, 0] >> 63)).any():
        raise UnreadableBarsError(f"column {name} holds numbers beyond what units can hold: in which unit are they?")
    return np.where(absent, np.nan, words[:, 0] / UNIT)


def _repaired(columns: Columns) -> tuple[Columns, tuple[str, ...]]:
    repairs = []
    start = columns["start"]
    if np.any(np.diff(start) < 0):
        repairs.append("rows out of order were sorted")
        order = np.argsort(start, kind="stable")
        columns = {name: column[order] for name, column in columns.items()}
    whole = np.all([np.isfinite(columns[name]) & (columns[name] > 0) for name in PRICES], axis=0)
    whole &= np.isfinite(columns["volume"]) & (columns["volume"] >= 0)
    if len(whole) and not whole.any():
        raise UnreadableBarsError(f"none of {len(whole)} rows has prices above zero and a volume of zero or more")
    if not whole.all():
        repairs.append(f"{int((~whole).sum())} rows without a price or volume count as absent")
        columns = {name: column[whole] for name, column in columns.items()}
    columns, outside = _enclosed(columns)
    if outside:
        repairs.append(f"{outside} rows with a price outside their high and low count as absent")
    columns, impossible = _possible_flows(columns)
    if impossible:
        repairs.append(f"{impossible} rows with impossible flows count as without")
    again = np.flatnonzero(np.diff(columns["start"]) == 0) + 1
    if len(again):
        _refuse_contradictions(columns, again)
        repairs.append(f"{len(again)} repeated rows were dropped")
        columns = {name: np.delete(column, again) for name, column in columns.items()}
    return columns, tuple(repairs)


def _enclosed(columns: Columns) -> tuple[Columns, int]:
    """The rows whose high and low enclose their open and close, and how many others there were."""
    opened, high, low, closed = (columns[name] for name in PRICES)
    outside = (low > np.minimum(opened, closed)) | (high < np.maximum(opened, closed))
    count = int(outside.sum())
    if count > _FEW * len(outside):
        raise UnreadableBarsError(
            f"in {count} of {len(outside)} rows the high or the low does not enclose open and close: mixed up columns?"
        )
    return ({name: column[~outside] for name, column in columns.items()} if count else columns), count


def _possible_flows(columns: Columns) -> tuple[Columns, int]:
    """Flows as they are where they can be, else NaN, and in how many rows they cannot."""
    bought, trades = columns["buy_volume"], columns["trade_count"]
    impossible = (bought < 0) | (bought > columns["volume"] * (1 + 1e-6)) | (trades < 0) | np.isinf(trades)
    flows = {name: np.where(impossible, np.nan, columns[name]) for name in ("buy_volume", "trade_count")}
    return {**columns, **flows}, int(impossible.sum())


def _refuse_other_steps(start: Ints) -> None:
    steps = np.diff(start)
    if len(steps) and steps.min() > MINUTE:
        raise UnreadableBarsError(
            f"the closest two rows lie {int(steps.min()) // MINUTE} minutes apart: give bars of one minute, "
            "and times that are integers in µs since 1970"
        )


def _refuse_contradictions(columns: Columns, again: Ints) -> None:
    for name in (*PRICES, "volume"):
        differing = again[columns[name][again] != columns[name][again - 1]]
        if len(differing):
            moment = np.datetime64(int(columns["start"][differing[0]]), "us")
            raise UnreadableBarsError(f"the minute {moment} is there twice with different {name}: which one is true?")
