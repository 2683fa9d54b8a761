"""An account that an operator has disabled: only its owner is told so."""

from collections.abc import Callable

import httpx2
import pytest

from data.accounts import change_account
from tests.serving.conftest import PASSWORD, Json, Library, Service, Start, bearer

EMAIL = "ada@example.org"
Ask = Callable[[Service, Json], httpx2.Response]


def login(service: Service, password: str = PASSWORD) -> httpx2.Response:
    return service.post("/auth/login/json", json={"email": EMAIL, "password": password})


def refresh(service: Service, token: str) -> httpx2.Response:
    return service.post("/auth/refresh", json={"refresh_token": token})


def told(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"]["code"]


PROOFS: dict[str, tuple[Ask, tuple[int, str]]] = {
    "login": (lambda service, _: login(service), (403, "ACCOUNT_DISABLED")),
    "login with the form": (
        lambda service, _: service.post("/auth/login", data={"username": EMAIL, "password": PASSWORD}),
        (403, "ACCOUNT_DISABLED"),
    ),
    "wrong password": (lambda service, _: login(service, "wrong-Password-1"), (401, "INVALID_CREDENTIALS")),
    "wrong password in the form": (
        lambda service, _: service.post("/auth/login", data={"username": EMAIL, "password": "wrong-Password-1"}),
        (401, "INVALID_CREDENTIALS"),
    ),
    "live token": (
        lambda service, given: service.get("/auth/me", headers=bearer(given["live"]["access_token"])),
        (403, "ACCOUNT_DISABLED"),
    ),
    "live token where signing in is optional": (
        lambda service, given: service.get("/recommendations/popular", headers=bearer(given["live"]["access_token"])),
        (403, "ACCOUNT_DISABLED"),
    ),
    "live refresh token": (
        lambda service, given: refresh(service, given["live"]["refresh_token"]),
        (403, "ACCOUNT_DISABLED"),
    ),
    "access token of a session that was ended": (
        lambda service, given: service.get("/auth/me", headers=bearer(given["ended"]["access_token"])),
        (401, "UNAUTHORIZED"),
    ),
    "refresh token of a session that was ended": (
        lambda service, given: refresh(service, given["ended"]["refresh_token"]),
        (401, "UNAUTHORIZED"),
    ),
    "refresh token that was used before": (
        lambda service, given: refresh(service, given["used"]["refresh_token"]),
        (401, "TOKEN_REUSED"),
    ),
    "access token that has expired": (
        lambda service, given: service.get("/auth/me", headers=bearer(given["expired"])),
        (401, "TOKEN_EXPIRED"),
    ),
}


@pytest.fixture
def given(service: Service, start: Start, database_url: str) -> Json:
    """Tokens of an account that has been disabled since."""
    used = service.register(EMAIL)
    live = refresh(service, used["refresh_token"]).json()["data"]
    ended = login(service).json()["data"]
    assert service.post("/auth/logout", headers=bearer(ended["access_token"])).status_code == 200
    brief = start(access_token_minutes=1e-9)
    expired = login(brief).json()["data"]["access_token"]
    change_account(database_url, EMAIL.upper(), is_active=False)
    return {"used": used, "live": live, "ended": ended, "expired": expired}


@pytest.mark.parametrize("proof", PROOFS)
def test_a_disabled_account_is_told_so_to_the_right_password_and_to_live_tokens_alone(
    service: Service, given: Json, proof: str
) -> None:
    ask, expected = PROOFS[proof]
    assert told(ask(service, given)) == expected


def test_nothing_that_a_disabled_reader_asks_for_is_done(service: Service, library: Library, given: Json) -> None:
    book, headers = library.book(), bearer(given["live"]["access_token"])
    assert told(service.post(f"/books/{book}/reviews", json={"rating": 5}, headers=headers)) == (
        403,
        "ACCOUNT_DISABLED",
    )
    assert library.run("SELECT count(*) FROM reviews") == [(0,)]


def test_enabling_brings_the_sessions_back(service: Service, database_url: str, given: Json) -> None:
    change_account(database_url, EMAIL, is_active=True)
    assert service.get("/auth/me", headers=bearer(given["live"]["access_token"])).status_code == 200
    assert refresh(service, given["live"]["refresh_token"]).status_code == 200
    assert login(service).status_code == 200
