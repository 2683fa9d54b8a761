"""The lake: what the pipeline learns from, as Parquet files of one moment.

Readers appear under pseudonyms: a keyed hash of their id. The key never leaves this process and its file, not even for
the database, so the files alone, or with a list of user ids, do not say who rated what.
"""

import datetime as dt
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import LiteralString
from uuid import UUID

import polars as pl
import psycopg

from data.database import connect

MOMENT = pl.Datetime("us", "UTC")
KEY_FILE = "lake.key"
SHORTEST_KEY = 16  # characters of a key given as text
CHUNK_BYTES = 32_000_000  # of CSV at a time: what bounds the memory, whatever the size of the library
PSEUDONYM_BYTES = (
    8  # a 64-bit integer; two of a million readers collide with probability 3e-8, and a collision is refused
)
MANIFEST = "snapshot.json"
ASIDE = ".extract-"


@dataclass(frozen=True)
class _Table:
    select: LiteralString
    count: LiteralString
    columns: Mapping[str, pl.DataType]


# Whatever else a database holds, the pipeline reads this of it: no e-mail, no name, no password, no text of a review.
_TABLES: Mapping[str, _Table] = MappingProxyType(
    {
        "ratings": _Table(
            "SELECT p.reader, r.book_id, r.rating, r.created_at AT TIME ZONE 'UTC', r.updated_at AT TIME ZONE 'UTC'"
            " FROM reviews AS r JOIN pseudonyms AS p USING (user_id) ORDER BY p.reader, r.created_at, r.id",
            "SELECT count(*) FROM reviews",
            {
                "reader": pl.Int64(),
                "book_id": pl.String(),
                "rating": pl.Int8(),
                "created_at": MOMENT,
                "updated_at": MOMENT,
            },
        ),
        "books": _Table(
            "SELECT id, title, author, isbn, description, publication_date, series, series_position, language,"
            " created_at AT TIME ZONE 'UTC' FROM books ORDER BY id",
            "SELECT count(*) FROM books",
            {
                "id": pl.String(),
                "title": pl.String(),
                "author": pl.String(),
                "isbn": pl.String(),
                "description": pl.String(),
                "publication_date": pl.Date(),
                "series": pl.String(),
                "series_position": pl.Float64(),
                "language": pl.String(),
                "created_at": MOMENT,
            },
        ),
        "genres": _Table(
            "SELECT id, name, description FROM genres ORDER BY id",
            "SELECT count(*) FROM genres",
            {"id": pl.String(), "name": pl.String(), "description": pl.String()},
        ),
        "book_genres": _Table(
            "SELECT book_id, genre_id FROM book_genres ORDER BY book_id, genre_id",
            "SELECT count(*) FROM book_genres",
            {"book_id": pl.String(), "genre_id": pl.String()},
        ),
    }
)
TABLES = tuple(_TABLES)


class LakeUnreadable(RuntimeError):
    """A file of the lake is missing or does not belong to its snapshot; the message says which and what to do."""


@dataclass(frozen=True)
class Extract:
    """One table of a snapshot: rows written, rows Postgres counted in the same moment, and the file."""

    rows: int
    counted: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Snapshot:
    """What one extraction wrote. ``fingerprint`` is the same for the same data under the same key."""

    taken_at: dt.datetime
    fingerprint: str
    tables: Mapping[str, Extract]


def lake_key(home: Path, given: str | None = None) -> bytes:
    """The key of the pseudonyms: from ``given``, or from 32 random bytes in a file of ``home``.

    The file is made on first use, readable by its owner alone.

    Raises:
        ValueError: ``given`` is too short to be secret.
    """
    if given is not None:
        if len(given) < SHORTEST_KEY:
            raise ValueError(f"BRS_LAKE_KEY is too short: give at least {SHORTEST_KEY} random characters")
        return hashlib.sha256(given.encode()).digest()
    path = home / KEY_FILE
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=home, prefix=f".{KEY_FILE}.")  # mkstemp: 0600 from the start
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        try:
            os.link(name, path)  # unlike a rename this never replaces a key that another process made meanwhile
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
    return hashlib.sha256(path.read_bytes().strip()).digest()


def pseudonym(key: bytes, user_id: UUID) -> int:
    """A reader's name in the lake: BLAKE2b (RFC 7693) keyed with ``key``, as a signed 64-bit integer."""
    digest = hashlib.blake2b(user_id.bytes, key=key, digest_size=PSEUDONYM_BYTES).digest()
    return int.from_bytes(digest, "big", signed=True)


