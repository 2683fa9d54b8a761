"""Extractions that read only what changed: the same as reading everything, or they read everything and say so."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from data import lake
from data.database import connect
from data.lake.source import base, moment
from tests.data.lakes import (
    EPOCH,
    KEY,
    add_book,
    add_reader,
    content,
    fill,
    keep,
    rate,
    readers_in_files,
    same,
    show,
)

ERASED = UUID(int=7)
Night = Callable[[psycopg.Connection, random.Random], object]


@pytest.fixture
def library(database_url: str) -> Iterator[psycopg.Connection]:
    with connect(database_url) as connection, connection.pipeline():
        fill(connection)
    with connect(database_url, autocommit=True) as connection:
        yield connection


def some(connection: psycopg.Connection, table: str, rng: random.Random) -> list[UUID]:
    ids: list[UUID] = [row[0] for row in connection.execute(f"SELECT id FROM {table} ORDER BY id")]
    return rng.sample(ids, 6)


def new_readers(connection: psycopg.Connection, rng: random.Random) -> None:
    for _ in range(3):
        reader = add_reader(connection, uuid4())
        for book in some(connection, "books", rng):
            rate(connection, reader, book, rng.randint(1, 5))


def readers_go_on(connection: psycopg.Connection, rng: random.Random) -> None:
    for reader in some(connection, "users", rng):
        book, *others = some(connection, "books", rng)
        rate(connection, reader, book, 3)
        keep(connection, reader, book)
        page = show(connection, reader, [book, *others], clicked=2)
        connection.execute(
            "INSERT INTO feedback_events (page_id, book_id, event) VALUES (%s, %s, 'read')", (page, book)
        )


# What can happen to a library in a day.
HAPPENINGS: dict[str, Night] = {
    "new readers": new_readers,
    "readers go on": readers_go_on,
    "ratings change": lambda c, rng: c.execute(
        "UPDATE reviews SET rating = 6 - rating, created_at = created_at + interval '1 hour' WHERE id = ANY (%s)",
        (some(c, "reviews", rng),),
    ),
    "reviews go": lambda c, rng: c.execute("DELETE FROM reviews WHERE id = ANY (%s)", (some(c, "reviews", rng),)),
    "favourites go": lambda c, rng: c.execute(
        "DELETE FROM favorites WHERE user_id = ANY (%s)", (some(c, "users", rng),)
    ),
    "a review comes back": lambda c, _: (
        c.execute(
            "WITH gone AS (DELETE FROM reviews WHERE id = (SELECT min(id::text)::uuid FROM reviews)"
            " RETURNING user_id, book_id) SELECT * FROM gone"
        ).fetchall()
        and c.execute(
            "INSERT INTO reviews (user_id, book_id, rating) SELECT user_id, book_id, 1 FROM tombstones"
            " WHERE of = 'reviews' ORDER BY id DESC LIMIT 1"
        )
    ),
    "reviews move to another book": lambda c, rng: c.execute(
        "UPDATE reviews SET book_id = %s WHERE id = ANY (%s)",
        (add_book(c, "Second edition"), some(c, "reviews", rng)[:1]),
    ),
    "a book goes": lambda c, rng: c.execute("DELETE FROM books WHERE id = %s", (some(c, "books", rng)[0],)),
    "pages grow old": lambda c, rng: c.execute(
        "DELETE FROM served_pages WHERE id = ANY (%s)", (some(c, "served_pages", rng),)
    ),
    "one event goes": lambda c, _: c.execute(
        "DELETE FROM feedback_events WHERE id = (SELECT max(id) FROM feedback_events)"
    ),
    "an account is erased": lambda c, rng: c.execute("DELETE FROM users WHERE id = %s", (some(c, "users", rng)[0],)),
}


def test_what_changed_brings_the_lake_to_exactly_what_reading_everything_gives(
    library: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    kept, rng = tmp_path / "kept", random.Random(11)
    lake.extract(database_url, kept, KEY)
    happenings = list(HAPPENINGS.items())
    for night in [[], *(happenings[first : first + 4] for first in range(0, len(happenings), 4)), happenings]:
        for _, happens in night:
            happens(library, rng)
        changed = lake.extract(database_url, kept, KEY)
        everything = lake.extract(database_url, tmp_path / "full", KEY, in_full=True)

        assert changed.how.startswith("what changed since")
        assert same(kept, tmp_path / "full") == [], [what for what, _ in night]
        assert changed.fingerprint == everything.fingerprint
        assert changed.tables == everything.tables
        assert all(lake.is_of_snapshot(kept, name, changed) for name in lake.TABLES)
        assert {table.rows - table.counted for table in changed.tables.values()} == {0}


def test_an_extract_is_built_on_only_under_the_same_key_in_the_same_form_of_the_same_tables(
    library: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    last = lake.extract(database_url, tmp_path, KEY)
    now = moment(library, KEY)
    reasons = {
        name: base(tmp_path, replace(now, source={**now.source, name: "another"}))
        for name in ("key", "form", "server", "timeline", "database", "tables")
    }
    assert base(tmp_path, now) == (last, "")
    assert moment(library, b"another key").source["key"] != now.source["key"]
    assert all(now.source.values())
    assert {found for found, _ in reasons.values()} == {None}
    assert len({said for _, said in reasons.values()}) == len(reasons)


def test_parts_that_nothing_happened_to_stay_as_they_are(
    library: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    lake.extract(database_url, tmp_path, KEY)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.parquet/*")}
    library.execute("UPDATE reviews SET rating = 6 - rating WHERE user_id = %s AND rating <> 3", (ERASED,))
    lake.extract(database_url, tmp_path, KEY)

    after = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.parquet/*")}
    assert len(before) == len(after)
    assert len(set(after.items()) - set(before.items())) == 1


def test_an_erased_account_is_in_no_file_after_the_next_extraction(
    library: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    lake.extract(database_url, tmp_path, KEY)
    erased = lake.pseudonym(KEY, ERASED)
    assert erased in readers_in_files(tmp_path)
    library.execute("DELETE FROM users WHERE id = %s", (ERASED,))

    assert lake.extract(database_url, tmp_path, KEY).how.startswith("what changed since")
    assert erased not in readers_in_files(tmp_path)
    assert all(erased not in frame["reader"] for frame in content(tmp_path).values() if "reader" in frame.columns)


def test_a_transaction_that_is_open_during_an_extraction_is_not_missed_by_the_next(
    library: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    lake.extract(database_url, tmp_path, KEY)
    with connect(database_url) as slow:
        rate(slow, add_reader(slow, uuid4()), add_book(slow, "Late"), 5, EPOCH)
        slow.execute("DELETE FROM reviews WHERE user_id = %s", (ERASED,))
        add_reader(library, uuid4())  # a transaction that begins later and ends before
        between = lake.extract(database_url, tmp_path, KEY)
        assert (between.how.startswith("what changed since"), between.tables["ratings"].rows) == (True, 320)
        slow.commit()

    after = lake.extract(database_url, tmp_path, KEY)
    assert (after.how.startswith("what changed since"), after.tables["ratings"].rows) == (True, 313)
    lake.extract(database_url, tmp_path / "full", KEY)
    assert same(tmp_path, tmp_path / "full") == []


def of_another_server(_: psycopg.Connection, folder: Path) -> None:
    manifest = json.loads((folder / lake.MANIFEST).read_text())
    manifest["source"]["server"] = "another"
    (folder / lake.MANIFEST).write_text(json.dumps(manifest))


def from_the_future(_: psycopg.Connection, folder: Path) -> None:
    manifest = json.loads((folder / lake.MANIFEST).read_text())
    (folder / lake.MANIFEST).write_text(json.dumps(manifest | {"watermark": 10**12}))


def a_part(folder: Path) -> Path:
    return max((folder / "ratings.parquet").iterdir(), key=lambda path: path.stat().st_size)


def delete_behind_the_triggers(connection: psycopg.Connection, _: Path) -> None:
    connection.execute("SET session_replication_role = replica")
    connection.execute("DELETE FROM served_picks WHERE rank = 1")
    connection.execute("SET session_replication_role = DEFAULT")


def one_file_of_an_earlier_release(_: psycopg.Connection, folder: Path) -> None:
    lake.store(folder, "ratings", lake.scan(folder, "ratings").collect())


NOT_TO_BE_BUILT_ON: list[tuple[Callable[[psycopg.Connection, Path], object], str]] = [
    (lambda _, folder: (folder / lake.MANIFEST).unlink(), "there was none before"),
    (lambda _, folder: (folder / lake.MANIFEST).write_text("{"), "its manifest is damaged"),
    (of_another_server, "it is of another server"),
    (from_the_future, "the database is older than it"),
    (lambda _, folder: a_part(folder).unlink(), "its ratings are damaged"),
    (lambda _, folder: a_part(folder).write_bytes(a_part(folder).read_bytes()[:-1]), "its ratings are damaged"),
    (one_file_of_an_earlier_release, "its ratings are damaged"),
    (lambda connection, _: connection.execute("DELETE FROM tombstones"), "not known any more"),
    (lambda connection, _: connection.execute("TRUNCATE favorites"), "not known any more"),
    (delete_behind_the_triggers, "shown were not as many"),
]


def wait_for_others(connection: psycopg.Connection) -> None:
    """Until all transactions of this server that began before are over: an extraction builds on nothing younger."""
    begun = connection.execute("SELECT pg_current_xact_id()").fetchone()
    until = time.monotonic() + 60
    while connection.execute("SELECT pg_snapshot_xmin(pg_current_snapshot()) > %s::xid8", begun).fetchone() != (True,):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_cannot_be_built_on_is_read_in_full_and_the_reason_is_said(
    library: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    lake.extract(database_url, tmp_path, KEY)
    for number, (happens, reason) in enumerate(NOT_TO_BE_BUILT_ON, start=1):
        library.execute("DELETE FROM users WHERE id = %s", (UUID(int=number),))
        happens(library, tmp_path)
        wait_for_others(library)

        snapshot = lake.extract(database_url, tmp_path, KEY)

        assert snapshot.how.startswith("in full: ")
        assert reason in snapshot.how
        assert lake.pseudonym(KEY, UUID(int=number)) not in readers_in_files(tmp_path)
        assert all(lake.is_of_snapshot(tmp_path, name, snapshot) for name in lake.TABLES)
    again = lake.extract(database_url, tmp_path, KEY)
    assert (again.how.startswith("what changed since"), again.fingerprint) == (True, snapshot.fingerprint)


KILLED = """
import os, signal, sys
from pathlib import Path
from data import lake
from data.lake import extraction

