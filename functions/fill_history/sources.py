"""Where the past comes from: a venue's REST history, Binance's dumps, files; each goes on from a cursor."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from btc.bars import Bar
from btc.feeds.binance_dumps import Dumps, Kind, read_kline, read_trades
from btc.feeds.downloads import DownloadError, Downloads
from btc.feeds.feed import History
from btc.feeds.lines import FileError, LineFile
from btc.feeds.minute_files import Minutes, Rows, read_minutes
from btc.history import Cursor, Fault
from btc.times import SECOND
from btc.trades import Market, Trades

Tell = Callable[..., None]
"""Told of what is out of the ordinary: tell("skipped", extra={…})."""

BLOCK: Final = 4 << 20
"""Of trades: a request to the stream or two for each."""


class Step(NamedTuple):
    """A part of the past, and where the fill stands once it is delivered."""

    entries: Trades | Sequence[Bar]
    faults: Sequence[Fault]
    cursor: Cursor
    share: float
    """How much of the whole is done, from 0 to 1."""
    over: int | None = None
    """The source has told all it has from before this time (µs)."""


class Source(Protocol):
    """Parts of a market's past in their order."""

    def steps(self, cursor: Cursor) -> Iterator[Step]:
        """From the cursor to its end. Raises HistoryError, DownloadError or FileError."""
        ...


@dataclass(frozen=True, slots=True)
class RestSource:
    """The venue's own history, a page a step."""

    history: History
    market: Market
    since: int

    def steps(self, cursor: Cursor) -> Iterator[Step]:
        whole = max(cursor.until - self.since, 1)
        # The venue's clock may step back between two trades: those known already are told apart by their ids.
        backfill = self.history.after(self.market, cursor.last_id, max(cursor.time - SECOND, self.since))
        time = cursor.time
        while (page := backfill.step()) is not None:
            part = page.take([row for row, at in enumerate(page.times) if self.since <= at < cursor.until])
            time = max([time, *page.times])
            over = cursor.until if time >= cursor.until else None
            yield Step(part, (), cursor, min((time - self.since) / whole, 1.0), over)
            if over:
                return


@dataclass(frozen=True, slots=True)
class DumpSource:
    """Binance's dumps, downloaded one by one; nothing of a file is used before its checksum has proven it."""

    dumps: Dumps
    market: Market
    kind: Kind
    since: int
    tell: Tell

    def steps(self, cursor: Cursor) -> Iterator[Step]:
        whole = cursor.until - self.since
        for dump, digest in self.dumps.plan(self.market, self.kind, cursor.since, cursor.until):
            if digest is None:
                self.tell("not published", extra={"file": dump.name})
                cursor = replace(cursor, absent=cursor.absent or dump.start)
            after = replace(cursor, since=dump.end, piece="", digest="", rows=0)
            if digest is None:
                yield Step((), (), after, (dump.end - self.since) / whole)
                continue
            self.tell("file", extra={"file": dump.name})
            done = _rows_done(cursor, dump.name, digest, self.tell)
            at = replace(cursor, since=dump.start, piece=dump.name, digest=digest)
            with TemporaryDirectory() as folder:
                target = Path(folder, dump.name)
                self.dumps.fetch(dump, digest, target)
                file = LineFile(target)
                for step in self._read(file, replace(at, rows=done)):
                    share = (dump.start - self.since + file.share * (dump.end - dump.start)) / whole
                    yield step._replace(share=share)
            yield Step((), (), after, (dump.end - self.since) / whole, dump.end)

    def _read(self, file: LineFile, at: Cursor) -> Iterator[Step]:
        if self.kind is Kind.KLINES:
            yield from _bars(Rows(partial(read_kline, self.market)).of(file.blocks()), at)
            return
        for block in file.blocks(BLOCK):
            if block.last > at.rows:
                trades, faults = read_trades(block, self.market)
                yield Step(trades, faults, replace(at, rows=block.last), 0.0)


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file of minutes on this machine, or one at an address, which is fetched first."""

    place: str
    form: str
    market: Market
    since: int
    now: int
    utc: bool
    tell: Tell
    downloads: Downloads

    @property
    def name(self) -> str:
        # An address's query may be a signature, which is another each time.
        return urlsplit(self.place).path.rpartition("/")[2]

    @property
    def identity(self) -> str:
        """What tells it from other files: a file here by what it holds, so that one that has grown is another."""
        if self._is_address:
            return urlsplit(self.place)._replace(query="", fragment="").geturl()
        return f"{self.name}:{LineFile(Path(self.place)).digest()}"

    @property
    def _is_address(self) -> bool:
        return self.place.startswith(("http://", "https://"))

    def steps(self, cursor: Cursor) -> Iterator[Step]:
        with TemporaryDirectory() as folder:
            path = self._fetched(Path(folder))
            file = LineFile(path)
            digest = file.digest()
            done = _rows_done(cursor, self.name, digest, self.tell)
            at = replace(cursor, piece=self.name, digest=digest, rows=done)
            read, faults = done, list[Fault]()
            try:
                for step in _bars(read_minutes(self.form, self.market, file.blocks(), utc=self.utc), at):
                    read += len(step.entries)
                    faults += step.faults[: 1 - len(faults)]
                    bars = [bar for bar in step.entries if isinstance(bar, Bar) and self._asked(bar, cursor.until)]
                    yield Step(bars, step.faults, step.cursor if read else at, file.share)
            except FileError as error:
                raise FileError(f"{self.name}: {error}") from error
            if faults and not read:
                raise FileError(f"not one row of {self.name} is of the form {self.form}: {faults[0].cause}")

    def _asked(self, bar: Bar, until: int) -> bool:
        # A minute that is not over yet is a promise, not a bar.
        return self.since <= bar.start < until and bar.end <= self.now

    def _fetched(self, folder: Path) -> Path:
        if not self._is_address:
            return Path(self.place)
        target = folder / self.name
        if self.downloads.fetch(self.place, target) is None:
            raise DownloadError(f"{self.name} is not at its address (404)")
        return target


def _bars(parts: Iterator[Minutes], at: Cursor) -> Iterator[Step]:
    """Read from the file's beginning, since rows are judged by those before them; told from `at` on."""
    for bars, faults, rows in parts:
        if rows > at.rows:
            new = [fault for fault in faults if fault.line > at.rows]
            yield Step(bars, new, replace(at, rows=rows), 0.0)


def _rows_done(cursor: Cursor, name: str, digest: str, tell: Tell) -> int:
    """How many rows of this file are done already."""
    if cursor.piece != name or not cursor.rows:
        return 0
    if cursor.digest == digest:
        tell("file gone on with", extra={"file": name, "rows": cursor.rows})
        return cursor.rows
    tell("issued anew since, begun again", extra={"file": name})
    return 0
