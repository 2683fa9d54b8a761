"""What Prometheus reads. One registry per application, so that two applications in one process never count together."""

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

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

    def exposition(self) -> bytes:
        """All numbers in Prometheus' text format 0.0.4."""
        if self._shared is None:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._shared))  # type: ignore[no-untyped-call]  # it ships no types
        return generate_latest(registry)
