"""Limits that replicas share, on a real Redis; and what happens when it dies."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.serving.conftest import PASSWORD, Running, Service

PROGRAM = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no redis-server on the PATH")


class Redis:
    """A server of the test's own on a loopback port, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [str(PROGRAM), *options, "--dir", str(self._folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < until, "redis-server does not answer"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    server.start()
    yield server
    server.stop()


def settings(redis: Redis, **more: object) -> dict[str, Any]:
    return {"rate_limits": True, "redis_url": redis.url, **more}


def statuses(service: Service, times: int) -> list[int]:
    return [service.get("/books").status_code for _ in range(times)]


def fail_to_log_in(service: Service) -> int:
    body = {"email": "nobody@example.org", "password": "wrong"}
    return service.post("/auth/login/json", json=body).status_code


def test_replicas_share_every_budget(redis: Redis, running: Running) -> None:
    with running(**settings(redis)) as one, running(**settings(redis)) as other:
        assert statuses(one, 6) == [200] * 6
        assert statuses(other, 5) == [200] * 4 + [429]
        refused = other.get("/books")
        assert refused.json()["errors"]["code"] == "BURST_LIMIT_EXCEEDED"
        assert 1 <= int(refused.headers["Retry-After"]) <= 10
        assert [fail_to_log_in(one) for _ in range(3)] == [401] * 3
        assert [fail_to_log_in(other) for _ in range(3)] == [401, 401, 429]
        draft = {"email": "ada@example.org", "password": PASSWORD, "first_name": "Ada", "last_name": "L"}
        answers = [service.post("/auth/register", json=draft) for service in (one, other, one, other)]
        assert [answer.status_code for answer in answers] == [201, 409, 409, 429]


def test_headers_tell_the_shared_standing(redis: Redis, running: Running) -> None:
    with running(**settings(redis)) as one, running(**settings(redis)) as other:
        assert one.get("/books").headers["X-RateLimit-Remaining"] == "19"
        answer = other.get("/books")
        assert answer.headers["X-RateLimit-Remaining"] == "18"
        assert 0 < int(answer.headers["X-RateLimit-Reset"]) - time.time() <= 61


def test_when_redis_dies_requests_go_on_and_failed_logins_count_in_memory(
    redis: Redis, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.kit.limits.AWAY_SECONDS", 0.2)
    with running(**settings(redis)) as service, capture_logs() as lines:
        assert statuses(service, 11) == [200] * 10 + [429]
        redis.stop()
        assert statuses(service, 30) == [200] * 30
        assert [fail_to_log_in(service) for _ in range(6)] == [401] * 5 + [429]
        told = [line for line in lines if "redis" in line["event"]]
        assert [line["log_level"] for line in told] == ["warning"], "one line, not one a request"
        metrics = service.client.get("/metrics").text
        assert 'brs_limiter_up{store="redis"} 0.0' in metrics
        assert "brs_limiter_failures_total 0.0" not in metrics
        detailed = service.get("/monitoring/health/detailed")
        assert detailed.status_code == 200
        assert detailed.json()["data"]["redis"] == "down"
        assert detailed.json()["data"]["status"] == "degraded"
        redis.start()
        time.sleep(0.3)
        assert statuses(service, 11) == [200] * 10 + [429], "it is asked again, and begins empty"
        assert 'brs_limiter_up{store="redis"} 1.0' in service.client.get("/metrics").text
        assert service.get("/monitoring/health/detailed").json()["data"]["redis"] == "answers"


def test_a_redis_that_hangs_holds_nobody_up(running: Running) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        with running(rate_limits=True, redis_url=url) as service:
            began = time.monotonic()
            assert statuses(service, 20) == [200] * 20
            assert time.monotonic() - began < 5


def test_its_address_is_never_logged(running: Running) -> None:
    with running(rate_limits=True, redis_url="redis://:hush-hush@127.0.0.1:9") as service, capture_logs() as lines:
        assert service.get("/books").status_code == 200
    assert any("redis" in line["event"] for line in lines)
    assert "hush-hush" not in str(lines)
