"""Starting and stopping, as a person or a supervisor sees it."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
def started(environment: dict[str, str], workers: int) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    with subprocess.Popen(
        command(0, workers), env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
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
