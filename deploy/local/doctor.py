"""`brs doctor`: what is there, what works, and what to do about the rest."""

import os
import platform
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from pydantic import ValidationError
from sqlalchemy import make_url

from data.database import Databases, DatabaseUnavailable, connect, current, head, how_to_mend, opened
from data.settings import StateSettings
from deploy.local.registry import champion_if_any, why_none
from models.registry import RegistryUnavailable
from serving.settings import ServiceSettings

LEAST_FREE_GB = 2.0
STALE_DAYS = 8
ORIGINS = {
    "sample": "simulated by the sample library's taste model",
    "generated": "generated for load tests",
    "goodbooks": "goodbooks-10k",
    "registered": "registered here",
}


@dataclass(frozen=True)
class Finding:
    what: str
    ok: bool
    says: str

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def examine(settings: StateSettings) -> list[Finding]:
    """All findings; the first bad one of the database ends what depends on it."""
    findings = [_python(), _disk(settings.home), _keys()]
    try:
        with opened(settings, create=()) as databases:
            findings += _database(settings, databases)
            if all(finding.ok for finding in findings):
                findings += [*_library(databases), _model(settings, databases)]
    except DatabaseUnavailable as exc:
        findings.append(Finding("Postgres", ok=False, says=" ".join(str(exc).split())))
    return findings


def _python() -> Finding:
    return Finding("Python", ok=True, says=f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _disk(home: Path) -> Finding:
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free / 1e9
    if not os.access(there, os.W_OK):
        return Finding("disk", ok=False, says=f"cannot write to {home}: choose another folder with BRS_HOME")
    if free < LEAST_FREE_GB:
        return Finding("disk", ok=False, says=f"{free:.1f} GB free at {home}; {LEAST_FREE_GB} GB are wanted")
    return Finding("disk", ok=True, says=f"{free:.1f} GB free at {home}")


def _keys() -> Finding:
    """By their ids, which every replica logs when it starts, too: that is how a rotation is followed."""
    try:
        service = ServiceSettings()
    except ValidationError as exc:
        reasons = (error["msg"].removeprefix("Value error, ") for error in exc.errors(include_input=False))
        return Finding("service", ok=False, says="; ".join(reasons))
    signs, *verify = service.key_ids
    also = f"; {', '.join(verify)} verified as well" if verify else ""
    return Finding("keys", ok=True, says=f"access tokens are signed by {signs}{also}")


def _database(settings: StateSettings, databases: Databases) -> list[Finding]:
    kind = "DATABASE_URL" if settings.database_url else "embedded"
    where = make_url(databases.brs).render_as_string(hide_password=True)
    with connect(databases.brs) as connection:
        version = connection.info.parameter_status("server_version")
        row = connection.execute("SELECT pg_database_size(current_database()) / 1e6").fetchone()
    size = 0.0 if row is None else float(row[0])
    at = current(databases.brs)
    return [
        Finding("Postgres", ok=True, says=f"{version} ({kind}), {size:.0f} MB, {where}"),
        Finding("schema", at == head(), f"at {at}" if at == head() else how_to_mend(at)),
    ]


def _library(databases: Databases) -> list[Finding]:
    with connect(databases.brs) as connection:
        books = connection.execute(
            "SELECT (SELECT count(*) FROM books), (SELECT count(*) FROM genres), (SELECT count(*) FROM reviews)"
        ).fetchone()
        origins = connection.execute("SELECT origin, count(*) FROM users GROUP BY 1 ORDER BY 2 DESC").fetchall()
    n_books, n_genres, n_reviews = books or (0, 0, 0)
    readers = ", ".join(f"{n:,} {ORIGINS[origin]}" for origin, n in origins) or "none"
    empty = "" if n_books else ": run `brs load sample`"
    return [
        Finding("library", n_books > 0, f"{n_books:,} books, {n_genres:,} genres, {n_reviews:,} ratings{empty}"),
        Finding("readers", ok=True, says=readers),
    ]


def _model(settings: StateSettings, databases: Databases) -> Finding:
    try:
        champion, versions = champion_if_any(settings, databases)
    except (RegistryUnavailable, psycopg.Error) as exc:
        return Finding("model", ok=False, says=" ".join(str(exc).split()))
    if champion is None:
        return Finding("model", ok=False, says=why_none(versions))
    age = datetime.now(UTC) - champion.created_at
    stale = age.days >= STALE_DAYS
    advice = "; is the nightly schedule running?" if stale else ""
    return Finding("model", not stale, f"version {champion.version}, {age.days} days old{advice}")
