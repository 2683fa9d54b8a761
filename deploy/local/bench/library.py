"""A generated library in a temporary folder, a model learnt from it, and an API that answers from it."""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from data.database import Databases, connect, migrate, opened
from data.embedded import status, temporary_home
from data.loading import ReviewRow, load
from data.settings import StateSettings
from data.sources.generator import Generator
from deploy.local.console import PipelineLines
from deploy.local.registry import champion_if_any, prepared
from deploy.local.supervisor import Child, Supervisor
from pipelines.environment import dagster_environment

START_SECONDS = 120.0
RATINGS_OF_A_READER = 50
_TEXT = "{} stars from me: a generated review of about two hundred characters, as long as what many readers write. " * 2


class WithTexts(Generator):
    """A generated library whose reviews say something: a page of them is as long as a real one."""

    def reviews(self) -> Iterator[ReviewRow]:
        return (review._replace(review_text=_TEXT.format(review.rating, review.rating)) for review in super().reviews())


@dataclass(frozen=True)
class Place:
    """Where the measurement happens; ``supervisor`` ends what is started in it."""

    settings: StateSettings
    databases: Databases
    supervisor: Supervisor


def forget_settings() -> None:
    """A measurement neither depends on nor reaches what the environment names, nor do the processes it starts."""
    for name in list(os.environ):
        if name.startswith("BRS_") or name in {"DATABASE_URL", "REDIS_URL"}:
            del os.environ[name]


def with_texts(readers: int, books: int, ratings: int) -> Generator:
    return WithTexts(readers, books, ratings, seed=1)


@contextlib.contextmanager
def library(books: int, ratings: int, made: Callable[[int, int, int], Generator] = with_texts) -> Iterator[Place]:
    """Load a library, and remove everything at the end. Says how long loading took.

    Args:
        books: How many.
        ratings: How many.
        made: From how many readers, books and ratings to a library.
    """
    forget_settings()
    with temporary_home("brs-bench-") as folder:
        settings = StateSettings(home=folder)
        with opened(settings) as databases, Supervisor(click.echo) as supervisor:
            migrate(databases.brs)
            report = load(databases.brs, made(max(10, ratings // RATINGS_OF_A_READER), books, ratings))
            click.echo(f"load {ratings:,} ratings of {books:,} books: {report.seconds:.1f} s")
            with connect(databases.brs, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")  # autovacuum would come in the middle of a measurement
            yield Place(settings, databases, supervisor)


def learn(place: Place) -> None:
    """Run the pipeline in this process, and say what it took.

    Raises:
        ClickException: it did not pass, or made no champion.
    """
    from pipelines.run import run  # noqa: PLC0415 - imports Dagster

    prepared(place.settings, place.databases)
    before, started = time.process_time(), time.monotonic()
    with PipelineLines() as lines:
        passed = run(place.settings, place.databases, on_event=lines)
    if not passed:
        raise click.ClickException("the pipeline did not pass")
    if champion_if_any(place.settings, place.databases)[0] is None:
        raise click.ClickException(
            "on so few ratings the model was not surely better than popularity: ask for more --ratings"
        )
    click.echo(f"pipeline: {time.monotonic() - started:.1f} s, {time.process_time() - before:.1f} s of CPU")


@dataclass(frozen=True)
class Api:
    """A running API, and what it and its Postgres have used."""

    port: int
    process: psutil.Process
    home: Path

    def cpu(self) -> tuple[float, float]:
        """Seconds of CPU so far: of the API with its workers, and of Postgres with its own."""
        server = status(self.home)
        return seconds_of(self.process), 0.0 if server is None else seconds_of(psutil.Process(server.pid))


def seconds_of(process: psutil.Process) -> float:
    """Of the process, of its children, and, where the system counts them, of the children that have ended."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system
            total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total


def serve(place: Place, *, workers: int) -> Api:
    """Start the API, without limits, and wait until it answers.

    Raises:
        ChildFailed: it does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environment = {
        **dagster_environment(place.settings, place.databases),
        "BRS_LOG_LEVEL": "warning",
        "BRS_RATE_LIMITS": "off",
    }
    command = [sys.executable, "-m", "brs", "serve", "--port", str(port), "--workers", str(workers)]
    child = Child("API", command, environment, place.settings.logs / "api.log", is_essential=True)
    place.supervisor.start(child)
    place.supervisor.wait_until(lambda: "BRS answers" in child.log.read_text(), child, within=START_SECONDS)
    if child.process is None:
        raise click.ClickException("the API has ended")
    return Api(port, psutil.Process(child.process.pid), place.settings.home)
