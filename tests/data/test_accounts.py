"""What an operator does to an account, straight in the database."""

import psycopg
import pytest

from data.accounts import NoSuchAccount, change_account

ADA, GRACE = "ada@example.org", "grace@example.org"


@pytest.fixture(autouse=True)
def _two_accounts(db: psycopg.Connection) -> None:
    for email in (ADA, GRACE):
        db.execute("INSERT INTO users (email, first_name, last_name) VALUES (%s, 'A', 'B')", (email,))


def standing(db: psycopg.Connection, email: str) -> tuple[object, ...] | None:
    return db.execute("SELECT is_admin, is_active FROM users WHERE email = %s", (email,)).fetchone()


def test_what_is_named_changes_and_nothing_else(db: psycopg.Connection, database_url: str) -> None:
    change_account(database_url, "ADA@Example.org", is_admin=True)
    assert standing(db, ADA) == (True, True)
    change_account(database_url, ADA, is_active=False)
    assert standing(db, ADA) == (True, False)
    change_account(database_url, ADA, is_admin=False, is_active=True)
    assert standing(db, ADA) == (False, True)
    assert standing(db, GRACE) == (False, True)


def test_the_change_is_dated(db: psycopg.Connection, database_url: str) -> None:
    change_account(database_url, ADA, is_active=False)
    dates = db.execute("SELECT email, updated_at > created_at FROM users ORDER BY email").fetchall()
    assert dates == [(ADA, True), (GRACE, False)]


def test_an_unknown_address_is_named_and_changes_nothing(db: psycopg.Connection, database_url: str) -> None:
    with pytest.raises(NoSuchAccount, match=r"nobody@example\.org"):
        change_account(database_url, "nobody@example.org", is_admin=True)
    assert standing(db, ADA) == standing(db, GRACE) == (False, True)
