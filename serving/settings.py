"""The service's settings, and what production refuses to start with."""

import datetime as dt
import hmac
import ipaddress
import json
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PLACEHOLDER_SECRET = "development-only-secret-never-use-it-in-production"  # noqa: S105  refused in production below
SHORTEST_SECRET = 32  # characters; RFC 7518 section 3.2 asks for a key as long as HS256's hash


_ID_OF = b"brs: id of an access token's key"


def key_id(key: str) -> str:
    """What a token's header calls the key that signed it (``kid``, RFC 7515 section 4.1.4): 16 hexadecimal digits.

    A keyed hash of a fixed text tells no more about the key than any signature by it does.
    """
    return hmac.digest(key.encode(), _ID_OF, "sha256")[:8].hex()


def _listed(value: object) -> object:
    """``a, b`` or a JSON array, as people write lists into an environment variable."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return tuple(part.strip() for part in value.split(",") if part.strip())


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]


class ServiceSettings(BaseSettings):
    """Everything the HTTP service can be told; an entry point reads it once and passes it to ``create_app``.

    Attributes:
        env: ``production`` turns the refusals below on.
        secret_key: Signs access tokens.
        other_secret_keys: Verify access tokens and sign none: the next key before it is put to use, the one before as
            long as its tokens live.
        trusted_hosts: Names this service answers to, any port; ``*.example.org`` covers subdomains, ``*`` every name.
        cors_origins: Origins whose pages may read answers; empty in development means localhost at any port.
        trusted_proxies: Addresses or networks whose ``X-Forwarded-For`` is believed.
        access_token_minutes: Life of an access token.
        refresh_token_days: A session that is not used for so long is over.
        database_pool_size: Connections of one worker process.
        statement_timeout_seconds: A statement that takes longer is ended by Postgres.
        model_poll_seconds: How often the registry is asked for the champion.
        challenger_share: Of the signed-in readers who are answered by the challenger, where the registry has one.
        monitoring_token: When set, ``/metrics`` and ``/monitoring`` (but liveness and readiness) want it as bearer.
        drain_seconds: Told to stop by SIGTERM, it answers for so long without being ready, then it stops.
        request_timeout_seconds: A request that takes longer is ended and answered with 503.
        commit: Which commit this was built from; empty: git is asked, where there is a checkout.
        rate_limits: Whether callers are limited at all.
        rate_limit_signed_in_per_minute: Requests of one reader, by token.
        rate_limit_signed_in_burst: The same, in ``rate_limit_burst_seconds``.
        rate_limit_anonymous_per_minute: Requests of one address without a token.
        rate_limit_anonymous_burst: The same, in ``rate_limit_burst_seconds``.
        rate_limit_burst_seconds: Length of the short window.
        rate_limit_login_per_minute: Failed logins of one address, and of one account.
        rate_limit_register_per_minute: Registrations of one address, refused ones too.
        rate_limit_import_per_hour: Imports of one reader.
        otlp_endpoint: Base address of an OpenTelemetry collector (OTLP over HTTP); empty: no traces, and nothing of
            OpenTelemetry's exporter is imported.
        redis_url: Where replicas count together; empty: each process counts for itself.
        log_level: Lowest level that is written.
        database_url: Only looked at for the refusal; the entry point passes the address to ``create_app``.
    """

    model_config = SettingsConfigDict(
        env_prefix="BRS_",
        env_ignore_empty=True,  # an empty variable is how shells and compose files say "not set"
        frozen=True,
        populate_by_name=True,
        extra="ignore",
    )

    env: Literal["development", "production"] = "development"
    secret_key: SecretStr = SecretStr(PLACEHOLDER_SECRET)
    other_secret_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_listed)] = ()
    trusted_hosts: Listed = ("localhost", "127.0.0.1", "[::1]")
    cors_origins: Listed = ()
    trusted_proxies: Listed = ()
    access_token_minutes: float = Field(default=15, gt=0, le=60)
    refresh_token_days: float = Field(default=30, gt=0, le=365)
    database_pool_size: int = Field(default=10, ge=1, le=200)
    statement_timeout_seconds: float = Field(default=15, gt=0, le=600)
    model_poll_seconds: float = Field(default=10, gt=0, le=3600)
    challenger_share: float = Field(default=0, ge=0, le=1)
    monitoring_token: SecretStr | None = None
    drain_seconds: float = Field(default=0, ge=0, le=600)
    request_timeout_seconds: float = Field(default=30, gt=0, le=600)
    commit: str | None = Field(default=None, max_length=100)
    rate_limits: bool = True
    rate_limit_signed_in_per_minute: int = Field(default=100, ge=1, le=1_000_000)
    rate_limit_signed_in_burst: int = Field(default=30, ge=1, le=1_000_000)
    rate_limit_anonymous_per_minute: int = Field(default=20, ge=1, le=1_000_000)
    rate_limit_anonymous_burst: int = Field(default=10, ge=1, le=1_000_000)
    rate_limit_burst_seconds: int = Field(default=10, ge=1, le=59)
    rate_limit_login_per_minute: int = Field(default=5, ge=1, le=1_000_000)
    rate_limit_register_per_minute: int = Field(default=3, ge=1, le=1_000_000)
    rate_limit_import_per_hour: int = Field(default=5, ge=1, le=1_000_000)
    redis_url: SecretStr | None = Field(default=None, validation_alias=AliasChoices("REDIS_URL", "redis_url"))
    otlp_endpoint: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    database_url: str | None = Field(
        default=None, validation_alias=AliasChoices("DATABASE_URL", "database_url"), repr=False
    )

    @property
    def access_token_life(self) -> dt.timedelta:
        return dt.timedelta(minutes=self.access_token_minutes)

    @property
    def refresh_token_life(self) -> dt.timedelta:
        return dt.timedelta(days=self.refresh_token_days)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Of the key that signs, and of those that verify as well."""
        return tuple(key_id(key.get_secret_value()) for key in (self.secret_key, *self.other_secret_keys))

    @model_validator(mode="after")
    def _refusals(self) -> Self:
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy, strict=False)
            except ValueError as exc:
                raise ValueError("BRS_TRUSTED_PROXIES takes addresses and networks such as 10.0.0.0/8") from exc
        if self.env != "production":
            return self
        _refuse_weak("BRS_SECRET_KEY", self.secret_key)
        for other in self.other_secret_keys:
            _refuse_weak("a key of BRS_OTHER_SECRET_KEYS", other)
        if "*" in self.cors_origins:
            raise ValueError("BRS_CORS_ORIGINS may not be '*' in production; list the origins")
        if not self.database_url:
            raise ValueError("DATABASE_URL is missing; production has no embedded Postgres")
        return self


def _refuse_weak(name: str, key: SecretStr) -> None:
    secret = key.get_secret_value()
    if secret == PLACEHOLDER_SECRET or "change" in secret.lower():
        raise ValueError(f"{name} is a placeholder; make one with: openssl rand -hex 32")
    if len(secret) < SHORTEST_SECRET or len(set(secret)) < SHORTEST_SECRET // 4:
        raise ValueError(f"{name} needs at least {SHORTEST_SECRET} characters; make one with: openssl rand -hex 32")
