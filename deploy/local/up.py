"""`brs up`: everything a person wants to see, on one machine."""

import contextlib
import json
import secrets
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psycopg

from data.database import Databases, connect, current, head, migrate, opened, sqlalchemy_url
from data.embedded import ensure_reaper, running, status
from data.loading import load
from data.settings import StateSettings
from data.sources.sample import sample_library
from deploy.local.console import bars, console, stage
from deploy.local.registry import prepared
from deploy.local.supervisor import Child, Supervisor
from pipelines.environment import dagster_environment
from serving.settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
API_SECONDS, PAGE_SECONDS = 60.0, 240.0


@dataclass(frozen=True)
class Ports:
    api: int
    mlflow: int
    dagster: int


class CannotStart(RuntimeError):
    """One line that says why, and what to do."""


def up(settings: StateSettings, ports: Ports, *, pages: bool) -> None:
    """Start everything and stay until interrupted.

    Raises:
        CannotStart: a port is taken, or the first pipeline run failed.
        ChildFailed: a program does not start, or keeps ending.
        SourceError: the sample library is damaged.
        RegistryUnavailable: MLflow's database or server does not answer.
    """
    _require_free(ports, pages=pages)
    _require_writable(settings.home)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        with stage("Postgres"):
            databases = stack.enter_context(opened(settings))
        with stage("schema"):
            if current(databases.brs) != head():
                migrate(databases.brs)
        has_books = _has_books(settings, databases)
        with stage("model registry"):
            registry = prepared(settings, databases)
            champion = registry.champion()
        supervisor = stack.enter_context(Supervisor(click.echo))
        environment = _environment(settings, databases)
        api = Child(
            "API", _brs("serve", "--port", str(ports.api)), environment, settings.logs / "api.log", is_essential=True
        )
        supervisor.start(api)
        if champion is None and has_books:
            _first_pipeline_run(supervisor, environment)
            champion = registry.champion()
        with stage("API"):
            supervisor.wait_until(lambda: _answers(f"http://{LOOPBACK}:{ports.api}/health"), api, within=API_SECONDS)
        _demonstrate(databases, ports.api, has_champion=champion is not None)
        click.echo(f"\nBRS answers after {time.monotonic() - began:.0f} s.  Stop it with Ctrl-C.\n")
        if pages:
            _start_pages(supervisor, settings, databases, ports)
        _show_addresses(ports, settings, pages=pages)
        supervisor.watch([] if settings.database_url else [lambda: _keep_postgres(stack, settings.home)])


def _keep_postgres(stack: contextlib.ExitStack, home: Path) -> None:
    """A server that was killed is started again, and so is the watcher that stops it when nobody is left."""
    if status(home) is None:
        click.echo(f"Postgres ended and is started again; see {home / 'logs' / 'postgres.log'}")
        stack.enter_context(running(home))
    ensure_reaper(home)


def _require_free(ports: Ports, *, pages: bool) -> None:
    if len({ports.api, ports.mlflow, ports.dagster}) < 3 and pages:  # noqa: PLR2004 - three programs
        raise CannotStart("--port, --mlflow-port and --dagster-port must differ")
    wanted = {"--port": ports.api} | ({"--mlflow-port": ports.mlflow, "--dagster-port": ports.dagster} if pages else {})
    for option, port in wanted.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError as exc:
                raise CannotStart(
                    f"port {port} is taken: is BRS already running? Stop what uses it, or choose another with {option}"
                ) from exc


