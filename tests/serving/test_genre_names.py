"""Genre names are unique whatever their case, also on a Postgres that knows the case of ASCII alone."""

import uuid
from collections.abc import Callable, Iterator

import httpx2
import pytest
from psycopg import sql

from data.database import connect, migrate
from tests.serving.conftest import Running, Service, bearer, fields


@pytest.fixture
def ascii_url(server_url: Callable[[str], str]) -> Iterator[str]:
    """A migrated database whose locale is C."""
    name = f"ascii_{uuid.uuid4().hex[:12]}"
    with connect(server_url("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'").format(
                sql.Identifier(name)
            )
        )
        migrate(server_url(name))
        yield server_url(name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def check(service: Service, url: str) -> None:
    headers = bearer(service.register()["access_token"])
    with connect(url, autocommit=True) as connection:
        connection.execute("UPDATE users SET is_admin = true")

    def send(method: str, path: str, name: str) -> httpx2.Response:
        return service.client.request(method, "/api/v1/genres" + path, json={"name": name}, headers=headers)

    names = ("Öko", "Oko", "Straße")  # accents make another name
    added = [send("POST", "", name) for name in names]
    assert [answer.status_code for answer in added] == [201] * 3
    paths = [f"/{answer.json()['data']['id']}" for answer in added]
    for owner, others in enumerate(("öko ÖKO O\u0308KO", "oko OKO", "straße STRASSE")):
        for name in others.split():
            refusals = [send("POST", "", name), *(send("PUT", path, name) for path in paths if path != paths[owner])]
            assert {told(answer) for answer in refusals} == {(409, "GENRE_NAME_TAKEN", "name")}, name
            assert send("PUT", paths[owner], name).status_code == 200, "it is the genre's own"
        assert send("PUT", paths[owner], names[owner]).status_code == 200


def told(answer: httpx2.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["errors"]["code"], fields(answer)[0]


def test_names_are_unique_whatever_their_case(running: Running, database_url: str) -> None:
    with running() as service:
        check(service, database_url)


def test_names_are_unique_whatever_their_case_where_postgres_knows_ascii_alone(
    running: Running, ascii_url: str
) -> None:
    with connect(ascii_url) as connection:
        assert connection.execute("SELECT lower('Ö') = 'ö'").fetchone() == (False,), "the index cannot tell"
    with running({"database_url": ascii_url}) as service:
        check(service, ascii_url)
