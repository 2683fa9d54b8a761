"""Two replicas behind nginx, with the deployment's own settings, are restarted in turn under load: nobody notices."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from tests.serving.conftest import Library, bearer
from tests.serving.test_server import ROOT, command, environment

__all__ = ["environment"]  # a fixture

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
SETTINGS = ROOT / "deploy" / "compose" / "nginx.conf"
DRAIN_SECONDS = 5.0
READERS = 4
PASSWORD = "Analytical-Engine-1843"


def free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def status(address: str, path: str) -> int:
    try:
        with urllib.request.urlopen(address + path, timeout=5) as answer:  # noqa: S310  our own loopback address
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0


def wait_for(address: str, path: str, wanted: int) -> None:
    until = time.monotonic() + 90
    while (got := status(address, path)) != wanted:
        assert time.monotonic() < until, got
        time.sleep(0.1)


READY = "/api/v1/monitoring/health/readiness"


class Replica:
    def __init__(self, port: int, told: dict[str, str], workers: int = 1) -> None:
        self.address, self._told = f"http://127.0.0.1:{port}", told
        self._command = command(port, workers)
        self.process = self._started()

    def _started(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._command, env=self._told, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def restart(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        wait_for(self.address, READY, 503)
        assert status(self.address, "/api/v1/books") == 200  # not ready, and still answering
        assert self.process.wait(timeout=30) == 0
        self.process = self._started()
        wait_for(self.address, READY, 200)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def proxied(port: int, replicas: list[int], folder: Path) -> Iterator[str]:
    """nginx as the compose file starts it, but for addresses and folders."""
    assert NGINX is not None
    settings = SETTINGS.read_text().replace("/tmp/", f"{folder}/").replace("/dev/stderr", f"{folder}/errors.log")  # noqa: S108
    settings = settings.replace("listen 8080", f"listen 127.0.0.1:{port}")
    for number, replica in enumerate(replicas, 1):
        assert f"api-{number}:8000" in settings
        settings = settings.replace(f"api-{number}:8000", f"127.0.0.1:{replica}")
    (folder / "nginx.conf").write_text(settings)
    whose = "user root;" if os.geteuid() == 0 else ""
    run = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", f"daemon off; {whose}"]
    with subprocess.Popen(run) as nginx:
        try:
            wait_for(f"http://127.0.0.1:{port}", READY, 200)
            yield f"http://127.0.0.1:{port}"
        finally:
            nginx.send_signal(signal.SIGQUIT)


@dataclass
class Load:
    """Readers who read and write without a pause worth the name."""

    address: str
    books: list[uuid.UUID]
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    longest: float = 0.0
    is_over: bool = False

    async def ask(
        self, client: httpx2.AsyncClient, expected: int, method: str, path: str, json: dict[str, int] | None = None
    ) -> None:
        began = time.perf_counter()
        try:
            answer = await client.request(method, "/api/v1" + path, json=json)
        except httpx2.HTTPError as exc:
            self.wrong.append(f"{method} {path}: {exc!r}")
            return
        self.longest = max(self.longest, time.perf_counter() - began)
        self.answers[f"{method} {answer.status_code}"] += 1
        if answer.status_code != expected:
            self.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")

    async def read(self) -> None:
        async with httpx2.AsyncClient(base_url=self.address, timeout=30) as client:
            while not self.is_over:
                await self.ask(client, 200, "GET", "/books?per_page=5")
                await asyncio.sleep(0.02)

    async def registered(self, number: int) -> dict[str, str]:
        draft = {"email": f"reader-{number}@example.org", "password": PASSWORD, "first_name": "A", "last_name": "B"}
        async with httpx2.AsyncClient(base_url=self.address, timeout=30) as client:
            made = await client.post("/api/v1/auth/register", json=draft)
        return bearer(made.json()["data"]["access_token"])

    async def write(self, headers: dict[str, str]) -> None:
        async with httpx2.AsyncClient(base_url=self.address, timeout=30, headers=headers) as client:
            for book in self.books:
                if self.is_over:
                    return
                await self.ask(client, 201, "POST", f"/books/{book}/reviews", json={"rating": 4})
                await asyncio.sleep(0.02)


async def restarted_under_load(load: Load, replicas: list[Replica]) -> None:
    readers = [await load.registered(number) for number in range(READERS)]
    users = [asyncio.create_task(load.write(reader)) for reader in readers]
    users += [asyncio.create_task(load.read()) for _ in range(READERS)]
    await asyncio.sleep(1)
    for replica in replicas:
        await asyncio.to_thread(replica.restart)
    await asyncio.sleep(1)
    load.is_over = True
    await asyncio.gather(*users)


@pytest.mark.slow
@pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx-light")
def test_a_rolling_restart_behind_nginx_loses_no_request_and_sends_none_twice(
    environment: dict[str, str], library: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    books = [uuid.UUID(str(row[0])) for row in library.run(
        "INSERT INTO books (title, author, title_key, author_key)"
        " SELECT 'Book ' || n, 'A', 'book ' || n, 'a' FROM generate_series(1, 3000) n RETURNING id"
    )]  # fmt: skip
    told = {**environment, "BRS_RATE_LIMITS": "off", "BRS_DRAIN_SECONDS": str(DRAIN_SECONDS), "BRS_LOG_LEVEL": "error"}
    ports = free_ports(3)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        replicas = []
        for port in ports[:2]:
            replicas.append(Replica(port, told))
            stack.callback(replicas[-1].kill)
        for replica in replicas:
            wait_for(replica.address, READY, 200)
        load = Load(stack.enter_context(proxied(ports[2], ports[:2], tmp_path)), books)
        before = [replica.process.pid for replica in replicas]
        asyncio.run(restarted_under_load(load, replicas))
        assert not set(before) & {replica.process.pid for replica in replicas}
    with capsys.disabled():
        sys.stdout.write(
            f"\nrolling restart in {time.monotonic() - began:.0f} s: {dict(load.answers)}, {len(load.wrong)} failed,"
            f" the longest took {load.longest:.2f} s\n"
        )
    assert load.wrong == []
    assert load.answers["GET 200"] > 100
    assert load.answers["POST 201"] > 100
    assert library.run("SELECT count(*) FROM reviews") == [(load.answers["POST 201"],)]


def test_a_connection_of_the_last_moment_is_answered(environment: dict[str, str], library: Library) -> None:
    """While the process sleeps, callers come; when it wakes up, it has been told to stop."""
    port = free_ports(1)[0]
    replica = Replica(port, environment)
    with contextlib.ExitStack() as stack:
        stack.callback(replica.kill)
        wait_for(replica.address, READY, 200)
        replica.process.send_signal(signal.SIGSTOP)
        callers = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(20)]
        for caller in callers:
            caller.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        replica.process.send_signal(signal.SIGTERM)
        replica.process.send_signal(signal.SIGCONT)
        answers = [caller.recv(12) for caller in callers]
        assert replica.process.wait(timeout=20) == 0
    # The probe says that it is leaving: an answer all the same, and not a broken connection.
    assert answers == [b"HTTP/1.1 503"] * len(callers)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="workers are found in /proc")
def test_workers_leave_slowly_too_and_at_once_when_told_twice(environment: dict[str, str], library: Library) -> None:
    with contextlib.ExitStack() as stack:
        replica = Replica(free_ports(1)[0], {**environment, "BRS_DRAIN_SECONDS": "60"}, workers=2)
        stack.callback(replica.kill)
        wait_for(replica.address, READY, 200)
        began = time.monotonic()
        replica.process.send_signal(signal.SIGTERM)
        wait_for(replica.address, READY, 503)
        assert status(replica.address, "/api/v1/books") == 200
        assert replica.process.poll() is None
        for worker in children(replica.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGTERM)
        assert replica.process.wait(timeout=30) == 0
        assert time.monotonic() - began < 55


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="workers are found in /proc")
def test_who_is_told_to_stop_before_all_workers_answer_has_not_failed(
    environment: dict[str, str], library: Library
) -> None:
    with contextlib.ExitStack() as stack:
        replica = Replica(free_ports(1)[0], environment, workers=2)
        stack.callback(replica.kill)
        while not children(replica.process.pid):
            assert replica.process.poll() is None
            time.sleep(0.01)
        replica.process.send_signal(signal.SIGTERM)
        assert replica.process.wait(timeout=30) == 0


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
