"""What assets work with: the databases and folders of one run, and the lock that keeps two runs apart."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from data.database import Databases, opened, tracking_uri
from data.lake import lake_key
from models.registry import Registry
from pipelines.settings import PipelineSettings

LOCK = "pipeline.lock"


class PipelineBusy(RuntimeError):
    """Another run is under way; the message says which process."""


@dataclass(frozen=True)
class State:
    """Where one run reads and writes."""

    settings: PipelineSettings
    databases: Databases

    @property
    def lake(self) -> Path:
        return self.settings.lake

    @property
    def work(self) -> Path:
        """Models between training and promotion."""
        return self.settings.home / "training"

    @property
    def lake_key(self) -> bytes:
        given = self.settings.lake_key
        return lake_key(self.settings.home, given.get_secret_value() if given else None)

    def registry(self) -> Registry:
        return Registry(tracking_uri(self.settings, self.databases), artifact_root=self.settings.artifact_root)


@contextmanager
def exclusive(home: Path, *, wait: bool, waiting: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Be the only pipeline run of this home folder. The lock goes with the process, however that dies.

    Raises:
        PipelineBusy: another run holds the lock and ``wait`` is false.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            file.seek(0)
            busy = f"another pipeline run is under way (process {file.read().strip() or 'unknown'})"
            if not wait:
                raise PipelineBusy(f"{busy}; wait until it has ended") from exc
            waiting(busy)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def state(settings: Callable[[], PipelineSettings], databases: Databases | None = None) -> dg.ResourceDefinition:
    """The resource. With ``databases`` the caller has opened them and holds the lock; without, the run does both.

    The second is how runs of the Dagster page and of its daemon come by the embedded Postgres: they join it. Not a
    ``ConfigurableResource``: Dagster shows their fields to everybody who sees the page, and URLs contain passwords.
    """

    @contextmanager
    def start(context: dg.InitResourceContext) -> Iterator[State]:
        found = settings()
        if databases is not None:
            yield State(found, databases)
            return
        say = context.log.info if context.log else print
        with exclusive(found.home, wait=True, waiting=say), opened(found) as joined:
            yield State(found, joined)

    return dg.ResourceDefinition(resource_fn=start, description="Databases, lake, registry and folders of this run.")


def onlooker(settings: Callable[[], PipelineSettings], databases: Databases | None = None) -> dg.ResourceDefinition:
    """The same for sensors, which look and change nothing: without the lock, so that they wait for no run."""

    @contextmanager
    def look(_: dg.InitResourceContext) -> Iterator[State]:
        found = settings()
        if databases is not None:
            yield State(found, databases)
            return
        with opened(found, create=()) as joined:
            yield State(found, joined)

    return dg.ResourceDefinition(resource_fn=look, description="Databases, lake and registry, to look at.")
