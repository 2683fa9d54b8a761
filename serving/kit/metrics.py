"""What Prometheus reads. One registry per application, so that two applications in one process never count together."""

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The service's numbers.

    Args:
        shared: Folder through which several workers of one host add up their numbers; ``None`` for a single process.
            The entry point must have set ``PROMETHEUS_MULTIPROC_DIR`` to it before this module was imported.
    """

    def __init__(self, shared: Path | None = None) -> None:
        self._shared = shared
        if shared is not None:
            _forget_the_dead(shared)
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "brs_http_requests", "Answered requests", ("method", "route", "status"), registry=self._registry
        )
        self.seconds = Histogram(
            "brs_http_request_seconds",
            "Seconds from request to answer",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.statements = Counter("brs_sql_statements", "SQL statements of requests", registry=self._registry)
        self.picks = Counter("brs_picks", "Books recommended, by source", ("source",), registry=self._registry)
        self.source_failures = Counter(
            "brs_source_failures", "Sources that failed while recommending", ("source",), registry=self._registry
        )
        self.model = Gauge(
            "brs_model_info",
            "1 for the model that answers",
            ("name", "version"),
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self.models_refused = Counter("brs_models_refused", "Bundles that were not put to use", registry=self._registry)
        self.registry_failures = Counter(
            "brs_registry_failures", "Polls of the model registry without an answer", registry=self._registry
        )
        self.pages_lost = Counter("brs_served_pages_lost", "Served pages that were not stored", registry=self._registry)

        self._limits()
        self._state()

    def _limits(self) -> None:
        self.limited = Counter(
            "brs_limited_requests", "Requests refused with 429, by budget", ("budget",), registry=self._registry
        )
        self.limiter_failures = Counter(
            "brs_limiter_failures", "Questions to the limits' Redis without an answer", registry=self._registry
        )
        self.limiter_up = Gauge(
            "brs_limiter_up",
            "1 while the store of the limits answers; 0: requests are not limited",
            ("store",),
            registry=self._registry,
            multiprocess_mode="livemin",
        )

    def _state(self) -> None:
        """Gauges that ``monitoring.observer`` sets every few seconds."""
        self.degraded = Counter(
            "brs_degraded_answers",
            "Recommendations that a part of the engine was missing from",
            registry=self._registry,
        )
        self.pool = Gauge(
            "brs_pool_connections",
            "Connections to Postgres: open, idle, and requests that wait for one",
            ("state",),
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self.model_age = Gauge(
            "brs_model_age_seconds",
            "Seconds since the model that answers was made",
            registry=self._registry,
            multiprocess_mode="livemax",
        )

    def collected(self) -> "CollectorRegistry":
        """The numbers of all workers."""
        if self._shared is None:
            return self._registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._shared))  # type: ignore[no-untyped-call]  # it ships no types
        return registry

    def exposition(self) -> bytes:
        """All numbers in Prometheus' text format 0.0.4."""
        return generate_latest(self.collected())


def _forget_the_dead(shared: Path) -> None:
    """Gauges of workers that were replaced would be added up for ever."""
    for file in shared.glob("gauge_live*_*.db"):
        number = file.stem.rpartition("_")[2]
        if number.isdecimal() and not _is_alive(int(number)):
            mark_process_dead(int(number), str(shared))  # type: ignore[no-untyped-call]  # it ships no types


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
