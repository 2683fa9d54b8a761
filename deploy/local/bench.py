"""`brs bench`: what loading, learning and answering cost, on a generated library in a temporary folder.

CPU time, not elapsed time: it hardly depends on what else the machine does. Application and Postgres apart.
"""

import contextlib
import http.client
import json
import os
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil

from data.database import Databases, connect, migrate, opened
from data.embedded import status
from data.loading import load
from data.settings import StateSettings
from data.sources.generator import Generator
from deploy.local.console import PipelineLines
from deploy.local.registry import champion_if_any, prepared
from deploy.local.supervisor import Child, Supervisor
from pipelines.environment import dagster_environment

CONNECTIONS, REQUESTS, WARM_UP = 8, 2_000, 200
START_SECONDS = 120.0
RATED = 40


@dataclass(frozen=True)
class Client:
    port: int
    token: str | None = None

    def ask(self, connection: http.client.HTTPConnection, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
        headers = {"Content-Type": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:  # noqa: PLR2004 - anything but success makes the figure worthless
            raise RuntimeError(f"{method} {path} answered {answer.status}: {text[:300]!r}")
        return json.loads(text)

    def once(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port)) as connection:
            return self.ask(connection, method, path, body)


def forget_settings() -> None:
    """A measurement neither depends on nor reaches what the environment names, nor do the processes it starts."""
    for name in list(os.environ):
        if name.startswith("BRS_") or name in {"DATABASE_URL", "REDIS_URL"}:
            del os.environ[name]


def run(*, books: int, ratings: int) -> None:
    """Print a table. Everything is made in a temporary folder and removed again, away from what the environment names.

    Raises:
        ChildFailed: the API does not start.
    """
    forget_settings()
    with tempfile.TemporaryDirectory(prefix="brs-bench-") as folder:
        Path(folder).chmod(0o755)  # the embedded Postgres of root runs as another user
        settings = StateSettings(home=Path(folder))
        with opened(settings) as databases, Supervisor(click.echo) as supervisor:
            migrate(databases.brs)
            _load(databases, books, ratings)
            _learn(settings, databases)
            _measure_requests(settings, databases, _api(supervisor, settings, databases))


def _load(databases: Databases, books: int, ratings: int) -> None:
    report = load(databases.brs, Generator(max(10, ratings // 50), books, ratings, seed=1))
    click.echo(f"load {ratings:,} ratings of {books:,} books: {report.seconds:.1f} s")


def _learn(settings: StateSettings, databases: Databases) -> None:
    from pipelines.run import run as learn  # noqa: PLC0415 - imports Dagster

    prepared(settings, databases)
    before, started = time.process_time(), time.monotonic()
    with PipelineLines() as lines:
        passed = learn(settings, databases, on_event=lines)
    if not passed:
        raise click.ClickException("the pipeline did not pass")
    if champion_if_any(settings, databases)[0] is None:
        raise click.ClickException(
            "on so few ratings the model was not surely better than popularity: ask for more --ratings"
        )
    click.echo(f"pipeline: {time.monotonic() - started:.1f} s, {time.process_time() - before:.1f} s of CPU")


def _api(supervisor: Supervisor, settings: StateSettings, databases: Databases) -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environment = {**dagster_environment(settings, databases), "BRS_LOG_LEVEL": "warning", "BRS_RATE_LIMITS": "off"}
    command = [sys.executable, "-m", "brs", "serve", "--port", str(port)]
    api = Child("API", command, environment, settings.logs / "api.log", is_essential=True)
    supervisor.start(api)
    supervisor.wait_until(lambda: "BRS answers" in api.log.read_text(), api, within=START_SECONDS)
    return port


def _measure_requests(settings: StateSettings, databases: Databases, port: int) -> None:
    client, shelf = _reader(databases, port)
    api = "/api/v1"
    basket = [{"book_id": book, "rating": 5} for book in shelf[:RATED]]
    questions: dict[str, Callable[[Client, http.client.HTTPConnection], Any]] = {
        "GET /books (20, total)": lambda c, h: c.ask(h, "GET", f"{api}/books?sort_by=average_rating&sort_order=desc"),
        "GET /books/{id}": lambda c, h: c.ask(h, "GET", f"{api}/books/{secrets.choice(shelf)}"),
        "GET /recommendations/popular": lambda c, h: c.ask(h, "GET", f"{api}/recommendations/popular"),
        "GET /recommendations/personal": lambda c, h: c.ask(h, "GET", f"{api}/recommendations/personal?limit=10"),
        "POST /recommendations/preview": lambda c, h: c.ask(
            h, "POST", f"{api}/recommendations/preview", {"ratings": basket, "limit": 10}
        ),
    }
    click.echo(f"\n{'CPU ms a request':<34}{'application':>12}{'Postgres':>10}{'requests/s':>12}")
    for name, ask in questions.items():
        _drive(client, ask, WARM_UP)
        before, started = _cpu(settings, port), time.monotonic()
        _drive(client, ask, REQUESTS)
        seconds, after = time.monotonic() - started, _cpu(settings, port)
        app, postgres = ((late - early) / REQUESTS * 1000 for early, late in zip(before, after, strict=True))
        click.echo(f"{name:<34}{app:>12.2f}{postgres:>10.2f}{REQUESTS / seconds:>12.0f}")


def _reader(databases: Databases, port: int) -> tuple[Client, list[str]]:
    """Somebody who has rated forty books."""
    account = {
        "email": f"bench-{secrets.token_hex(4)}@example.org",
        "password": "Quiet-Reading-Lamp-1843",
        "first_name": "Bench",
        "last_name": "Reader",
    }
    tokens = Client(port).once("POST", "/api/v1/auth/register", account)["data"]
    client = Client(port, tokens["access_token"])
    with connect(databases.brs) as connection:
        rows = connection.execute("SELECT id::text FROM books ORDER BY total_reviews DESC, id LIMIT 1000").fetchall()
    shelf = [row[0] for row in rows]
    for place, book in enumerate(shelf[:RATED]):
        client.once("POST", f"/api/v1/books/{book}/reviews", {"rating": 3 + place % 3})
    deadline = time.monotonic() + START_SECONDS
    while client.once("GET", "/api/v1/recommendations/personal?limit=1")["data"]["model"] is None:
        if time.monotonic() > deadline:
            raise click.ClickException("the API picked up no model")
        time.sleep(0.5)
    return client, shelf


def _drive(client: Client, ask: Callable[[Client, http.client.HTTPConnection], Any], requests: int) -> None:
    def some(_: int) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", client.port)) as connection:
            for _ in range(requests // CONNECTIONS):
                ask(client, connection)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(some, range(CONNECTIONS)))


def _cpu(settings: StateSettings, port: int) -> tuple[float, float]:
    """Seconds of CPU so far: the process that listens on ``port``, and Postgres with its workers."""
    api = next(p for p in psutil.Process().children(recursive=True) if _listens(p, port))
    server = status(settings.home)
    postmaster = psutil.Process(server.pid) if server is not None else None
    backends = [postmaster, *postmaster.children()] if postmaster is not None else []
    return _seconds(api), sum(_seconds(process) for process in backends)


def _listens(process: psutil.Process, port: int) -> bool:
    return any(c.laddr and c.laddr.port == port and c.status == psutil.CONN_LISTEN for c in process.net_connections())


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