def extract(url: str, folder: Path, key: bytes) -> Snapshot:
    """Copy the library from Postgres to ``folder``, all tables as of the same moment, in bounded memory.

    Files are written aside and put in place when all of them are complete; the manifest comes last, so a run that dies
    between two of them is found out by ``is_of_snapshot``. One extraction at a time: what a killed one left is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{ASIDE}*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=folder, prefix=ASIDE) as aside, connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SET LOCAL work_mem = '128MB'")
        row = connection.execute("SELECT statement_timestamp()").fetchone()
        _name_readers(connection, key)
        written = {name: _copy(connection, name, Path(aside)) for name in TABLES}
        connection.rollback()
        together = hashlib.sha256("".join(f"{name} {table.sha256}\n" for name, table in written.items()).encode())
        taken_at = row[0].astimezone(dt.UTC) if row else dt.datetime.now(dt.UTC)
        snapshot = Snapshot(taken_at, together.hexdigest()[:16], written)
        for name in TABLES:
            (Path(aside) / f"{name}.parquet").replace(folder / f"{name}.parquet")
        _write_manifest(folder, snapshot)
    return snapshot


def _name_readers(connection: psycopg.Connection, key: bytes) -> None:
    """Give every reader a pseudonym, in a temporary table: Postgres sorts by it, and never sees the key.

    Sorted by pseudonym and not by user id: otherwise the n-th reader of the file were the n-th of a list of user ids.
    """
    connection.execute(
        "CREATE TEMPORARY TABLE pseudonyms (user_id uuid PRIMARY KEY, reader bigint NOT NULL UNIQUE) ON COMMIT DROP"
    )
    readers: list[UUID] = [row[0] for row in connection.execute("SELECT DISTINCT user_id FROM reviews")]
    with connection.cursor().copy("COPY pseudonyms FROM STDIN") as copy:
        for user_id in readers:
            copy.write_row((user_id, pseudonym(key, user_id)))
    connection.execute("ANALYZE pseudonyms")


def _copy(connection: psycopg.Connection, name: str, aside: Path) -> Extract:
    table, path = _TABLES[name], aside / f"{name}.parquet"
    row = connection.execute(table.count).fetchone()
    parts = []
    for number, chunk in enumerate(_chunks(connection, table)):
        parts.append(aside / f"{name}-{number}.parquet")
        chunk.write_parquet(parts[-1])
    if len(parts) == 1:
        parts[0].replace(path)
    else:
        pl.scan_parquet(parts).sink_parquet(path)
        for part in parts:
            part.unlink()
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
    return Extract(rows, int(row[0]) if row else 0, path.stat().st_size, sha256)


def _chunks(connection: psycopg.Connection, table: _Table) -> Iterator[pl.DataFrame]:
    """The table in frames of about ``CHUNK_BYTES``; at least one, perhaps empty."""
    pending = bytearray()
    null = secrets.token_hex(
        16
    )  # polars does not tell a quoted NULL marker from a bare one: nobody may have written it
    statement = f"COPY ({table.select}) TO STDOUT (FORMAT csv, NULL '{null}')".encode()
    with connection.cursor().copy(statement) as copy:
        for rows in copy:  # Postgres sends whole rows, so a chunk may end wherever a message does
            pending += rows
            if len(pending) >= CHUNK_BYTES:
                yield _frame(bytes(pending), table.columns, null)
                pending.clear()
    yield _frame(bytes(pending), table.columns, null)


def _frame(csv: bytes, columns: Mapping[str, pl.DataType], null: str) -> pl.DataFrame:
    moments = [name for name, kind in columns.items() if kind == MOMENT]
    read = {name: pl.String() if kind == MOMENT else kind for name, kind in columns.items()}
    if not csv:
        return pl.DataFrame(schema=dict(columns))
    frame = pl.read_csv(csv, has_header=False, schema=read, null_values=null, empty_string_is_null=False)
    return frame.with_columns(
        pl.col(moments).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC", strict=True)
    )


def _write_manifest(folder: Path, snapshot: Snapshot) -> None:
    aside = folder / f".{MANIFEST}.{os.getpid()}"
    aside.write_text(json.dumps(asdict(snapshot) | {"taken_at": snapshot.taken_at.isoformat()}, indent=1))
    aside.replace(folder / MANIFEST)


def last_snapshot(folder: Path) -> Snapshot:
    """What the last complete extraction wrote.

    Raises:
        LakeUnreadable: there was none, or its manifest is damaged.
    """
    try:
        found = json.loads((folder / MANIFEST).read_text())
        return Snapshot(
            dt.datetime.fromisoformat(found["taken_at"]),
            found["fingerprint"],
            {name: Extract(**table) for name, table in found["tables"].items()},
        )
    except FileNotFoundError as exc:
        raise LakeUnreadable(f"nothing was extracted to {folder} yet: run `brs pipeline run`") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise LakeUnreadable(f"{folder / MANIFEST} is damaged: run `brs pipeline run` again") from exc


def scan(folder: Path, name: str) -> pl.LazyFrame:
    """A table of the lake, lazily. Raises LakeUnreadable when it is not there."""
    path = folder / f"{name}.parquet"
    if not path.exists():
        raise LakeUnreadable(f"{path} is missing: run `brs pipeline run`")
    return pl.scan_parquet(path)


def store(folder: Path, name: str, frame: pl.DataFrame) -> Path:
    """Add what was computed from the snapshot to the lake: written aside, then put in place."""
    folder.mkdir(parents=True, exist_ok=True)
    path, aside = folder / f"{name}.parquet", folder / f".{name}.{os.getpid()}"
    frame.write_parquet(aside)
    return aside.replace(path)


def is_of_snapshot(folder: Path, name: str, snapshot: Snapshot) -> bool:
    """Whether the file in place is the one that this snapshot wrote."""
    path = folder / f"{name}.parquet"
    if not path.exists():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == snapshot.tables[name].sha256
