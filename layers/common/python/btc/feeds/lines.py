"""Files of rows, plain, gzipped or zipped, as runs of whole lines: however long the file, memory stays the same."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple, cast
from zipfile import BadZipFile, ZipFile, is_zipfile

from btc.history import Fault

_SIZE: Final = 1 << 20
_LONGEST: Final = 1 << 20
"""No row is so long."""
_GZIP: Final = b"\x1f\x8b"


class FileError(ValueError):
    """A file that cannot be read, or is not what it should be; the message names it and says why."""


class Block(NamedTuple):
    """Whole lines, each with its end; `first` is the number of the first, from 1."""

    first: int
    data: bytes

    def lines(self) -> Iterator[tuple[int, str]]:
        """(number, text) of each line that is not empty; bytes that are no UTF-8 show as such."""
        for number, line in enumerate(self.data.split(b"\n")[:-1], self.first):
            if line:
                yield number, line.decode(errors="backslashreplace")

    @property
    def last(self) -> int:
        return self.first + self.data.count(b"\n") - 1


@dataclass(slots=True)
class LineFile:
    """One file; `share` of it has been read."""

    path: Path
    share: float = 0.0

    def blocks(self, size: int = _SIZE) -> Iterator[Block]:
        """All lines in their order. Raises FileError where it cannot be read to its end."""
        length = max(self.path.stat().st_size, 1)
        first, rest = 1, b""
        try:
            with ExitStack() as stack:
                raw = stack.enter_context(self.path.open("rb"))
                content = self._content(raw, stack)
                while data := content.read(size):
                    self.share = min(raw.tell() / length, 1.0)
                    data, newline, rest = (rest + data).rpartition(b"\n")
                    if newline:
                        block = Block(first, data.replace(b"\r\n", b"\n").removesuffix(b"\r") + newline)
                        yield block
                        first = block.last + 1
                    elif len(rest) > _LONGEST:
                        raise FileError(f"{self.path.name}: line {first} never ends: this is no text")
        except (OSError, EOFError, RuntimeError, zlib.error, BadZipFile) as error:
            raise FileError(f"{self.path.name} cannot be read to its end: {error}") from error
        self.share = 1.0
        if rest:
            yield Block(first, rest.removesuffix(b"\r") + b"\n")

    def digest(self) -> str:
        """SHA-256 of the file as it lies there, in hexadecimal."""
        try:
            with self.path.open("rb") as raw:
                return hashlib.file_digest(raw, "sha256").hexdigest()
        except OSError as error:
            raise FileError(f"{self.path} cannot be read: {error.strerror}") from error

    def _content(self, raw: IO[bytes], stack: ExitStack) -> IO[bytes]:
        if is_zipfile(raw):
            raw.seek(0)
            archive = stack.enter_context(ZipFile(raw))
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(names) != 1:
                raise FileError(f"{self.path.name} holds {len(names)} files: only one could be meant")
            return stack.enter_context(archive.open(names[0]))
        raw.seek(0)
        gzipped = raw.read(2) == _GZIP
        raw.seek(0)
        return cast("IO[bytes]", stack.enter_context(gzip.open(raw))) if gzipped else raw


def fault(line: int, error: ValueError, text: str) -> Fault:
    """What is told of a row that does not read: the beginning of it is enough to find it."""
    return Fault(line, str(error), text[:200])
