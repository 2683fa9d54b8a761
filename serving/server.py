"""Starts the service: one process, or several workers under a parent that replaces whoever dies.

The application is imported late: a refusal to start comes at once, and numpy's number of threads can be set before.
"""

import asyncio
import contextlib
import functools
import importlib.util
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import structlog
import uvicorn
from pydantic import ValidationError
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from data.database import Databases, DatabaseUnavailable, opened, tracking_uri
from data.settings import StateSettings
from serving.kit.leaving import Leaving
from serving.kit.listening import address_of, listening, why_not
from serving.kit.log import configure
from serving.settings import ServiceSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from serving.recommendations.registry import RegistryInDatabase

log = structlog.get_logger(__name__)

LAST_REQUESTS_SECONDS = 10  # that requests under way get when the service stops
LAST_CONNECTIONS_SECONDS = 0.3  # for the request of a connection that came at the last moment to be read
# A proxy must be the one who lets go of an idle connection, or it sends a request into one that is just being closed:
# load balancers and nginx keep theirs for 60 s.
IDLE_CONNECTION_SECONDS = 75
WORKER_SILENCE_SECONDS = 30  # a worker that is silent for so long is replaced; importing everything takes some


def serve(host: str = "127.0.0.1", port: int = 8000, workers: int = 1) -> int:
    """Run the API until it is told to stop (SIGINT, SIGTERM). Reads the settings; prints one line when it answers.

    Args:
        host: Name or address to listen on.
        port: 0 takes a free one.
        workers: Processes.

    Returns:
        Exit code: 0 after a graceful stop, 1 when it could not start (with one line on standard error that says why).
    """
    try:
        service, state = ServiceSettings(), StateSettings()
        with listening(host, port) as listener, opened(state, create=()) as databases:
            configure(service.log_level)
            # A request is one small product of matrices; more threads only wait for each other (5.6 ms of CPU, not 0.9)
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
            address = address_of(host, listener)
            if workers == 1:
                return _serve_alone(create(service, state, databases), listener, address)
            return _serve_with_workers(service, state, workers, listener, address)
    except ValidationError as exc:
        return _refused("; ".join(_reason(error["loc"], error["msg"]) for error in exc.errors(include_input=False)))
    except DatabaseUnavailable as exc:
        return _refused(str(exc))
    except OSError as exc:
        return _refused(why_not(exc, host, port))


def create(
    service: ServiceSettings, state: StateSettings, databases: Databases, shared_metrics: Path | None = None
) -> "FastAPI":
    """The application, in a process that serves it."""
    from serving.app import create_app  # noqa: PLC0415  see the module's docstring

    return create_app(
        service,
        database_url=databases.brs,
        tracking_uri=state.mlflow_tracking_uri,
        bundles=state.bundles,
        registry=None if state.mlflow_tracking_uri else _registry_in_database(state, databases),
        shared_metrics=shared_metrics,
    )


def _registry_in_database(state: StateSettings, databases: Databases) -> "RegistryInDatabase | None":
    """Where no address of a registry is set: its database, where MLflow's driver is installed."""
    if importlib.util.find_spec("psycopg2") is None:
        log.warning("no model registry: set BRS_MLFLOW_TRACKING_URI")
        return None
    from serving.recommendations.registry import RegistryInDatabase  # noqa: PLC0415  see the module's docstring

    return RegistryInDatabase(tracking_uri(state, databases), databases.mlflow)


def _refused(reason: str) -> int:
    sys.stderr.write(f"brs serve: {reason}\n")
    return 1


def _reason(where: tuple[int | str, ...], message: str) -> str:
    told = message.removeprefix("Value error, ")
    return told if not where else f"BRS_{'.'.join(map(str, where)).upper()}: {told}"


def _announce(address: str) -> None:
    sys.stdout.write(f"BRS answers on {address} (documentation: {address}/docs)\n")
    sys.stdout.flush()


def _config(app: Callable[..., Any], workers: int, *, factory: bool = False) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=factory,
        workers=workers,
        log_config=None,
        access_log=False,  # the service logs its requests itself, with their ids
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=IDLE_CONNECTION_SECONDS,
        timeout_graceful_shutdown=LAST_REQUESTS_SECONDS,
        timeout_worker_healthcheck=WORKER_SILENCE_SECONDS,
    )


