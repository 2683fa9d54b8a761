"""HTTP of probes, metrics and the service card."""

import secrets
from collections.abc import Mapping
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from serving.kit import errors
from serving.kit.auth import MetricsDep
from serving.kit.db import DatabaseDep
from serving.kit.docs import answers, router
from serving.kit.envelope import Envelope, example, success
from serving.kit.metrics import CONTENT_TYPE
from serving.monitoring import service
from serving.monitoring.numbers import summary
from serving.monitoring.observer import Observer
from serving.monitoring.schemas import (
    CARD_EXAMPLE,
    HEALTH_EXAMPLE,
    NUMBERS_EXAMPLE,
    READY_EXAMPLE,
    STATUS_EXAMPLE,
    VERSION_EXAMPLE,
    Alive,
    Card,
    Health,
    Numbers,
    Ready,
    Status,
    Version,
)
from serving.monitoring.service import Parts
from serving.settings import ServiceSettings

monitoring = router("/api/v1/monitoring", "Monitoring")
root = APIRouter(tags=["Monitoring"])
_READINESS = answers(
    example(READY_EXAMPLE, "Ready"), errors.ServiceUnavailable, description="Postgres answers, and its schema fits"
)


async def _parts(request: Request) -> Parts:
    state = request.app.state
    return Parts(state.database, state.observer, state.limiter, state.bundles)


async def _observer(request: Request) -> Observer:
    return cast("Observer", request.app.state.observer)


async def _settings(request: Request) -> ServiceSettings:
    return cast("ServiceSettings", request.app.state.settings)


async def _only_monitors(request: Request, settings: Annotated[ServiceSettings, Depends(_settings)]) -> None:
    """Numbers are for whoever has ``BRS_MONITORING_TOKEN``, when it is set."""
    if settings.monitoring_token is None:
        return
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    expected = settings.monitoring_token.get_secret_value().encode()
    if scheme.lower() != "bearer" or not secrets.compare_digest(token.strip().encode(), expected):
        raise errors.Unauthorized


def _not_ready(checks: Mapping[str, bool]) -> list[errors.Detail]:
    return [errors.Detail(name, "This part is not ready", "not_ready") for name, ready in checks.items() if not ready]


async def _staying(request: Request) -> None:
    if request.app.state.leaving.has_begun:
        raise errors.ServiceUnavailable([errors.Detail("process", "This replica is about to stop", "stopping")])


async def _readiness(database: DatabaseDep) -> Response:
    checks = await service.checks(database)
    if not all(checks.values()):
        raise errors.ServiceUnavailable(_not_ready(checks))
    return success({"status": "ready", "checks": checks}, "Ready")


@monitoring.get(
    "/health/liveness",
    summary="Is the process alive?",
    response_model=Envelope[Alive],
    responses=answers(example({"status": "alive"}, "Alive"), errors.ServiceUnavailable),
)
async def get_liveness() -> Response:
    return success({"status": "alive"}, "Alive")


@monitoring.get(
    "/health/readiness",
    summary="Can it do its work?",
    response_model=Envelope[Ready],
    responses=_READINESS,
    dependencies=[Depends(_staying)],
)
async def get_readiness(database: DatabaseDep) -> Response:
    return await _readiness(database)


@monitoring.get(
    "/health/detailed",
    summary="How does each part do?",
    description="A part that the service can do without makes it degraded; without Postgres the answer is 503.",
    response_model=Envelope[Health],
    responses=answers(example(HEALTH_EXAMPLE, "healthy"), errors.Unauthorized, errors.ServiceUnavailable),
    dependencies=[Depends(_only_monitors)],
)
async def get_detailed_health(parts: Annotated[Parts, Depends(_parts)]) -> Response:
    is_able, told = await service.health(parts)
    if not is_able:
        raise errors.ServiceUnavailable(_not_ready(cast("Mapping[str, bool]", told["checks"])))
    return success(told, str(told["status"]))


@monitoring.get(
    "/metrics",
    summary="Counts and latencies",
    response_model=Envelope[Numbers],
    responses=answers(example(NUMBERS_EXAMPLE, "Numbers of this host"), errors.Unauthorized),
    dependencies=[Depends(_only_monitors)],
)
async def get_numbers(metrics: MetricsDep, observer: Annotated[Observer, Depends(_observer)]) -> Response:
    observer.look()
    return success(summary(metrics.collected()), "Numbers of this host")


@monitoring.get(
    "/version",
    summary="Which code is this?",
    response_model=Envelope[Version],
    responses=answers(example(VERSION_EXAMPLE, "Version"), errors.Unauthorized),
    dependencies=[Depends(_only_monitors)],
)
async def get_version(request: Request, settings: Annotated[ServiceSettings, Depends(_settings)]) -> Response:
    return success(await service.version(request.app.version, settings.commit), "Version")


@monitoring.get(
    "/status",
    summary="Since when, as what, with which model?",
    response_model=Envelope[Status],
    responses=answers(example(STATUS_EXAMPLE, "Running"), errors.Unauthorized),
    dependencies=[Depends(_only_monitors)],
)
async def get_status(
    request: Request,
    settings: Annotated[ServiceSettings, Depends(_settings)],
    observer: Annotated[Observer, Depends(_observer)],
) -> Response:
    return success(service.status(observer, settings.env, request.app.version), "Running")


@root.get(
    "/health",
    summary="Can it do its work?",
    response_model=Envelope[Ready],
    responses=_READINESS,
    dependencies=[Depends(_staying)],
)
async def get_health(database: DatabaseDep) -> Response:
    return await _readiness(database)


@root.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    dependencies=[Depends(_only_monitors)],
    responses={
        200: {
            "description": "Prometheus' text format",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "brs_sql_statements_total 12.0"}},
        },
        **answers({}, errors.Unauthorized, status=401),
    },
)
async def get_metrics(metrics: MetricsDep, observer: Annotated[Observer, Depends(_observer)]) -> Response:
    observer.look()
    return Response(metrics.exposition(), media_type=None, headers={"Content-Type": CONTENT_TYPE})


@root.get(
    "/",
    summary="What is this?",
    response_model=Envelope[Card],
    responses=answers(example(CARD_EXAMPLE, "Book review system"), errors.BadHost),
)
async def get_card(request: Request) -> Response:
    return success({**CARD_EXAMPLE, "version": request.app.version}, "Book review system")
