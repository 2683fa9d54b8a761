"""`brs up` from nothing to a recommendation, again, and away: the story that the README tells."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from data.database import connect, opened
from data.embedded import status
from data.settings import StateSettings

ROOT = Path(__file__).parents[2]
LIMITS = {"refresh": 70.0, "tune": 90.0, "report": 200.0}
"""What each job may take on the sample, in seconds of processor time, as CI has no quiet machine. Measured beside other
work: 39, 45 (two trials, the fewest there can be) and 108."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Up:
    """One `brs up --no-pages` in a folder of its own."""

    def __init__(self, home: Path, output: Path) -> None:
        self.port = free_port()
        self.home = home
        self.output = output
        self.started = time.monotonic()
        with output.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "brs", "up", "--no-pages", "--port", str(self.port)],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "BRS_HOME": str(home)},
                start_new_session=True,
            )

    def wait_for(self, text: str, within: float) -> float:
        """Seconds until the output holds ``text``."""
        while time.monotonic() - self.started < within:
            if text in self.output.read_text():
                return time.monotonic() - self.started
            assert self.process.poll() is None, self.output.read_text()
            time.sleep(0.1)
        raise AssertionError(self.output.read_text())

    def get(self, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    def answers_again(self, within: float) -> bool:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            try:
                self.get("/health")  # which may be asked as often as one likes; books may not
                return bool(self.get("/api/v1/books?per_page=1")["pagination"]["total"])
            except OSError:  # refused, reset, or 503 while the part that was killed comes back
                time.sleep(0.2)
        return False

    def members(self) -> list[psutil.Process]:
        return [*psutil.Process(self.process.pid).children(recursive=True), psutil.Process(self.process.pid)]


def api_of(up: Up) -> psutil.Process:
    return next(p for p in up.members() if "serve" in p.cmdline())


def postmaster(home: Path) -> psutil.Process:
    server = status(home)
    assert server is not None
    return psutil.Process(server.pid)


def gone_within(process: psutil.Process, seconds: float) -> bool:
    gone, _ = psutil.wait_procs([process], timeout=seconds)
    return bool(gone)


def cpu_of(home: Path, job: str) -> float:
    """Of the job's only run, as the Dagster page shows it beside the run."""
    with opened(StateSettings(home=home), create=()) as databases, connect(databases.dagster) as connection:
        found = connection.execute(
            "SELECT value FROM run_tags JOIN runs USING (run_id) WHERE key = %s AND pipeline_name = %s",
            ("brs/cpu_seconds", job),
        ).fetchall()
    assert len(found) == 1
    return float(found[0][0])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_nothing_to_a_recommendation_and_away(tmp_path: Path) -> None:
    home = tmp_path / "state"
    first = Up(home, tmp_path / "first.txt")
    try:
        first.wait_for("BRS answers after", within=300)
        said = first.output.read_text()
        assert re.search(r"five stars to .* is recommended:\n  1\. .+ by .+ because of .+ \d+%", said)
        popular = first.get("/api/v1/recommendations/popular?limit=2")["data"]["recommendations"]
        basket = [{"book_id": book["id"], "rating": 5} for book in popular]
        page = first.get("/api/v1/recommendations/preview", {"ratings": basket})["data"]
        assert page["model"] is not None
        assert 0 < cpu_of(home, "refresh") < LIMITS["refresh"]
        assert {pick["id"] for pick in page["recommendations"]}.isdisjoint({book["id"] for book in popular})
        postgres = postmaster(home)
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(timeout=10) == 0
        assert gone_within(postgres, 5)
    finally:
        first.process.kill()

    for job, command, said in (
        ("tune", ["pipeline", "tune", "--trials", "2", "--seconds", "1"], "what there was: "),
        ("report", ["report", "page"], "P3 0."),
    ):
        whole = [sys.executable, "-m", "brs", *command]
        environment = {**os.environ, "BRS_HOME": str(home)}
        done = subprocess.run(whole, check=True, capture_output=True, text=True, cwd=ROOT, env=environment)
        assert said in done.stdout
        assert 0 < cpu_of(home, job) < LIMITS[job], job
    assert (home / "exports" / "report.html").is_file()

    second = Up(home, tmp_path / "second.txt")
    try:
        second.wait_for("BRS answers after", within=120)
        said = second.output.read_text()
        assert "First model" not in said
        assert "because of" in said
        api_of(second).kill()
        assert second.answers_again(within=30)
        killed = postmaster(home)
        killed.kill()
        assert gone_within(killed, 5)
        second.wait_for("Postgres ended and is started again", within=300)
        assert second.answers_again(within=30)
        everybody = second.members()
        postgres = postmaster(home)
        second.process.kill()
        assert gone_within(postgres, 5)
        second.process.wait()
        _, left = psutil.wait_procs([p for p in everybody if p.pid != second.process.pid], timeout=5)
        assert left == []
    finally:
        second.process.kill()
        second.process.wait()
