"""A migration of a library in use: those who read and write notice nothing that takes a second."""

import contextlib
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data.database import DatabaseUnavailable, connect, current, downgrade, head, migrate
from data.embedded import running
from data.loading import load
from data.migrations import online
from data.sources.generator import Generator

ROOT = Path(__file__).parents[2]
WRITERS = 4
RATE = "INSERT INTO reviews (user_id, book_id, rating) VALUES (%s, %s, 4) ON CONFLICT DO NOTHING"
LIST = "SELECT id, average_rating FROM books ORDER BY average_rating DESC NULLS LAST LIMIT 20"


FIRST = "0001"
BEFORE_LOCKS = "0003"  # the one after it locks tables; what builds indexes waits for nobody who reads
INDEXES = {
    "0002": {"ix_reviews_book_id_rating_created_at_id", "ix_reviews_book_id_rating_updated_at_id"},
    "0005": {f"ix_{table}_changed_in" for table in ("reviews", "favorites", "served_pages", "feedback_events")},
}


@pytest.fixture
def url(database_url: str) -> str:
    """A database as the first release left it."""
    downgrade(database_url, FIRST)
    return database_url


class Load:
    """Readers who rate, take back and list, each on a connection of its own. Times are in seconds."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self.n = 0
        self.longest = 0.0
        self.stalled = 0.0  # the longest that a statement took which no migration can block: the machine's own pauses

    def work(self, number: int) -> None:
        with connect(self._url, autocommit=True) as connection:
            books = [row[0] for row in connection.execute("SELECT id FROM books")]
            reader = connection.execute(
                "INSERT INTO users (email, first_name, last_name) VALUES (%s, 'A', 'B') RETURNING id",
                (f"{number}-{uuid.uuid4().hex}@example.org",),
            ).fetchone()
            assert reader is not None
            while not self._over.is_set():
                book = books[self.n % len(books)]
                began = time.perf_counter()
                connection.execute(RATE, (reader[0], book))
                connection.execute("DELETE FROM reviews WHERE user_id = %s AND book_id = %s", (reader[0], book))
                connection.execute(LIST)
                self.longest = max(self.longest, time.perf_counter() - began)
                self.n += 1
                time.sleep(0.005)

    def look_at_the_machine(self) -> None:
        with connect(self._url, autocommit=True) as connection:
            while not self._over.is_set():
                began = time.perf_counter()
                connection.execute("SELECT 1")
                self.stalled = max(self.stalled, time.perf_counter() - began)
                time.sleep(0.005)

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        with ThreadPoolExecutor(WRITERS + 1) as threads:
            tasks = [threads.submit(self.work, number) for number in range(WRITERS)]
            tasks.append(threads.submit(self.look_at_the_machine))
            try:
                time.sleep(0.5)
                yield
                time.sleep(0.2)
            finally:
                self._over.set()
        for task in tasks:
            task.result()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ratings", "reads_for"), [(100_000, 0.0), (5_000, 3.0)], ids=["a library in use", "and a long transaction"]
)
def test_migrations_under_load_block_nobody_for_a_second(
    ratings: int, reads_for: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path, durable=False) as server:  # of its own: its long transactions are nobody else's
        under_load(server.url("postgres"), ratings, reads_for, capsys)


def under_load(database_url: str, ratings: int, reads_for: float, capsys: pytest.CaptureFixture[str]) -> None:
    migrate(database_url)
    load(database_url, Generator(readers=3_000, books=300, ratings=ratings, seed=5))
    downgrade(database_url, FIRST)
    going_on = Load(database_url)
    with connect(database_url) as report, going_on.going_on():
        if reads_for:
            report.execute("SELECT count(*) FROM reviews, users, books LIMIT 0")  # a dump holds such locks to its end
        ends = threading.Timer(reads_for, report.commit)
        ends.start()
        began = time.perf_counter()
        migrate(database_url)
        took = time.perf_counter() - began
        ends.join()
    assert current(database_url) == head()
    assert took >= reads_for * 0.9
    with capsys.disabled():
        sys.stdout.write(
            f"\n{FIRST} to {head()} in {took:.2f} s with {ratings:,} reviews, beside {going_on.n} rounds of three"
            f" statements: the longest took {going_on.longest:.2f} s,"
            f" one that nothing can block {going_on.stalled:.2f} s\n"
        )
    assert going_on.n > 20
    assert going_on.longest - going_on.stalled < 1


def indexes(url: str) -> dict[str, bool]:
    """Names to whether they are whole."""
    with connect(url) as connection:
        found = connection.execute("SELECT indexrelid::regclass::text, indisvalid FROM pg_index").fetchall()
    return {str(name): bool(valid) for name, valid in found}


@pytest.mark.parametrize("revision", sorted(INDEXES))
def test_a_build_of_an_index_that_was_killed_is_done_by_the_next_run(url: str, revision: str) -> None:
    migrate(url, f"{int(revision) - 1:04}")
    with connect(url) as writer, ThreadPoolExecutor(1) as thread:
        writer.execute(
            "LOCK TABLE reviews IN ROW EXCLUSIVE MODE"
        )  # as one that writes does; the build waits for its end
        migration = thread.submit(migrate, url, revision)
        killed = 0
        until = time.monotonic() + 20
        while not killed and time.monotonic() < until:
            time.sleep(0.05)
            with connect(url, autocommit=True) as other:
                other.execute("SET lock_timeout = 300")
                other.execute("UPDATE reviews SET rating = rating")  # the build waits, and nobody waits for it
                killed = other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND query LIKE 'CREATE INDEX CONCURRENTLY%ix_reviews%' AND wait_event_type = 'Lock'"
                ).rowcount
        with pytest.raises(DatabaseUnavailable, match="run `brs migrate` again"):
            migration.result()
    left = [name for name, whole in indexes(url).items() if not whole]
    assert len(left) == 1
    assert left[0] in INDEXES[revision]
    assert current(url) != revision
    migrate(url)
    assert current(url) == head()
    found = indexes(url)
    assert all(found.values())
    assert set().union(*INDEXES.values()) <= set(found)


def test_a_build_that_waits_too_long_for_a_transaction_gives_up_and_is_done_by_the_next_run(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = time.monotonic
    began = clock()
    monkeypatch.setattr(time, "monotonic", lambda: began + 60 * (clock() - began))
    monkeypatch.setattr(online, "OLD_TRANSACTIONS_SECONDS", 1)
    with connect(url) as writer:
        writer.execute("LOCK TABLE reviews IN ROW EXCLUSIVE MODE")
        with pytest.raises(DatabaseUnavailable, match="did not get its locks"):
            migrate(url)
    assert current(url) == FIRST
    assert not all(indexes(url).values())
    migrate(url)
    assert current(url) == head()
    assert all(indexes(url).values())


def test_migrations_at_once_take_turns_also_where_they_build_indexes(url: str) -> None:
    program = "import sys; from data.database import migrate; migrate(sys.argv[1])"
    command = [sys.executable, "-c", program, url]  # Alembic knows one migration a process
    several = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for one in several:
        _, errors = one.communicate(timeout=60)
        assert one.returncode == 0, errors
    assert current(url) == head()
    assert all(indexes(url).values())


def test_a_migration_holds_no_table_while_it_waits_for_the_last_of_several(url: str) -> None:
    migrate(url, BEFORE_LOCKS)
    waited = []
    with connect(url) as other, connect(url, autocommit=True) as reader, ThreadPoolExecutor(1) as thread:
        other.execute("LOCK TABLE feedback_events IN ACCESS SHARE MODE")
        migration = thread.submit(migrate, url)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            began = time.perf_counter()
            reader.execute("SELECT 1 FROM reviews LIMIT 1")
            waited.append(time.perf_counter() - began)
            time.sleep(0.01)
        other.rollback()
        migration.result(timeout=30)
    assert 0.1 < max(waited) < 0.9  # it did wait behind the migration, for one limit and not for one a table
    assert current(url) == head()


def test_a_migration_that_gets_no_lock_gives_up_says_so_and_leaves_everything_as_it_was(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = time.monotonic
    began = clock()
    monkeypatch.setattr(time, "monotonic", lambda: began + 60 * (clock() - began))  # a minute passes in a second
    with connect(url) as other:
        other.execute("LOCK TABLE reviews IN ACCESS SHARE MODE")
        with pytest.raises(DatabaseUnavailable, match="did not get its locks") as told:
            migrate(url)
    assert "\n" not in str(told.value)
    assert current(url) == BEFORE_LOCKS
    migrate(url)
    assert current(url) == head()


def test_a_turn_is_waited_for_longer_than_a_table(url: str) -> None:
    with connect(url, autocommit=True) as first:
        first.execute("SELECT pg_advisory_lock(5180417022)")
        ends = threading.Timer(1, first.close)
        ends.start()
        migrate(url)
        ends.join()
    assert current(url) == head()