def _require_writable(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / f".write-probe-{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink()
    except OSError as exc:
        raise CannotStart(f"cannot write to {home} ({exc.strerror}): choose another folder with BRS_HOME") from exc


def _has_books(settings: StateSettings, databases: Databases) -> bool:
    """An empty library of our own gets the sample; simulated readers do not go into somebody's database unasked."""
    with connect(databases.brs) as connection:
        if connection.execute("SELECT EXISTS (SELECT FROM books)").fetchone() == (True,):
            return True
    if settings.database_url is not None:
        click.echo("  The library is empty: fill it with `brs load`, then `brs pipeline run`.")
        return False
    with stage("sample library (real books, simulated readers)"), bars() as progress:
        load(databases.brs, sample_library(), progress)
    return True


def _environment(settings: StateSettings, databases: Databases) -> dict[str, str]:
    return {**dagster_environment(settings, databases), "BRS_HOME": str(settings.home), "PYTHONUNBUFFERED": "1"}


def _brs(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "brs", *arguments]


def _first_pipeline_run(supervisor: Supervisor, environment: Mapping[str, str]) -> None:
    click.echo("First model: extract, aggregate, learn, evaluate, promote")
    if supervisor.run(_brs("pipeline", "run"), environment) != 0:
        raise CannotStart("the first pipeline run failed; mend what it says, then run `brs up` again")


def _demonstrate(databases: Databases, port: int, *, has_champion: bool) -> None:
    """One real recommendation. What goes wrong here is said, and stops nothing."""
    if not has_champion:
        click.echo("\nThere is no champion yet: the API recommends popular books until there is one.")
        return
    try:
        _wait_for_model(port)
        _show_one_recommendation(databases, port)
    except (OSError, psycopg.Error) as exc:  # URLError and HTTPError are OSErrors
        click.echo(f"\nThe API could not be asked for a recommendation: {exc}")


def _wait_for_model(port: int, *, within: float = 30.0) -> None:
    deadline = time.monotonic() + within
    while _model(port) is None:
        if time.monotonic() > deadline:
            click.echo("  The API has not picked up a model yet; until then it recommends popular books.")
            return
        time.sleep(0.2)


def _fetch(url: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
    data = None if body is None else json.dumps(body).encode()
    all_headers = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data, all_headers)  # noqa: S310 - our own loopback
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own loopback
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return False


def _preview(port: int, ratings: list[dict[str, object]], limit: int) -> dict[str, Any]:
    answer = _fetch(
        f"http://{LOOPBACK}:{port}/api/v1/recommendations/preview?limit={limit}", {"ratings": ratings, "limit": limit}
    )
    picks: dict[str, Any] = answer["data"]
    return picks


def _popular(port: int, limit: int) -> list[dict[str, Any]]:
    picks: list[dict[str, Any]] = _fetch(f"http://{LOOPBACK}:{port}/api/v1/recommendations/popular?limit={limit}")[
        "data"
    ]["recommendations"]
    return picks


def _model(port: int) -> dict[str, Any] | None:
    """What the API answers with. Its health may be asked as often as one likes; other requests are limited."""
    token = ServiceSettings().monitoring_token
    headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
    model: dict[str, Any] | None = _fetch(
        f"http://{LOOPBACK}:{port}/api/v1/monitoring/health/detailed", headers=headers
    )["data"]["model"]
    return model


def _show_one_recommendation(databases: Databases, port: int) -> None:
    liked = _two_books(databases, port)
    page = _preview(port, [{"book_id": book, "rating": 5} for book, _ in liked], 5)
    titles = " and ".join(title for _, title in liked)
    click.echo(f"\nSomebody who gave five stars to {titles} is recommended:")
    names = dict(liked)
    for pick in page["recommendations"]:
        reasons = ", ".join(
            names[because["book_id"]] + (f" {because['share']:.0%}" if because["share"] is not None else "")
            for because in pick["because"]
        )
        click.echo(
            f"  {pick['rank']}. {pick['title']} by {pick['author']}" + (f"   because of {reasons}" if reasons else "")
        )


def _two_books(databases: Databases, port: int) -> list[tuple[str, str]]:
    """Two books whose readers overlap in most libraries; else the two most popular."""
    with connect(databases.brs) as connection:
        rows = connection.execute(
            "SELECT DISTINCT ON (title_key) id::text, title FROM books"
            " WHERE title_key IN ('the hunger games', 'divergent')"
            " ORDER BY title_key DESC, total_reviews DESC, id"
        ).fetchall()
    return rows if len(rows) == 2 else [(book["id"], book["title"]) for book in _popular(port, 2)]  # noqa: PLR2004


def _start_pages(supervisor: Supervisor, settings: StateSettings, databases: Databases, ports: Ports) -> None:
    environment = _environment(settings, databases)
    workspace = str(ROOT / "workspace.yaml")
    supervisor.start(
        Child(
            "MLflow page",
            [
                sys.executable,
                "-m",
                "mlflow",
                "server",
                "--host",
                LOOPBACK,
                "--port",
                str(ports.mlflow),
                "--workers",
                "1",
            ],
            {
                **environment,
                # In the environment, not among the arguments, which every user of the machine can read.
                "MLFLOW_BACKEND_STORE_URI": sqlalchemy_url(databases.mlflow, "psycopg2").render_as_string(
                    hide_password=False
                ),
                "MLFLOW_ARTIFACTS_DESTINATION": settings.mlflow_artifacts.as_uri(),
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            },
            settings.logs / "mlflow.log",
        )
    )
    web = ["dagster_webserver", "-w", workspace, "-h", LOOPBACK, "-p", str(ports.dagster)]
    daemon = ["dagster._daemon", "run", "-w", workspace]
    for name, module, log in (("Dagster page", web, "dagster.log"), ("Dagster daemon", daemon, "dagster-daemon.log")):
        supervisor.start(Child(name, [sys.executable, "-m", *module], environment, settings.logs / log))


def _show_addresses(ports: Ports, settings: StateSettings, *, pages: bool) -> None:
    rows = [("API", f"http://{LOOPBACK}:{ports.api}/"), ("API docs", f"http://{LOOPBACK}:{ports.api}/docs")]
    if pages:
        rows += [("MLflow", f"http://{LOOPBACK}:{ports.mlflow}/"), ("Dagster", f"http://{LOOPBACK}:{ports.dagster}/")]
    for name, address in rows:
        click.echo(f"  {name:<10} {address}" + ("   (follows in a moment)" if name in {"MLflow", "Dagster"} else ""))
    click.echo(f"  {'logs':<10} {settings.logs}")
    console.file.flush()
