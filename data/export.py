"""The analysts' files: the lake as a DuckDB database with a comment on everything, and the same tables as Parquet."""

import datetime as dt
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from data.dictionary import TABLES, VIEWS, Table
from data.lake import scan


def parquet_folder(out: Path) -> Path:
    """Where the Parquet files of the export ``out`` are: a link to the newest version, ``<name>-parquet`` beside it."""
    return out.with_name(f"{out.stem}-parquet")


def export(lake: Path, out: Path) -> dict[str, int]:
    """Write the lake as one DuckDB file, and as a folder of Parquet files beside it.

    Both are built aside, completely, and then swapped in, each in one step: nobody sees half of a new one. Who has the
    old DuckDB file open goes on reading it; the old Parquet version goes at once, with the accounts that were erased
    since. One export of a folder at a time; what a killed one left is removed.

    Returns:
        Rows per table.

    Raises:
        data.lake.LakeUnreadable: a table was not extracted yet.
        OSError: the files cannot be written.
    """
    try:
        return _export(lake, out)
    except (OSError, duckdb.IOException) as exc:
        reason = getattr(exc, "strerror", None) or str(exc).splitlines()[0]
        raise OSError(f"cannot write {out}: {reason}") from exc


def _export(lake: Path, out: Path) -> dict[str, int]:
    out.parent.mkdir(parents=True, exist_ok=True)
    link = parquet_folder(out)
    if out.is_dir() or (link.exists() and not link.is_symlink()):
        raise FileExistsError(f"{out if out.is_dir() else link} is in the way")
    now = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S%f")
    aside, version = out.with_name(f".{out.name}.aside"), link.with_name(f".{link.name}.{now}")
    with _alone(out.parent), _cleared(aside, link):
        version.mkdir()
        for name, table in TABLES.items():
            _write_parquet(scan(lake, table.source), name, table, version / f"{name}.parquet")
        rows = _build(aside, version)
        pointer = link.with_name(f".{link.name}.link")
        pointer.symlink_to(version.name)
        aside.replace(out)
        pointer.replace(link)
    return rows


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else exports to this folder. The lock goes with the process, however that dies."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _cleared(aside: Path, link: Path) -> Iterator[None]:
    """Before and after, whatever happens between: no file half made, and no version but the one swapped in."""
    _clear(aside, link)
    try:
        yield
    finally:
        _clear(aside, link)


def _clear(aside: Path, link: Path) -> None:
    for left in (aside, aside.with_name(f"{aside.name}.wal"), link.with_name(f".{link.name}.link")):
        left.unlink(missing_ok=True)
    current = link.readlink().name if link.is_symlink() else ""
    versions = sorted((path for path in link.parent.glob(f".{link.name}.*") if path.is_dir()), reverse=True)
    swapped_in = [path for path in versions if path.name <= current]
    for path in versions:
        if path not in swapped_in[:1]:
            shutil.rmtree(path)


def _write_parquet(lake: pl.LazyFrame, name: str, table: Table, path: Path) -> None:
    """Streamed: the largest table is never in memory as a whole."""
    meanings = {column: told.meaning for column, told in table.columns.items()}
    made = lake.select(pl.col(told.source).alias(column) for column, told in table.columns.items())
    made.sink_parquet(path, metadata={"table": name, "comment": table.meaning, "columns": json.dumps(meanings)})


def _build(file: Path, parquet: Path) -> dict[str, int]:
    """The DuckDB file from the Parquet files. Returns rows per table."""
    with duckdb.connect(file) as connection:
        rows = {name: _fill(connection, name, table, parquet) for name, table in TABLES.items()}
        for name, view in VIEWS.items():
            connection.execute(f"CREATE VIEW {name} AS {view.query}")
            _comment(connection, "VIEW", name, view.meaning, view.columns)
    return rows


def _fill(connection: duckdb.DuckDBPyConnection, name: str, table: Table, parquet: Path) -> int:
    made = ", ".join(f'"{column}"::{told.kind} AS "{column}"' for column, told in table.columns.items())
    connection.read_parquet(str(parquet / f"{name}.parquet")).project(made).create(name)
    _comment(connection, "TABLE", name, table.meaning, {column: told.meaning for column, told in table.columns.items()})
    return len(connection.table(name))


def _comment(
    connection: duckdb.DuckDBPyConnection, kind: str, name: str, meaning: str, columns: Mapping[str, str]
) -> None:
    connection.execute(f"COMMENT ON {kind} {name} IS {_quoted(meaning)}")
    for column, explained in columns.items():
        connection.execute(f"COMMENT ON COLUMN {name}.{column} IS {_quoted(explained)}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
