"""Starting and stopping, as a person or a supervisor sees it."""

import concurrent.futures
import contextlib
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from uvicorn.config import STARTUP_FAILURE

from serving.kit.listening import why_not
from serving.server import serve
from tests.serving.conftest import Library

ROOT = Path(__file__).parents[2]
PROGRAM = (
    "import sys; from serving.server import serve; sys.exit(serve('127.0.0.1', int(sys.argv[1]), int(sys.argv[2])))"
)


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    """The test's database stands for all three, and no registry is there."""
    return {
        **os.environ,
        "BRS_HOME": str(tmp_path / "home"),
        "DATABASE_URL": database_url,
        "BRS_DAGSTER_DATABASE_URL": database_url,
        "BRS_MLFLOW_DATABASE_URL": database_url,
        "BRS_MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    }


def command(port: int, workers: int) -> list[str]:
    return [sys.executable, "-c", PROGRAM, str(port), str(workers)]


@contextlib.contextmanager
def started(
    environment: dict[str, str], workers: int, log: Path | None = None
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    with (
        Path(log or os.devnull).open("w") as lines,
        subprocess.Popen(
            command(0, workers), env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=lines, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.match(r"BRS answers on (http://127\.0\.0\.1:\d+) ", line)
            assert found, f"it said {line!r}"
            yield process, found[1]
        finally:
            process.kill()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address + "/health", timeout=5) as answer:  # noqa: S310  our own loopback address
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.parametrize(("workers", "number"), [(1, signal.SIGINT), (1, signal.SIGTERM), (2, signal.SIGTERM)])
def test_it_says_when_it_answers_and_stops_gracefully(
    environment: dict[str, str], library: Library, workers: int, number: signal.Signals
) -> None:
    with started(environment, workers) as (process, address):
        assert answers(address)
        process.send_signal(number)
        assert process.wait(timeout=15) == 0
        assert not answers(address)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_finishes_what_was_begun(environment: dict[str, str], library: Library, workers: int) -> None:
    with started(environment, workers) as (process, address), concurrent.futures.ThreadPoolExecutor(1) as pool:
        with library.connection.transaction():
            library.run("LOCK TABLE books")
            waiting = pool.submit(asked, address + "/api/v1/books")
            until = time.monotonic() + 20
            while library.run("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
                assert time.monotonic() < until, "the request never came to the lock"
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            time.sleep(1)
            assert not waiting.done()
            assert process.poll() is None
        status, body = waiting.result(timeout=30)
        assert (status, json.loads(body)["status"]) == (200, "success")
        assert process.wait(timeout=20) == 0


def test_workers_do_not_outlive_a_killed_parent(environment: dict[str, str], library: Library) -> None:
    with started(environment, 2) as (process, address):
        assert answers(address)
        process.kill()
        until = time.monotonic() + 10
        while answers(address):
            assert time.monotonic() < until, "the workers still answer"
            time.sleep(0.1)


@pytest.fixture
def refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """``refused(port, **variables)``: what it says in its one line while it refuses to start."""

    def run(port: int = 0, **variables: str) -> str:
        for name, value in {"DATABASE_URL": database_url, **variables}.items():
            monkeypatch.setenv(name, value)
        assert serve("127.0.0.1", port) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1, said.err
        return str(said.err)

    return run


def test_a_busy_port_is_one_clear_line(refused: Callable[..., str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert refused(port) == f"brs serve: port {port} on 127.0.0.1 is in use; choose another with --port\n"


def test_an_unreachable_database_is_one_clear_line(refused: Callable[..., str]) -> None:
    said = refused(DATABASE_URL="postgresql://brs:hush@127.0.0.1:9/brs")
    assert "Postgres" in said
    assert "hush" not in said


def test_bad_settings_are_one_clear_line_without_the_secret(refused: Callable[..., str]) -> None:
    assert "BRS_MODEL_POLL_SECONDS" in refused(BRS_MODEL_POLL_SECONDS="-1")
    said = refused(BRS_ENV="production", BRS_SECRET_KEY="too-short-a-secret", BRS_MODEL_POLL_SECONDS="1")
    assert "BRS_SECRET_KEY" in said
    assert "too-short-a-secret" not in said


def test_numbers_of_two_workers_add_up(environment: dict[str, str], library: Library) -> None:
    with started({**environment, "BRS_DATABASE_POOL_SIZE": "7"}, 2) as (_, address):
        for _ in range(8):
            assert asked(address + "/api/v1/monitoring/status")[0] == 200
        wanted = (
            'brs_pool_connections{state="limit"} 14.0',
            'route="/api/v1/monitoring/status",status="200"} 8.0',
            'brs_limiter_up{store="memory"} 1.0',
        )
        until = time.monotonic() + 20
        while not all(line in (numbers := asked(address + "/metrics")[1]) for line in wanted):
            assert time.monotonic() < until, numbers
            time.sleep(0.2)


def asked(url: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    """Status and body, whatever they are."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, named)  # noqa: S310  our own loopback address
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_no_secret_is_in_a_log_line_or_a_refusal(environment: dict[str, str], library: Library, tmp_path: Path) -> None:
    """Everything is typed where it belongs, and where it does not; the log is as talkative as it can be."""
    log = tmp_path / "lines.log"
    secrets = {"Corr3ct-Horse-Battery", "Wr0ng-Donkey-Battery", "st0len-refresh-token", "for-m0nitors-only", "key-" * 9}
    told = {
        **environment,
        "BRS_LOG_LEVEL": "debug",
        "BRS_RATE_LIMITS": "off",
        "BRS_MONITORING_TOKEN": "for-m0nitors-only",
        "BRS_SECRET_KEY": "key-" * 9,
        "REDIS_URL": "redis://:h1dden-redis@127.0.0.1:9",
    }
    refusals = []
    with started(told, 1, log) as (process, address):
        api, json_type = address + "/api/v1", {"Content_Type": "application/json"}
        account = {
            "email": "ada@example.org",
            "first_name": "Ada",
            "last_name": "L",
            "password": "Corr3ct-Horse-Battery",
        }
        status, body = asked(api + "/auth/register", json.dumps(account).encode(), **json_type)
        assert status == 201
        tokens = json.loads(body)["data"]
        secrets |= {tokens["access_token"], tokens["refresh_token"]}
        for path, sent in (
            ("/auth/register", {**account, "password": ["Corr3ct-Horse-Battery"]}),
            ("/auth/register", {**account, "password": "Wr0ng-Donkey-Battery\u0000"}),
            ("/auth/register", {**account, "email": "Wr0ng-Donkey-Battery"}),
            ("/auth/register", {**account, "first_name": "Wr0ng-Donkey-Battery"}),
            ("/auth/register", {**account, "extra": "Wr0ng-Donkey-Battery"}),
            ("/auth/login/json", {"email": "ada@example.org", "password": "Wr0ng-Donkey-Battery"}),
            ("/auth/login/json", {"email": "ada@example.org", "password": {"is": "Wr0ng-Donkey-Battery"}}),
            ("/auth/login", {"username": "Wr0ng-Donkey-Battery"}),
            ("/auth/refresh", {"refresh_token": "st0len-refresh-token"}),
            ("/auth/refresh", {"refresh_token": ["st0len-refresh-token"]}),
            ("/auth/change-password", {"current_password": "Wr0ng-Donkey-Battery", "new_password": ["x"]}),
        ):
            bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
            status, body = asked(api + path, json.dumps(sent).encode(), **json_type, **bearer)
            assert 400 <= status < 500, (path, status)
            refusals.append(body)
        malformed = (b'{"password": "Wr0ng-Donkey-Battery"', b"Wr0ng-Donkey-Battery")
        refusals += [asked(api + "/auth/login/json", body, **json_type)[1] for body in malformed]
        refusals.append(
            asked(api + "/auth/me?token=st0len-refresh-token", Authorization="Bearer st0len-refresh-token")[1]
        )
        refusals.append(asked(address + "/metrics", Authorization="Bearer st0len-refresh-token")[1])
        assert asked(address + "/metrics", Authorization="Bearer for-m0nitors-only")[0] == 200
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
    lines = log.read_text()
    assert lines.count('"event":"request"') > 10
    for secret in {*secrets, "h1dden-redis"}:
        assert secret not in lines
        assert all(secret not in body for body in refusals)


def test_an_address_of_somebody_else_is_one_clear_line(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert serve("192.0.2.1", 0) == 1  # of the range that is kept for documentation
    said = capsys.readouterr().err
    assert said.startswith("brs serve: cannot listen on 192.0.2.1, port 0: ")
    assert said.count("\n") == 1
    assert why_not(PermissionError(errno.EACCES, "no"), "::1", 80).startswith("port 80 on ::1 is not allowed")


def test_a_worker_without_postgres_says_so_and_ends_as_one_that_cannot_start() -> None:
    program = (
        "import pathlib; from data.settings import StateSettings; from serving.server import app_of_worker;"
        "from serving.settings import ServiceSettings;"
        "state = StateSettings(database_url='postgresql://brs:hush@127.0.0.1:9/brs');"
        "app_of_worker(ServiceSettings(), state, pathlib.Path('unused'))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == STARTUP_FAILURE
    line = json.loads(done.stderr)
    assert (line["event"], "Postgres does not answer" in line["reason"]) == ("worker cannot start", True)
    assert "hush" not in done.stderr
