"""Prometheus' numbers as JSON, for people and for tools that speak no Prometheus."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

_QUANTILES: Final = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """The value below which ``share`` of the observations lie, in the unit of the bounds.

    Linear within a bucket, as Prometheus' ``histogram_quantile``; in the last bucket, which has no end, its beginning.

    Args:
        buckets: Upper bound (the last one infinite) to the number of observations up to it.
        share: 0..1.

    Returns:
        ``None`` when nothing was observed.
    """
    bounds = sorted(buckets)
    wanted = share * buckets[bounds[-1]] if bounds else 0.0
    below, before = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted > 0:
            if math.isinf(bound):
                return below
            return below + (bound - below) * (wanted - before) / (buckets[bound] - before)
        below, before = bound, buckets[bound]
    return None


def summary(registry: CollectorRegistry) -> dict[str, object]:
    """Requests by status and by route with their latencies, and every other number under its own name."""
    requests: list[Sample] = []
    seconds: list[Sample] = []
    others: dict[str, float] = {}
    for family in registry.collect():
        if family.name == "brs_http_requests":
            requests += family.samples
        elif family.name == "brs_http_request_seconds":
            seconds += family.samples
        else:
            others |= {
                _named(sample): sample.value for sample in family.samples if not sample.name.endswith("_created")
            }
    counts = [sample for sample in requests if sample.name.endswith("_total")]
    by_status: defaultdict[str, int] = defaultdict(int)
    for sample in counts:
        by_status[sample.labels["status"]] += int(sample.value)
    return {
        "requests": {"total": sum(by_status.values()), "by_status": dict(sorted(by_status.items()))},
        "routes": _routes(seconds),
        "numbers": others,
    }


def _named(sample: Sample) -> str:
    labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}}" if labels else sample.name


def _routes(samples: Iterable[Sample]) -> list[dict[str, object]]:
    buckets: defaultdict[str, dict[float, float]] = defaultdict(dict)
    sums: defaultdict[str, float] = defaultdict(float)
    for sample in samples:
        if sample.name.endswith("_bucket"):
            buckets[sample.labels["route"]][float(sample.labels["le"])] = sample.value
        elif sample.name.endswith("_sum"):
            sums[sample.labels["route"]] = sample.value
    return [_route(route, buckets[route], sums[route]) for route in sorted(buckets)]


def _route(route: str, buckets: Mapping[float, float], total: float) -> dict[str, object]:
    count = int(buckets[max(buckets)])
    told: dict[str, object] = {"route": route, "count": count, "mean_ms": _ms(total / count) if count else None}
    for name, share in _QUANTILES.items():
        value = quantile(buckets, share)
        told[name] = None if value is None else _ms(value)
    return told


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
