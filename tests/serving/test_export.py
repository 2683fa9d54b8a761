"""The export against the schema: whatever is ever kept about a reader is in it, or stands here with a reason."""

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import Table

from data.schema import Base
from tests.serving.conftest import Library, Service, bearer

# Each table that belongs to readers, and the part of the export that shows it.
PARTS = {
    "users": "profile",
    "reviews": "reviews",
    "favorites": "favorites",
    "reader_settings": "settings",
    "muted_books": "muted_books",
    "hidden_books": "hidden_books",
    "served_pages": "served_pages",
    "served_picks": "served_pages",
    "feedback_events": "feedback",
    "token_families": "sessions",
    "refresh_tokens": "sessions",
    "idempotency_keys": "idempotency_keys",
}
OTHER_NAMES = {
    "served_pages.id": "page_id",
    "favorites.created_at": "since",
    "muted_books.created_at": "since",
    "hidden_books.created_at": "since",
}
LEFT_OUT = {
    "users.password_hash": "whoever finds the file could try passwords on it",
    "refresh_tokens.token_hash": "a secret of the session",
    "refresh_tokens.id": "says nothing: the entry stands under its session",
    "refresh_tokens.family_id": "the entry stands under its session",
    "served_picks.page_id": "the entry stands under its page",
    **{
        f"{table}.changed_in": "the number of a transaction"
        for table in ("reviews", "favorites", "served_pages", "feedback_events")
    },
    "feedback_events.id": "a running number of the table",
    "idempotency_keys.request_hash": "of the request that the entry's answer shows",
}

NOT_THEIRS = {"tombstones": "keys of rows that are gone, for a week: until no extract has those rows any more"}


def readers_tables() -> set[str]:
    """``users``, and every table whose rows go with a reader, by foreign keys however long the way."""
    found = {"users"}
    while more := {
        table.name
        for table in Base.metadata.tables.values()
        if table.name not in found and any(key.column.table.name in found for key in table.foreign_keys)
    }:
        found |= more
    return found


def columns(table: Table) -> Iterator[tuple[str, str]]:
    """Each column with the name that it must have in the export; whose it is need not be said again."""
    for column in table.columns:
        path = f"{table.name}.{column.name}"
        if column.name != "user_id" and path not in LEFT_OUT:
            yield path, OTHER_NAMES.get(path, column.name)


def names(told: object) -> set[str]:
    """All member names of a JSON value."""
    if isinstance(told, dict):
        return set(told).union(*map(names, told.values()))
    return set().union(*map(names, told)) if isinstance(told, list) else set()


def test_every_table_of_readers_has_a_part() -> None:
    with_owner = {table.name for table in Base.metadata.tables.values() if "user_id" in table.columns}
    assert with_owner - set(NOT_THEIRS) < readers_tables()
    assert set(PARTS) == readers_tables()


def test_what_is_left_out_is_there_to_be_left_out() -> None:
    known = {f"{table.name}.{column.name}" for table in Base.metadata.tables.values() for column in table.columns}
    assert {*LEFT_OUT, *OTHER_NAMES} <= known


@pytest.fixture
def told(service: Service, library: Library) -> dict[str, object]:
    """The export of a reader who has a row in every table."""
    tokens = service.register()
    headers, reader, book = bearer(tokens["access_token"]), tokens["user"]["id"], library.book()
    key = {**headers, "Idempotency-Key": "once"}
    assert service.post(f"/books/{book}/reviews", json={"rating": 4}, headers=key).status_code == 201
    assert service.post(f"/users/favorites/{book}", headers=headers).status_code == 201
    for table in ("muted_books", "hidden_books"):
        library.run(f"INSERT INTO {table} (user_id, book_id) VALUES (%s, %s)", reader, book)
    library.run("INSERT INTO reader_settings (user_id) VALUES (%s)", reader)
    page = uuid.uuid4()
    library.run("INSERT INTO served_pages (id, user_id, recommendation_type) VALUES (%s, %s, 'popular')", page, reader)
    library.run("INSERT INTO served_picks VALUES (%s, 1, %s, 'popular', 0.5)", page, book)
    library.run("INSERT INTO feedback_events (page_id, book_id, event) VALUES (%s, %s, 'read')", page, book)
    empty = [table for table in PARTS if library.run(f"SELECT count(*) FROM {table}") == [(0,)]]
    assert empty == []
    return dict(service.get("/users/export", headers=headers).json())


def test_every_column_about_a_reader_is_exported_or_left_out_for_a_reason(told: dict[str, object]) -> None:
    missing = [
        path
        for table, part in PARTS.items()
        for path, name in columns(Base.metadata.tables[table])
        if name not in names(told[part])
    ]
    assert missing == []
    assert set(told) == {*PARTS.values(), "exported_at"}
