"""One extraction: everything, or what changed since the last one; then the files, the manifest last."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psycopg

from data.database import connect
from data.lake.copying import chunks
from data.lake.counting import counting
from data.lake.manifest import (
    Extract,
    Part,
    Snapshot,
    checksum,
    fingerprint,
    table_path,
    write_manifest,
)
from data.lake.parts import PARTS, merged, number_of, spill, together, write_part
from data.lake.pseudonyms import name_readers
from data.lake.source import Moment, base, moment
from data.lake.tables import ALL_READERS, CHANGED_READERS, PARTED, WHOLE

ASIDE = ".extract-"


@dataclass(frozen=True)
class _Reading:
    """A transaction that reads, the folder that it writes to, that of the lake, and the rows that Postgres has."""

    connection: psycopg.Connection
    aside: Path
    folder: Path
    now: Moment
    key: bytes
    counted: Callable[[str], int]


def extract(url: str, folder: Path, key: bytes, *, in_full: bool = False) -> Snapshot:
    """Copy the library from Postgres to ``folder``, all tables as of the same moment, in bounded memory.

    Only what changed is read where the last extract can be built on, unless ``in_full``; the files are the same either
    way. Files are written aside and put in place when all of them are complete, the manifest last. A run that dies
    before leaves what was there; what it left behind the next one removes. One extraction at a time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{ASIDE}*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=folder, prefix=ASIDE) as aside, connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        now = moment(connection, key)
        connection.execute("SET LOCAL work_mem = '128MB'")
        with counting(url, connection) as counted:
            reading = _Reading(connection, Path(aside), folder, now, key, counted)
            last, reason = (None, "asked for") if in_full else base(folder, now)
            tables, how = _read(reading, last, reason)
            tables |= {name: _whole(reading, name) for name in WHOLE}
        connection.rollback()
        snapshot = Snapshot(now.taken_at, fingerprint(tables), tables, now.source, now.xmin, how)
        publish(reading.aside, folder, snapshot)
    return snapshot


def _read(reading: _Reading, last: Snapshot | None, reason: str) -> tuple[dict[str, Extract], str]:
    if last is not None:
        tables = _parted(reading, last)
        wrong = [name for name, table in tables.items() if table.rows != table.counted]
        if not wrong:
            return tables, f"what changed since {last.taken_at:%F %T}"
        reason = f"with what changed, {wrong[0]} were not as many as Postgres has"
    return _parted(reading, None), f"in full: {reason}"


def _parted(reading: _Reading, last: Snapshot | None) -> dict[str, Extract]:
    within = {"since": str(last.watermark), "until": str(reading.now.xmax)} if last else {}
    name_readers(reading.connection, reading.key, CHANGED_READERS if last else ALL_READERS, within)
    return {name: _table(reading, name, last.tables[name].parts if last else None, within) for name in PARTED}


def _table(reading: _Reading, name: str, parts: tuple[Part, ...] | None, within: dict[str, str]) -> Extract:
    """A table in parts: those that nothing happened to stay as they are. ``parts`` None: all of it is read."""
    table, room, written = PARTED[name], reading.aside / f"{name}-rows", table_path(reading.aside, name)
    for folder in (room, written):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    select = table.select + ("" if parts is None else table.changed)
    new = spill(chunks(reading.connection, select, table.columns, within), room / "new")
    gone = [
        spill(chunks(reading.connection, one.select, one.columns, within), room / f"gone-{number}")
        for number, one in enumerate(table.gone if parts is not None else ())
    ]
    before = {number_of(part): part for part in parts or ()}
    found = []
    for number in range(PARTS):
        old, fresh = before.get(number), new.rows(number)
        taken = [rows for one in gone if (rows := one.rows(number)) is not None]
        if old is not None and fresh is None and not taken:
            found.append(old)
            continue
        rows = pl.read_parquet(table_path(reading.folder, name) / old.file) if old else None
        if fresh is None:
            fresh = pl.DataFrame(schema=dict(table.columns))
        found.append(write_part(merged(table, rows, taken, fresh), number, written))
    shutil.rmtree(room)
    return together(found, reading.counted(name))


def _whole(reading: _Reading, name: str) -> Extract:
    table, path = WHOLE[name], table_path(reading.aside, name)
    parts = []
    for number, chunk in enumerate(chunks(reading.connection, table.select, table.columns)):
        parts.append(reading.aside / f"{name}-{number}.parquet")
        chunk.write_parquet(parts[-1])
    if len(parts) == 1:
        parts[0].replace(path)
    else:
        pl.scan_parquet(parts).sink_parquet(path)
        for part in parts:
            part.unlink()
    rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
    return Extract(rows, reading.counted(name), path.stat().st_size, checksum(path))


def publish(aside: Path, folder: Path, snapshot: Snapshot) -> None:
    """Put the files in place, then the manifest, which makes them the lake; then remove what is not of it."""
    for name in PARTED:
        place = table_path(folder, name)
        if place.is_file():
            place.unlink()
        place.mkdir(exist_ok=True)
        for part in table_path(aside, name).iterdir():
            part.replace(place / part.name)
    for name in WHOLE:
        table_path(aside, name).replace(table_path(folder, name))
    write_manifest(folder, snapshot)
    for name in PARTED:
        kept = {part.file for part in snapshot.tables[name].parts}
        for part in table_path(folder, name).iterdir():
            if part.name not in kept:
                part.unlink()
