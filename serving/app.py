"""Puts the service together."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline

from models.registry import Registry as MlflowRegistry
from serving.auth.router import auth
from serving.books.router import books
from serving.genres.router import genres
from serving.kit import failures
from serving.kit.auth import Passwords, Tokens
from serving.kit.callers import Callers
from serving.kit.db import Database
from serving.kit.docs import failures as refusals
from serving.kit.docs import operation_id
from serving.kit.errors import BurstLimitExceeded, RateLimitExceeded, ServiceUnavailable
from serving.kit.http import Catch, Limits, Surroundings, TimeLimit
from serving.kit.leaving import Leaving
from serving.kit.limits import Budgets, Limiter
from serving.kit.metrics import Metrics
from serving.kit.sweep import sweeping
from serving.kit.throttle import RateLimits, Throttle
from serving.monitoring.observer import Observer
from serving.monitoring.router import monitoring, root
from serving.preferences.router import preferences
from serving.recommendations.challenge import Followed
from serving.recommendations.champion import CHALLENGER, Follower, Registry
from serving.recommendations.engine import Engine
from serving.recommendations.pages import Pages
from serving.recommendations.popularity import Popularity
from serving.recommendations.router import beside_books, recommendations
from serving.recommendations.service import always
from serving.reviews.router import reviews
from serving.settings import ServiceSettings
from serving.users.router import IMPORT_PATH, users
from serving.users.schemas import AROUND_A_FILE, LARGEST_EXPORT

if TYPE_CHECKING:
    from serving.kit.tracing import Tracing

log = structlog.get_logger(__name__)

VERSION = "0.1.0"
_ANY_LOCAL_PAGE = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
_SENT_HEADERS = ("Authorization", "Content-Type", "If-None-Match", "Idempotency-Key", "X-Request-ID")
_READ_HEADERS = (
    "ETag",
    "Retry-After",
    "WWW-Authenticate",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Request-ID",
)


_EVERYWHERE = refusals(RateLimitExceeded, BurstLimitExceeded, ServiceUnavailable)


def create_app(
    settings: ServiceSettings,
    *,
    database_url: str,
    tracking_uri: str | None,
    bundles: Path,
    registry: Registry | None = None,
    shared_metrics: Path | None = None,
) -> FastAPI:
    """The HTTP service.

    Args:
        settings: How it behaves.
        database_url: libpq URL of a migrated database.
        tracking_uri: Where MLflow's registry is; ``None``: the last good bundle answers, or popular books alone.
        bundles: Folder for downloaded models, shared by the workers of a host.
        registry: Another registry than MLflow's at ``tracking_uri``.
        shared_metrics: See ``kit.metrics.Metrics``.
    """
    metrics = Metrics(shared_metrics)
    database = Database(
        database_url, pool_size=settings.database_pool_size, statement_timeout=settings.statement_timeout_seconds
    )
    if registry is None and tracking_uri is not None:
        registry = MlflowRegistry(tracking_uri)
    follower = _followed(settings, registry, bundles, metrics)
    engine = Engine(database, follower, Popularity(), Pages(database, metrics), metrics)
    tokens = Tokens(settings)
    throttle = _throttle(settings, tokens, metrics)
    observer = Observer(database, follower, metrics)
    tracing = _tracing(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await database.open()
        log.info("started", version=VERSION, key_that_signs=tokens.keys.signs, keys_that_verify=tokens.keys.verifies)
        try:
            async with _beside_requests(engine, observer, throttle, tracing):
                yield
        finally:
            await database.close()

    app = _documented(lifespan)
    app.state.settings = settings
    app.state.database = database
    app.state.metrics = metrics
    app.state.tokens = tokens
    app.state.limiter = throttle.limiter
    app.state.observer = observer
    app.state.bundles = bundles
    app.state.passwords = Passwords()
    app.state.engine = engine
    _surround(app, settings, metrics, throttle, tracing)
    for router in (root, books, genres, reviews, recommendations, beside_books, preferences, auth, monitoring, users):
        app.include_router(router, responses=_EVERYWHERE)
    return app


@contextlib.asynccontextmanager
async def _beside_requests(
    engine: Engine, observer: Observer, throttle: Throttle, tracing: "Tracing | None"
) -> AsyncIterator[None]:
    """All that goes on as long as the service runs."""
    with engine.follower.following():
        async with (
            contextlib.nullcontext() if tracing is None else tracing.sending(),
            engine.pages.storing(),
            engine.popularity.keeping(engine.database, always()),
            observer.observing(),
            throttle.counting(),
            sweeping(engine.database),
        ):
            yield


def _documented(lifespan: Any) -> FastAPI:  # noqa: ANN401  Starlette's own type for it is a private union
    return FastAPIOffline(
        title="BRS",
        summary="Find books, rate them, and get recommendations that say why.",
        version=VERSION,
        lifespan=lifespan,
        redirect_slashes=False,  # a redirect would name the Host that the caller sent
        generate_unique_id_function=operation_id,
        openapi_tags=[
            {"name": "Books", "description": "Find books."},
            {"name": "Genres", "description": "What books are sorted into."},
            {"name": "Reviews", "description": "Rate books, with or without words."},
            {"name": "Recommendations", "description": "Lists of books, and why."},
            {"name": "My account", "description": "Profile, favourites, numbers, export and import."},
            {"name": "Sign in", "description": "Accounts, sessions and tokens."},
            {"name": "Monitoring", "description": "Probes and numbers."},
        ],
    )


def _tracing(settings: ServiceSettings) -> "Tracing | None":
    if settings.otlp_endpoint is None:
        return None
    from serving.kit.tracing import Tracing  # noqa: PLC0415  who wants no traces imports nothing of them

    return Tracing(settings.otlp_endpoint, VERSION)


def _followed(settings: ServiceSettings, registry: Registry | None, bundles: Path, metrics: Metrics) -> Followed:
    """A second model takes memory: only where somebody is to be answered by it."""
    seconds, share = settings.model_poll_seconds, settings.challenger_share
    challenger = Follower(registry, bundles, metrics, seconds, CHALLENGER) if share > 0 else None
    return Followed(Follower(registry, bundles, metrics, seconds), challenger, share)


def _throttle(settings: ServiceSettings, tokens: Tokens, metrics: Metrics) -> Throttle:
    shared = settings.redis_url
    limiter = Limiter(None if shared is None else shared.get_secret_value(), metrics) if settings.rate_limits else None
    return Throttle(limiter, Budgets(settings), Callers(tokens, settings.trusted_proxies), metrics)


def _surround(
    app: FastAPI, settings: ServiceSettings, metrics: Metrics, throttle: Throttle, tracing: "Tracing | None"
) -> None:
    """What answers for failures, and middleware, innermost first."""
    failures.install(app)
    app.state.leaving = Leaving(settings.drain_seconds)
    in_production = settings.env == "production"
    app.add_middleware(Limits, larger={IMPORT_PATH: LARGEST_EXPORT + AROUND_A_FILE})
    app.add_middleware(TimeLimit, seconds=settings.request_timeout_seconds)
    app.add_middleware(RateLimits, throttle=throttle)
    app.add_middleware(Catch)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_origin_regex=None if in_production or settings.cors_origins else _ANY_LOCAL_PAGE,
        allow_methods=("GET", "POST", "PUT", "DELETE"),
        allow_headers=_SENT_HEADERS,
        expose_headers=_READ_HEADERS,
    )
    app.add_middleware(
        Surroundings,
        metrics=metrics,
        trusted_hosts=settings.trusted_hosts,
        strict_transport=in_production,
        leaving=app.state.leaving,
    )
    if tracing is not None:
        tracing.surround(app)
