"""`brs recommend`: a reader's list, straight from the database and the registry. Nothing is stored as shown."""

import tempfile
from pathlib import Path
from uuid import UUID

import click
import psycopg

from data.accounts import NoSuchAccount
from data.database import Databases, connect, tracking_uri
from data.settings import StateSettings
from deploy.local.registry import champion_if_any, why_none
from models.bundle import load
from models.chain import page
from models.engine import Engine
from models.reader import Pick, Rating, Reader
from models.registry import Registry


def print_recommendations(settings: StateSettings, databases: Databases, email: str, limit: int) -> None:
    """Raises NoSuchAccount, RegistryUnavailable, BundleRefused."""
    with connect(databases.brs) as connection:
        reader = _reader(connection, email)
        picks = _picks(settings, databases, reader, limit)
        titles = _titles(connection, picks)
    for place, pick in enumerate(picks, 1):
        reasons = ", ".join(
            titles[reason.book_id] + (f" {reason.share:.0%}" if reason.share is not None else "")
            for reason in pick.because
        )
        click.echo(
            f"{place:>3}. {pick.score:.3f}  {titles[pick.book_id]}" + (f"   because of {reasons}" if reasons else "")
        )
    if not picks:
        click.echo(
            "Nothing personal: no rated book that the model knows and the reader liked. The API shows popular books."
        )


def _reader(connection: psycopg.Connection, email: str) -> Reader:
    found = connection.execute("SELECT id FROM users WHERE lower(email) = lower(%s)", (email,)).fetchone()
    if found is None:
        raise NoSuchAccount(f"there is no account with the e-mail address {email}")
    ratings = connection.execute(
        "SELECT book_id, rating, created_at FROM reviews WHERE user_id = %s ORDER BY created_at, id", found
    ).fetchall()
    muted = connection.execute("SELECT book_id FROM muted_books WHERE user_id = %s", found).fetchall()
    hidden = connection.execute("SELECT book_id FROM hidden_books WHERE user_id = %s", found).fetchall()
    return Reader(
        ratings=tuple(Rating(*row) for row in ratings),
        muted=frozenset(row[0] for row in muted),
        hidden=frozenset(row[0] for row in hidden),
    )


def _picks(settings: StateSettings, databases: Databases, reader: Reader, limit: int) -> list[Pick]:
    champion, versions = champion_if_any(settings, databases)
    if champion is None:
        raise click.ClickException(why_none(versions))
    registry = Registry(tracking_uri(settings, databases))
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine.from_bundle(load(registry.download(champion, Path(folder))))

    def fail(_source: str, why: Exception) -> None:
        raise why

    return page(engine.personal(), reader, limit, on_failure=fail, shelf=engine).picks


def _titles(connection: psycopg.Connection, picks: list[Pick]) -> dict[UUID, str]:
    wanted = {pick.book_id for pick in picks} | {reason.book_id for pick in picks for reason in pick.because}
    rows = connection.execute("SELECT id, title || ' by ' || author FROM books WHERE id = ANY(%s)", (list(wanted),))
    return dict(rows.fetchall())
