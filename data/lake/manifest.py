"""The folder of the lake: which files are of the last extraction, and what was computed from it."""

import datetime as dt
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import polars as pl

MANIFEST = "snapshot.json"


class LakeUnreadable(RuntimeError):
    """A file of the lake is missing or does not belong to its snapshot; the message says which and what to do."""


@dataclass(frozen=True)
class Part:
    """A file of a table that is kept in parts. It is named after its content, so it is never written over."""

    file: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Extract:
    """One table of a snapshot: rows written, rows Postgres counted in the same moment, and its file or parts.

    ``sha256`` is of the file; of a table in parts it is of their checksums, in the order of their readers.
    """

    rows: int
    counted: int
    bytes: int
    sha256: str
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """What one extraction wrote.

    Attributes:
        taken_at: The one moment that all tables are of.
        fingerprint: The same for the same data under the same key, however it came about.
        tables: What was written.
        source: Which database it is of, under which key, in which form: the next extraction builds on this one where
            all of it is the same.
        watermark: Transactions before this one are in the extract; of later ones, some may be.
        how: In full or in part, and why.
    """

    taken_at: dt.datetime
    fingerprint: str
    tables: Mapping[str, Extract]
    source: Mapping[str, str] = field(default_factory=dict)
    watermark: int = 0
    how: str = ""


def table_path(folder: Path, name: str) -> Path:
    """A file, or the folder of a table's parts. DuckDB and polars read either."""
    return folder / f"{name}.parquet"


def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(tables: Mapping[str, Extract]) -> str:
    together = "".join(f"{name} {table.sha256}\n" for name, table in sorted(tables.items()))
    return hashlib.sha256(together.encode()).hexdigest()[:16]


def write_manifest(folder: Path, snapshot: Snapshot) -> None:
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
        tables = {
            name: Extract(**table | {"parts": tuple(Part(**part) for part in table.get("parts", ()))})
            for name, table in found["tables"].items()
        }
        taken_at = dt.datetime.fromisoformat(found["taken_at"])
        return Snapshot(**found | {"taken_at": taken_at, "tables": tables})
    except FileNotFoundError as exc:
        raise LakeUnreadable(f"nothing was extracted to {folder} yet: run `brs pipeline run`") from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise LakeUnreadable(f"{folder / MANIFEST} is damaged: run `brs pipeline run` again") from exc


def parts_paths(folder: Path, name: str, parts: Sequence[Part]) -> list[Path]:
    return [table_path(folder, name) / part.file for part in parts]


def files(folder: Path, name: str) -> list[Path]:
    """The files that make up a table, in the order of its rows.

    What a killed extraction left beside them is not among them.

    Raises:
        LakeUnreadable: one is not there.
    """
    path = table_path(folder, name)
    found = [path]
    if path.is_dir():
        table = last_snapshot(folder).tables.get(name)
        found = parts_paths(folder, name, table.parts) if table and table.parts else [path / "parts"]
    for one in found:
        if not one.exists():
            raise LakeUnreadable(f"{one} is missing: run `brs pipeline run`")
    return found


def scan(folder: Path, name: str) -> pl.LazyFrame:
    """A table of the lake, lazily. Raises LakeUnreadable when it is not there."""
    return pl.scan_parquet(files(folder, name), glob=False)


def store(folder: Path, name: str, frame: pl.DataFrame) -> Path:
    """Add what was computed from the snapshot to the lake: written aside, then put in place."""
    folder.mkdir(parents=True, exist_ok=True)
    path, aside = table_path(folder, name), folder / f".{name}.{os.getpid()}"
    frame.write_parquet(aside)
    if path.is_dir():
        shutil.rmtree(path)
    return aside.replace(path)


def is_of_snapshot(folder: Path, name: str, snapshot: Snapshot) -> bool:
    """Whether the files in place are those that this snapshot wrote, and no others."""
    path, table = table_path(folder, name), snapshot.tables[name]
    if not path.is_dir():
        return path.exists() and checksum(path) == table.sha256
    there = {one.name for one in path.iterdir()}
    return there == {part.file for part in table.parts} and are_whole(folder, name, table.parts)


def are_whole(folder: Path, name: str, parts: Sequence[Part]) -> bool:
    paths = parts_paths(folder, name, parts)
    return all(path.is_file() and checksum(path) == part.sha256 for path, part in zip(paths, parts, strict=True))
