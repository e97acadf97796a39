"""Bars read from the lake or a plain file, as features, labels and the rows that may be used."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from btc.times import MINUTE
from btc.units import SCALE, UNIT

PRICES: Final = ("open", "high", "low", "close")
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
    """SHA-256 of the columns the dataset was made from."""
    repairs: tuple[str, ...]
    """What was set right while reading, said in words."""


def load(path: Path) -> Dataset:
    """The dataset of a Parquet file, or of all Parquet files below a folder; see `read` and `build`."""
    minutes, repairs = read(path)
    return build(minutes, repairs)


def build(minutes: Minutes, repairs: tuple[str, ...] = ()) -> Dataset:
    """Features, scale and labels of the minutes."""
    scale = features.scale(minutes)
    digest = hashlib.sha256()
    for column in (minutes.start, minutes.close, minutes.volume, minutes.buy_volume, minutes.known):
        digest.update(np.ascontiguousarray(column).tobytes())
    return Dataset(
        minutes=minutes,
        matrix=features.matrix(minutes, os.cpu_count() or 1),
        scale=scale,
        targets={horizon: labels.targets(minutes, horizon, scale) for horizon in HORIZONS},
        rows=np.flatnonzero(features.usable(minutes)),
        digest=digest.hexdigest(),
        repairs=repairs,
    )


def before(dataset: Dataset, until: int) -> Dataset:
    """The dataset with only those rows whose labels, at the longest horizon, end by `until` (µs UTC)."""
    ends = dataset.minutes.start[dataset.rows] + (1 + max(HORIZONS)) * MINUTE
    return replace(dataset, rows=dataset.rows[ends <= until])


def read(path: Path) -> tuple[Minutes, tuple[str, ...]]:
    """Minute bars with columns start, open, high, low, close, volume, and buy_volume, trade_count, complete if there.

    Decimals are the lake's exact units; floats are taken as they are. Disorder is sorted and equal repeats are dropped;
    a row without a price counts as an absent minute; each is told in the second value. Raises UnreadableBarsError where
    columns are missing, repeats contradict each other, or nothing is left.
    """
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    markets = {file.parent.parent for file in files if file.parent.name.startswith("date=")}
    if not files or not all(file.is_file() for file in files):
        raise UnreadableBarsError(f"no Parquet file at {path}")
    if len(markets) > 1:
        raise UnreadableBarsError(f"bars of {len(markets)} markets below {path}: name one market's folder")
    try:
        tables = [_columns(pq.ParquetFile(file)) for file in files]
    except pa.ArrowException as error:
        raise UnreadableBarsError(f"{path} is no readable Parquet: {error}") from error
    columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    columns, repairs = _repaired(columns)
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
        raise UnreadableBarsError(f"{path}: {error}") from error
    absent = len(minutes) - len(columns["start"])
    if absent:
        repairs = (*repairs, f"{absent} absent minutes stand flat at the close before and are unknown")
    return minutes, repairs


def _columns(file: pq.ParquetFile) -> dict[str, npt.NDArray[Any]]:
    names = set(file.schema_arrow.names)
    if missing := sorted({"start", *PRICES, "volume"} - names):
        raise UnreadableBarsError(f"column {', '.join(missing)} is missing; there are {', '.join(sorted(names))}")
    table = file.read(columns=["start", *PRICES, "volume", *(name for name in OPTIONAL if name in names)])
    start = table["start"]
    if pa.types.is_timestamp(start.type):
        start = start.cast(pa.timestamp("us", start.type.tz)).cast(pa.int64())
    columns: dict[str, npt.NDArray[Any]] = {"start": start.cast(pa.int64()).to_numpy()}
    for name in (*PRICES, "volume", "buy_volume", "trade_count"):
        columns[name] = _floats(table[name]) if name in names else np.full(len(start), np.nan)
    columns["complete"] = (
        pc.fill_null(table["complete"], fill_value=False).to_numpy()
        if "complete" in names
        else np.ones(len(start), bool)
    )
    if "source" in names:
        columns["complete"] |= pc.fill_null(pc.equal(table["source"], Source.KLINES), fill_value=False).to_numpy()
    return columns


def _floats(column: pa.ChunkedArray) -> Floats:
    """Nulls are NaN. Decimals of the units' scale become the floats that `Minutes.of_bars` makes of the same units."""
    if not (pa.types.is_decimal128(column.type) and column.type.scale == SCALE):
        return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    if not len(array):
        return np.empty(0)
    # A 128-bit decimal is two words; no price or volume needs the upper one.
    words = np.frombuffer(array.buffers()[1], dtype=np.int64).reshape(-1, 2)[array.offset : array.offset + len(array)]
    return np.where(array.is_null().to_numpy(zero_copy_only=False), np.nan, words[:, 0] / UNIT)


def _repaired(columns: dict[str, npt.NDArray[Any]]) -> tuple[dict[str, npt.NDArray[Any]], tuple[str, ...]]:
    repairs = []
    start = columns["start"]
    if np.any(np.diff(start) < 0):
        repairs.append("rows out of order were sorted")
        order = np.argsort(start, kind="stable")
        columns = {name: column[order] for name, column in columns.items()}
    whole = np.all([np.isfinite(columns[name]) & (columns[name] > 0) for name in PRICES], axis=0)
    whole &= np.isfinite(columns["volume"]) & (columns["volume"] >= 0)
    if not whole.all():
        repairs.append(f"{int((~whole).sum())} rows without a price or volume count as absent")
        columns = {name: column[whole] for name, column in columns.items()}
    again = np.flatnonzero(np.diff(columns["start"]) == 0) + 1
    if len(again):
        _refuse_contradictions(columns, again)
        repairs.append(f"{len(again)} repeated rows were dropped")
        columns = {name: np.delete(column, again) for name, column in columns.items()}
    return columns, tuple(repairs)


def _refuse_contradictions(columns: Mapping[str, npt.NDArray[Any]], again: Ints) -> None:
    for name in (*PRICES, "volume"):
        differing = again[columns[name][again] != columns[name][again - 1]]
        if len(differing):
            moment = np.datetime64(int(columns["start"][differing[0]]), "us")
            raise UnreadableBarsError(f"the minute {moment} is there twice with different {name}: which one is true?")
