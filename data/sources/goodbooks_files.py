"""The published files, wherever they lie (a folder or a zip, plain or gzipped), and their columns, checked.

Every complaint names the file and the row. Rows are counted from 1 below the header, as in the publisher's numbering.
"""

import contextlib
import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn, cast

import polars as pl

from data.loading import SourceError

TABLES = ("books", "ratings", "book_tags", "tags", "to_read")
GENRE_TAGS = "genre_tags.json"
Opener = Callable[[], io.BufferedIOBase]
_CHUNK = 1 << 20
_SHOWN = 40  # characters of a bad value that a message repeats
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile)
AGAIN = "fetch the file again, or run `brs load goodbooks` without a path"


@dataclass(frozen=True)
class Table:
    """A CSV file in memory, decompressed, as it is called where it lies."""

    name: str
    content: bytes

    def refuse(self, row: int, reason: str) -> NoReturn:
        """Stop because of row ``row`` (1 is the first below the header)."""
        raise SourceError(f"{self.name}, row {row} (line {row + 1}): {reason}")


@dataclass(frozen=True)
class Files:
    """The files of one folder or zip, by name."""

    where: str
    openers: Mapping[str, Opener]

    def table(self, stem: str) -> Table:
        name = f"{stem}.csv" if f"{stem}.csv" in self.openers else f"{stem}.csv.gz"
        return Table(name, self._decompressed(name))

    def genre_tags(self) -> bytes | None:
        """The mapping that lies with the data, if one does."""
        return self._decompressed(GENRE_TAGS) if GENRE_TAGS in self.openers else None

    def _decompressed(self, name: str) -> bytes:
        content = bytearray()
        try:
            with contextlib.ExitStack() as stack:
                stream: io.BufferedIOBase = stack.enter_context(self.openers[name]())
                if name.endswith(".gz"):
                    stream = stack.enter_context(gzip.GzipFile(fileobj=stream))
                while chunk := stream.read1(_CHUNK):  # not read(): it would keep back what came before the damage
                    content += chunk
        except _DAMAGED as exc:
            row = max(1, content.count(b"\n"))
            raise SourceError(
                f"{name}, row {row}: the file is damaged or cut off from here on ({exc}); {AGAIN}"
            ) from exc
        except OSError as exc:
            raise SourceError(f"{name} cannot be read: {exc.strerror or exc}") from exc
        return bytes(content).removeprefix(b"\xef\xbb\xbf")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Files]:
    """The files under ``path``: a folder or a zip; they may lie in one folder inside.

    Raises:
        SourceError: there is nothing at ``path``, it cannot be read, or a file of the published five is missing.
    """
    try:
        if path.is_dir():
            yield _complete(str(path), _of_folder(path))
        elif path.exists():
            with zipfile.ZipFile(path) as archive:
                yield _complete(str(path), _of_zip(archive))
        else:
            raise SourceError(
                f"there is nothing at {path}; give the folder or zip of goodbooks-10k, or no path to fetch it"
            )
    except zipfile.BadZipFile as exc:
        raise SourceError(f"{path} is no zip file or is damaged ({exc}); {AGAIN}") from exc
    except OSError as exc:
        raise SourceError(f"{path} cannot be read: {exc.strerror or exc}") from exc


def _of_folder(path: Path) -> dict[str, Opener]:
    folder = path
    inner = [child for child in path.iterdir() if child.is_dir() and not child.name.startswith((".", "__"))]
    if not _wanted(child.name for child in path.iterdir()) and len(inner) == 1:
        folder = inner[0]
    return {child.name: _opener(child) for child in folder.iterdir() if _wanted([child.name])}


def _opener(path: Path) -> Opener:
    return lambda: path.open("rb")


def _of_zip(archive: zipfile.ZipFile) -> dict[str, Opener]:
    openers = {}
    for member in archive.infolist():
        inside = PurePosixPath(member.filename)
        if len(inside.parts) <= 2 and inside.parts[0] != "__MACOSX" and _wanted([inside.name]):  # noqa: PLR2004 - folder, file
            openers[inside.name] = _member(archive, member)
    return openers


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Opener:
    return lambda: cast("zipfile.ZipExtFile", archive.open(member))


