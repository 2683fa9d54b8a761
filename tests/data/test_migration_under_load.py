"""A migration of a library in use: those who read and write notice nothing that takes a second."""

import contextlib
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.script import ScriptDirectory

from data.database import MIGRATIONS, DatabaseUnavailable, connect, current, downgrade, head, migrate
from data.loading import load
from data.sources.generator import Generator

WRITERS = 4
RATE = "INSERT INTO reviews (user_id, book_id, rating) VALUES (%s, %s, 4) ON CONFLICT DO NOTHING"
LIST = "SELECT id, average_rating FROM books ORDER BY average_rating DESC NULLS LAST LIMIT 20"


def before_head() -> str:
    script = ScriptDirectory(str(MIGRATIONS)).get_revision(head())
    assert script is not None
    assert isinstance(script.down_revision, str)
    return script.down_revision


@pytest.fixture
def url(database_url: str) -> str:
    """A database as the release before left it."""
    downgrade(database_url, before_head())
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


@pytest.mark.parametrize("reads_for", [0.0, 3.0], ids=["readers and writers", "and a long transaction"])
def test_a_migration_under_load_blocks_nobody_for_a_second(
    url: str, reads_for: float, capsys: pytest.CaptureFixture[str]
) -> None:
    load(url, Generator(readers=300, books=100, ratings=5_000, seed=5))
    going_on = Load(url)
    with connect(url) as report, going_on.going_on():
        if reads_for:
            report.execute("SELECT count(*) FROM reviews, users, books LIMIT 0")  # a dump holds such locks to its end
        ends = threading.Timer(reads_for, report.commit)
        ends.start()
        began = time.perf_counter()
        migrate(url)
        took = time.perf_counter() - began
        ends.join()
    assert current(url) == head()
    assert took >= reads_for * 0.9
    with capsys.disabled():
        sys.stdout.write(
            f"\n{before_head()} to {head()} in {took:.2f} s beside {going_on.n} rounds of three statements:"
            f" the longest took {going_on.longest:.2f} s, one that nothing can block {going_on.stalled:.2f} s\n"
        )
    assert going_on.n > 20
    assert going_on.longest - going_on.stalled < 1


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
    assert current(url) == before_head()
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