class _Server(uvicorn.Server):
    """Says when it answers, and returns after a signal: uvicorn's own raises it again, which skips all clean-up."""

    def __init__(self, config: uvicorn.Config, address: str, leaving: Leaving) -> None:
        super().__init__(config)
        self._address = address
        self._leaving = leaving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            _announce(self._address)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        def stop(number: int, frame: FrameType | None) -> None:
            def now() -> None:
                self.handle_exit(signal.Signals(number), frame)

            if number == signal.SIGTERM:
                self._leaving.then(now)
            else:
                now()

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._take_the_last(sockets or [])
        await super().shutdown(sockets)

    async def _take_the_last(self, listeners: list[socket.socket]) -> None:
        """Answer connections that wait to be accepted: closing the socket would reset them with their requests."""
        last: list[socket.socket] = []
        for listener in listeners:
            with contextlib.suppress(OSError):  # BlockingIOError: that was the last one
                while True:
                    last.append(listener.accept()[0])
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in last:
            await loop.connect_accepted_socket(self._protocol, connection)
        await asyncio.sleep(LAST_CONNECTIONS_SECONDS)

    def _protocol(self) -> asyncio.Protocol:
        """As uvicorn makes one for each connection."""
        make = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def _serve_alone(app: "FastAPI", listener: socket.socket, address: str) -> int:
    server = _Server(_config(app, 1), address, app.state.leaving)
    try:
        server.run([listener])
    except SystemExit:  # uvicorn's way to say that the application did not start; it has logged why
        return 1
    return 0 if server.started else 1


class _Parent(Multiprocess):
    """Says once that all workers answer, and is no longer a listener when they stop: it would accept for nobody."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, address: str) -> None:
        super().__init__(config, [listener])
        self._address = address
        self._answered = False
        self.was_told = False

    def handle_signals(self) -> None:
        super().handle_signals()
        self.was_told |= self.should_exit.is_set()  # here only a signal sets it, elsewhere a worker that cannot start

    def keep_subprocess_alive(self) -> None:
        super().keep_subprocess_alive()
        if not self._answered and not self.should_exit.is_set() and all(p.is_ready(timeout=1) for p in self.processes):
            self._answered = True
            _announce(self._address)

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def _serve_with_workers(
    service: ServiceSettings, state: StateSettings, workers: int, listener: socket.socket, address: str
) -> int:
    with tempfile.TemporaryDirectory(prefix="brs-metrics-") as shared:
        # prometheus_client looks for this name when a worker imports it.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared
        make = functools.partial(app_of_worker, service, state, Path(shared))
        parent = _Parent(_config(make, workers, factory=True), listener, address)
        parent.run()
    return 0 if parent.was_told else 1


def app_of_worker(service: ServiceSettings, state: StateSettings, shared_metrics: Path) -> "FastAPI":
    """The application of one worker process, which keeps the embedded Postgres alive as long as it lives itself.

    The database is never let go explicitly: a worker ends by a signal, and the kernel releases what it holds then.
    """
    configure(service.log_level)
    _stop_with_parent()
    held = contextlib.ExitStack()
    try:
        databases = held.enter_context(opened(state, create=()))
    except DatabaseUnavailable as exc:
        log.error("worker cannot start", reason=str(exc))  # noqa: TRY400  the message is one clear line
        sys.exit(STARTUP_FAILURE)
    app = create(service, state, databases, shared_metrics)
    app.state.held = held
    _leave_slowly(app.state.leaving)
    return app


def _leave_slowly(leaving: Leaving) -> None:
    """Puts the time of leaving before what uvicorn does when a worker is told to stop."""
    stop = signal.getsignal(signal.SIGTERM)
    if callable(stop):
        signal.signal(signal.SIGTERM, lambda number, frame: leaving.then(functools.partial(stop, number, frame)))


def _stop_with_parent() -> None:
    """A parent that is killed cannot stop its workers: they notice, and stop by themselves."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="stop-with-parent", daemon=True).start()
