"""HTTP of probes, metrics and the service card."""

import secrets
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
from serving.monitoring.schemas import CARD_EXAMPLE, READY_EXAMPLE, Alive, Card, Ready
from serving.settings import ServiceSettings

monitoring = router("/api/v1/monitoring", "Monitoring")
root = APIRouter(tags=["Monitoring"])
_READINESS = answers(
    example(READY_EXAMPLE, "Ready"), errors.ServiceUnavailable, description="Postgres answers, and its schema fits"
)


async def _settings(request: Request) -> ServiceSettings:
    return cast("ServiceSettings", request.app.state.settings)


async def _only_monitors(request: Request, settings: Annotated[ServiceSettings, Depends(_settings)]) -> None:
    """With ``BRS_MONITORING_TOKEN`` set, numbers are for whoever has it."""
    if settings.monitoring_token is None:
        return
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    expected = settings.monitoring_token.get_secret_value().encode()
    if scheme.lower() != "bearer" or not secrets.compare_digest(token.strip().encode(), expected):
        raise errors.Unauthorized


async def _readiness(database: DatabaseDep) -> Response:
    checks = await service.checks(database)
    if not all(checks.values()):
        raise errors.ServiceUnavailable(
            [errors.Detail(name, "This part is not ready", "not_ready") for name, ready in checks.items() if not ready]
        )
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
)
async def get_readiness(database: DatabaseDep) -> Response:
    return await _readiness(database)


@root.get("/health", summary="Can it do its work?", response_model=Envelope[Ready], responses=_READINESS)
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
async def get_metrics(metrics: MetricsDep) -> Response:
    return Response(metrics.exposition(), media_type=None, headers={"Content-Type": CONTENT_TYPE})


@root.get(
    "/",
    summary="What is this?",
    response_model=Envelope[Card],
    responses=answers(example(CARD_EXAMPLE, "Book review system"), errors.BadHost),
)
async def get_card(request: Request) -> Response:
    return success({**CARD_EXAMPLE, "version": request.app.version}, "Book review system")