url, folder, call, times = sys.argv[1:]
real, done = Path.replace if call == "replace" else getattr(extraction, call), []

def count(*arguments):
    done.append(1)
    if len(done) == int(times):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)

def count_after(*arguments):
    real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

if call == "replace":
    Path.replace = count
else:
    setattr(extraction, call, count_after if times == "after" else count)
lake.extract(url, Path(folder), bytes(range(32)))
"""


def test_a_killed_extraction_is_repaired_by_the_next(
    library: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "lake"
    lake.extract(database_url, folder, KEY)
    for number, (call, times) in enumerate([("merged", "3"), ("replace", "40"), ("write_manifest", "after")], start=1):
        library.execute("UPDATE reviews SET rating = 6 - rating")
        library.execute("UPDATE books SET title = title || '!'")
        library.execute("DELETE FROM users WHERE id = %s", (UUID(int=number),))
        program = [sys.executable, "-c", KILLED, database_url, str(folder), call, times]
        died = subprocess.run(program, check=False, cwd=Path(__file__).parents[2], env=os.environ).returncode
        assert died == -signal.SIGKILL
        content(folder)  # what is in place can be read
        in_place = all(lake.is_of_snapshot(folder, name, lake.last_snapshot(folder)) for name in lake.TABLES)
        assert in_place == (call == "merged")

        repaired = lake.extract(database_url, folder, KEY)

        assert repaired.how.startswith("what changed since")
        assert lake.pseudonym(KEY, UUID(int=number)) not in readers_in_files(folder)
        assert all(lake.is_of_snapshot(folder, name, repaired) for name in lake.TABLES)
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    assert repaired.fingerprint == lake.extract(database_url, tmp_path / "full", KEY).fingerprint
    assert same(folder, tmp_path / "full") == []
