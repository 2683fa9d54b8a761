"""Changing the password, and what it ends."""

import concurrent.futures

import pytest

from tests.serving.conftest import PASSWORD, Json, Library, Service, bearer, codes, fields

NEWER = "Difference-Engine-1822"


def change(service: Service, token: str, current: str = PASSWORD, new: str = NEWER) -> tuple[int, Json]:
    body = {"current_password": current, "new_password": new}
    answer = service.post("/auth/change-password", json=body, headers=bearer(token))
    return answer.status_code, dict(answer.json())


def login(service: Service, password: str) -> int:
    return service.post("/auth/login/json", json={"email": "ada@example.org", "password": password}).status_code


def me(service: Service, token: str) -> int:
    return service.get("/auth/me", headers=bearer(token)).status_code


def refresh(service: Service, token: str) -> int:
    return service.post("/auth/refresh", json={"refresh_token": token}).status_code


def test_every_other_session_is_ended_and_this_one_has_new_tokens(service: Service) -> None:
    here = service.register()
    login_json = {"email": "ada@example.org", "password": PASSWORD}
    there = service.post("/auth/login/json", json=login_json).json()["data"]
    status, body = change(service, here["access_token"])
    tokens = body["data"]
    assert status == 200
    assert set(tokens) == {"access_token", "refresh_token", "token_type", "expires_in", "user"}
    assert me(service, there["access_token"]) == 401
    assert refresh(service, there["refresh_token"]) == 401
    assert refresh(service, here["refresh_token"]) == 401
    assert me(service, tokens["access_token"]) == 200
    assert refresh(service, tokens["refresh_token"]) == 200
    assert (login(service, PASSWORD), login(service, NEWER)) == (401, 200)


def test_a_wrong_current_password_changes_nothing(service: Service) -> None:
    token = service.register()["access_token"]
    status, body = change(service, token, current="Not-My-Password-1")
    assert (status, body["errors"]["code"]) == (403, "INVALID_CREDENTIALS")
    assert me(service, token) == 200
    assert login(service, PASSWORD) == 200


def test_anonymous_callers_are_asked_to_sign_in(service: Service) -> None:
    body = {"current_password": PASSWORD, "new_password": NEWER}
    answer = service.post("/auth/change-password", json=body)
    assert (answer.status_code, answer.json()["errors"]["code"]) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    ("new", "code"),
    [("Ab1!", "password_too_short"), ("Lovelace@1", "password_too_weak"), ("Password1!", "password_too_weak")],
)
def test_the_new_password_obeys_the_rules(service: Service, new: str, code: str) -> None:
    token = service.register()["access_token"]
    body = {"current_password": PASSWORD, "new_password": new}
    answer = service.post("/auth/change-password", json=body, headers=bearer(token))
    assert (answer.status_code, fields(answer), codes(answer)) == (422, ["new_password"], [code])
    assert new not in answer.text
    assert login(service, PASSWORD) == 200


def test_of_two_changes_at_once_one_wins(service: Service) -> None:
    token = service.register()["access_token"]
    with concurrent.futures.ThreadPoolExecutor() as threads:
        sent = [threads.submit(change, service, token, PASSWORD, f"Difference-{n}-Engine") for n in range(4)]
    assert sorted(answer.result()[0] for answer in sent) == [200, 403, 403, 403]


def test_a_sign_in_that_began_with_the_old_password_gets_no_session(service: Service, library: Library) -> None:
    """The password changes while a login hashes: what was verified is not the account's password any more."""
    service.register()
    passwords = service.app.state.passwords
    verified = passwords.verified

    async def slow(password: str, known: str | None) -> tuple[bool, str | None]:
        answer: tuple[bool, str | None] = await verified(password, known)
        library.run("UPDATE users SET password_hash = 'changed meanwhile'")
        return answer

    passwords.verified = slow
    assert login(service, PASSWORD) == 401
    assert library.run("SELECT count(*) FROM token_families") == [(1,)]