def _wanted(names: Iterator[str] | Sequence[str]) -> bool:
    known = {GENRE_TAGS, *(f"{stem}.csv" for stem in TABLES), *(f"{stem}.csv.gz" for stem in TABLES)}
    return any(name in known for name in names)


def _complete(where: str, openers: Mapping[str, Opener]) -> Files:
    missing = [stem for stem in TABLES if f"{stem}.csv" not in openers and f"{stem}.csv.gz" not in openers]
    if missing:
        names = ", ".join(f"{stem}.csv" for stem in missing)
        raise SourceError(f"{where} has no {names} (plain or .gz): it is not the published goodbooks-10k; {AGAIN}")
    return Files(where, openers)


def whole_numbers(table: Table, columns: Sequence[str]) -> pl.DataFrame:
    """The named columns of a file of whole numbers.

    Returns:
        One Int64 column for each name, without nulls, rows in the order of the file.

    Raises:
        SourceError: a column is missing, a row has too few or too many fields or something else than whole numbers.
    """
    header = _header(table, columns)
    _ascii(table)
    content = table.content.rstrip(b"\r\n")
    if b"\n" not in content:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.Int64()))
    try:
        frame = pl.read_csv(content, schema=dict.fromkeys(header, pl.String()), quote_char=None)
    except pl.exceptions.PolarsError as exc:
        _ragged(table, len(header))
        raise SourceError(f"{table.name} cannot be read as CSV: {str(exc).partition(chr(10))[0]}") from exc
    numbers = frame.select(pl.col(name).cast(pl.Int64, strict=False) for name in columns)
    for name in columns:
        bad = numbers[name].is_null().arg_max() if numbers[name].null_count() else None
        if bad is not None:
            table.refuse(bad + 1, f"{name} is {_shown(frame[name][bad])}, not a whole number; {AGAIN}")
    return numbers


def first_refused(table: Table, frame: pl.DataFrame, bad: pl.Expr, reason: Callable[[dict[str, int]], str]) -> None:
    """Stop at the first row of ``frame`` (rows as in the file) where ``bad`` holds."""
    flags = frame.select(bad.alias("bad"))["bad"]
    if flags.any():
        row = flags.arg_max() or 0
        table.refuse(row + 1, reason(frame.row(row, named=True)))


def records(table: Table, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Row number (from 1) and fields of a file with texts; fields may hold commas, quotes and line ends.

    Raises:
        SourceError: a column is missing, a row has too few or too many fields, or is not UTF-8.
    """
    header = _header(table, columns)
    try:
        text = table.content.decode()
    except UnicodeDecodeError as exc:
        table.refuse(table.content.count(b"\n", 0, exc.start), f"not UTF-8 ({exc.reason}); {AGAIN}")
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    number = 0
    try:
        for number, fields in enumerate(rows):
            if number and fields:
                if len(fields) != len(header):
                    table.refuse(number, f"{len(fields)} fields where the header has {len(header)}; {AGAIN}")
                yield number, dict(zip(header, fields, strict=True))
    except csv.Error as exc:
        table.refuse(number + 1, f"{exc}; {AGAIN}")


def _header(table: Table, columns: Sequence[str]) -> list[str]:
    line = table.content.partition(b"\n")[0].decode(errors="replace").strip("\r")
    header = [name.strip().strip('"') for name in line.split(",")]
    missing = [name for name in columns if header.count(name) != 1]
    if missing:
        wanted = ", ".join(missing)
        raise SourceError(f"{table.name}: the header has no column {wanted} (it reads {_shown(line)}); {AGAIN}")
    return header


def _ascii(table: Table) -> None:
    try:
        table.content.decode("ascii")
    except UnicodeDecodeError as exc:
        table.refuse(max(1, table.content.count(b"\n", 0, exc.start)), f"not a number but other text; {AGAIN}")


def _ragged(table: Table, width: int) -> None:
    for row, line in enumerate(io.BytesIO(table.content)):
        fields = line.count(b",") + 1
        if fields != width:
            table.refuse(row, f"{fields} fields where the header has {width}; {AGAIN}")


def _shown(value: str | None) -> str:
    if value is None:
        return "missing"
    return repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "…")
