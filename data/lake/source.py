"""Which database an extraction reads, at which moment, and whether the last one can be built on."""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psycopg

from data.lake.manifest import LakeUnreadable, Snapshot, are_whole, last_snapshot, table_path
from data.lake.parts import PARTS
from data.lake.pseudonyms import key_check
from data.lake.tables import PARTED, WHOLE

# The numbers of transactions mean something only within one history of one database.
_MOMENT = """
SELECT statement_timestamp(), pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
    (SELECT forgotten::text::bigint FROM tombstone_horizon),
    (SELECT oid::text FROM pg_database WHERE datname = current_database()),
    concat_ws(' ', 'reviews'::regclass::oid, 'favorites'::regclass::oid, 'served_pages'::regclass::oid,
        'served_picks'::regclass::oid, 'feedback_events'::regclass::oid, 'tombstones'::regclass::oid),
    has_function_privilege('pg_control_system()', 'EXECUTE')
        AND has_function_privilege('pg_control_checkpoint()', 'EXECUTE')
"""
# A promoted or restored server goes on with another timeline.
_SERVER = """
SELECT s.system_identifier::text, c.timeline_id::text FROM pg_control_system() AS s, pg_control_checkpoint() AS c
"""
_MEANING: Mapping[str, str] = {
    "key": "it has pseudonyms of another key",
    "form": "it has another form, of another release",
    "server": "it is of another server",
    "timeline": "the server was restored or promoted since",
    "database": "it is of another database",
    "tables": "the tables were made anew since",
}


@dataclass(frozen=True)
class Moment:
    """What an extraction sees.

    Attributes:
        taken_at: When.
        source: Which database, key and form: see ``Snapshot``.
        xmin: All transactions before this one have ended.
        xmax: None from this one on is seen.
        forgotten: Deletions by this one and those before it may not be known any more.
    """

    taken_at: dt.datetime
    source: Mapping[str, str]
    xmin: int
    xmax: int
    forgotten: int


def moment(connection: psycopg.Connection, key: bytes) -> Moment:
    """Begins the transaction's snapshot. What it says of the server is empty where the user may not ask."""
    row = connection.execute(_MOMENT).fetchone()
    if row is None:
        raise psycopg.DatabaseError("no answer")
    taken_at, xmin, xmax, forgotten, database, tables, may_ask = row
    server = (connection.execute(_SERVER).fetchone() if may_ask else None) or ("", "")
    source = {
        "key": key_check(key),
        "form": _form(),
        "server": server[0],
        "timeline": server[1],
        "database": database,
        "tables": tables,
    }
    # A number that this server has not reached came with a dump of another.
    return Moment(taken_at.astimezone(dt.UTC), source, xmin, xmax, forgotten if forgotten and forgotten < xmax else 0)


def _form() -> str:
    """Of the files: the same tables, written by the same polars, have the same bytes."""
    return hashlib.sha256(repr((dict(PARTED), dict(WHOLE), PARTS, pl.__version__)).encode()).hexdigest()[:16]


def base(folder: Path, now: Moment) -> tuple[Snapshot | None, str]:
    """The extract that the next one can be built on, else None and why not."""
    try:
        last = last_snapshot(folder)
    except LakeUnreadable as exc:
        return None, "its manifest is damaged" if "damaged" in str(exc) else "there was none before"
    for name, meaning in _MEANING.items():
        if last.source.get(name) != now.source[name]:
            return None, meaning
    if last.watermark > now.xmin:
        return None, "the database is older than it"
    if now.forgotten >= last.watermark:
        return None, "deletions since then are not known any more"
    for name in PARTED:
        if not table_path(folder, name).is_dir() or not are_whole(folder, name, last.tables[name].parts):
            return None, f"its {name} are damaged"
    return last, ""
