"""MLflow's tables: made once, by one process at a time. Its own migration does not bear company."""

import contextlib
from collections.abc import Iterator

import psycopg

from data.database import Databases, connect, tracking_uri
from data.settings import StateSettings
from models.registry import PASSED, REASON, Registry, Version

ONE_AT_A_TIME = 5_180_417_023  # advisory lock of the mlflow database
LAST_TABLE_ASKED = "SELECT to_regclass('registered_model_aliases')"


def prepared(settings: StateSettings, databases: Databases) -> Registry:
    """The registry, its tables in place. Raises RegistryUnavailable."""
    registry = Registry(tracking_uri(settings, databases), artifact_root=settings.artifact_root)
    if settings.mlflow_tracking_uri is None:
        with _alone(databases.mlflow):
            registry.champion()  # the first question makes the tables
    return registry


@contextlib.contextmanager
def _alone(url: str) -> Iterator[None]:
    with connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (ONE_AT_A_TIME,))
        yield


def champion_if_any(settings: StateSettings, databases: Databases) -> tuple[Version | None, list[Version]]:
    """The champion and all versions, without making anything that is not there. Raises RegistryUnavailable."""
    if settings.mlflow_tracking_uri is None and not _has_tables(databases.mlflow):
        return None, []
    registry = Registry(tracking_uri(settings, databases))
    return registry.champion(), registry.versions()


def _has_tables(url: str) -> bool:
    try:
        with connect(url) as connection:
            return connection.execute(LAST_TABLE_ASKED).fetchone() != (None,)
    except psycopg.OperationalError as exc:
        if "does not exist" in str(exc):
            return False
        raise


def why_none(versions: list[Version]) -> str:
    """What to say when there is no champion."""
    if not versions:
        return "no champion yet: run `brs pipeline run`"
    why = versions[0].tags.get(REASON, "not surely better than popularity")
    return (
        f"no champion: version {versions[0].version} was refused ({why});"
        " more ratings help, or choose one with `brs models promote`"
    )


def line(version: Version) -> str:
    """For a list: number, time, NDCG@10, what the gate said, aliases."""
    quality = version.metrics.get("ndcg_at_10")
    told = "-" if quality is None else f"{quality:.3f}"
    when = f"{version.created_at:%Y-%m-%d %H:%M}"
    return f"{version.version:>4}  {when}  {told}  {_gate(version):<7}  {' '.join(version.aliases)}".rstrip()


def _gate(version: Version) -> str:
    if PASSED not in version.tags:
        return "-"
    return "passed" if version.passed else "refused"


def described(version: Version) -> dict[str, object]:
    """For scripts."""
    return {
        "version": version.version,
        "created_at": version.created_at.isoformat(),
        "aliases": list(version.aliases),
        "run_id": version.run_id,
        "metrics": dict(version.metrics),
        "gate": _gate(version),
        "decision": version.tags.get(REASON),
    }
