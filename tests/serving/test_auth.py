"""Sign-up, sign-in, sessions."""

import concurrent.futures
import datetime as dt
import statistics
import time
import uuid

import jwt
import pytest

from serving.settings import PLACEHOLDER_SECRET
from tests.serving.conftest import PASSWORD, Json, Library, Service, Start, bearer, codes, fields

DRAFT = {"email": "ada@example.org", "password": PASSWORD, "first_name": "Ada", "last_name": "Lovelace"}


def login(service: Service, email: str = "ada@example.org", password: str = PASSWORD) -> Json:
    return dict(service.post("/auth/login/json", json={"email": email, "password": password}).json())


def me(service: Service, token: str) -> int:
    return int(service.get("/auth/me", headers=bearer(token)).status_code)


def test_register_signs_in(service: Service) -> None:
    answer = service.post("/auth/register", json=DRAFT)
    tokens = answer.json()["data"]
    assert answer.status_code == 201
    assert set(tokens) == {"access_token", "refresh_token", "token_type", "expires_in", "user"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 900)
    assert set(tokens["user"]) == {
        "id", "email", "first_name", "last_name", "is_active", "is_admin", "created_at", "updated_at",
    }  # fmt: skip
    assert (tokens["user"]["is_active"], tokens["user"]["is_admin"]) == (True, False)
    assert tokens["user"]["created_at"].endswith("Z")
    own = service.get("/auth/me", headers=bearer(tokens["access_token"]))
    assert own.json()["data"] == tokens["user"]


def test_an_email_is_taken_whatever_its_case(service: Service) -> None:
    service.register()
    again = service.post("/auth/register", json={**DRAFT, "email": " ADA@Example.ORG "})
    assert again.status_code == 409
    assert again.json()["errors"]["code"] == "EMAIL_TAKEN"


def test_of_two_registrations_at_once_one_wins(service: Service) -> None:
    with concurrent.futures.ThreadPoolExecutor() as threads:
        sent = [threads.submit(service.post, "/auth/register", json=DRAFT) for _ in range(6)]
    assert sorted(answer.result().status_code for answer in sent) == [201, 409, 409, 409, 409, 409]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "no-at-sign"}, "email"),
        ({"email": "a@b"}, "email"),
        ({"email": "nul\x00@example.org"}, "email"),
        ({"password": "short1!"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"password": None}, "password"),
        ({"first_name": "   "}, "first_name"),
        ({"first_name": "x" * 51}, "first_name"),
        ({"last_name": "Robert'); DROP TABLE"}, "last_name"),
        ({"last_name": "a\x00b"}, "last_name"),
        ({"last_name": "\ud800"}, "last_name"),
        ({"is_admin": True}, "is_admin"),
    ],
)
def test_bad_registrations_are_refused_by_field(service: Service, change: Json, field: str) -> None:
    import json  # noqa: PLC0415

    body = json.dumps({**DRAFT, **change}).encode()
    answer = service.post("/auth/register", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert fields(answer) == [field]


@pytest.mark.parametrize("name", ["Zoë", "O'Brien", "O\u2019Brien", "李", "Jean-Luc", "J. R. R.", "नेहा", "  Ada  "])
def test_names_of_any_script_are_taken(service: Service, name: str) -> None:
    assert service.register(first_name=name)["user"]["first_name"] == name.strip()


def test_the_form_repeats_the_token_beside_the_envelope(service: Service) -> None:
    service.register()
    form = {
        "grant_type": "password", "username": "Ada@example.org", "password": PASSWORD,
        "scope": "", "client_id": "x", "client_secret": "y",
    }  # fmt: skip
    body = service.post("/auth/login", data=form).json()
    assert body["access_token"] == body["data"]["access_token"]
    assert body["token_type"] == "bearer"
    assert me(service, body["access_token"]) == 200
    assert "access_token" not in login(service)


@pytest.mark.parametrize("password", ["wrong-Password-1", PASSWORD + "x", "\x00"])
def test_a_wrong_password_and_an_unknown_account_look_the_same(service: Service, password: str) -> None:
    service.register()
    wrong, unknown = login(service, password=password), login(service, "nobody@example.org", password)
    assert wrong["errors"] == unknown["errors"] == {"code": "INVALID_CREDENTIALS", "details": []}
    assert wrong["message"] == unknown["message"]


def test_an_unknown_account_takes_as_long_as_a_known_one(service: Service) -> None:
    service.register()

    def median(email: str) -> float:
        times = []
        for _ in range(9):
            start = time.perf_counter()
            login(service, email, "wrong-Password-1")
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    known, unknown = median("ada@example.org"), median("nobody@example.org")
    assert 0.5 < known / unknown < 2


def test_nobody_signs_in_as_a_loaded_reader(service: Service, library: Library) -> None:
    reader = library.reader()
    email = library.run("SELECT email FROM users WHERE id = %s", reader)[0][0]
    for password in ("", "None", PASSWORD):
        assert login(service, email, password)["status"] == "error"


def test_refresh_rotates(service: Service) -> None:
    first = service.register()
    second = service.post("/auth/refresh", json={"refresh_token": first["refresh_token"]}).json()["data"]
    assert second["refresh_token"] != first["refresh_token"]
    assert me(service, second["access_token"]) == 200
    assert me(service, first["access_token"]) == 200
    third = service.post("/auth/refresh", json={"refresh_token": second["refresh_token"]})
    assert third.status_code == 200


def test_replaying_a_refresh_token_ends_the_session_and_its_access_tokens(service: Service, library: Library) -> None:
    first = service.register()
    other = login(service)["data"]
    second = service.post("/auth/refresh", json={"refresh_token": first["refresh_token"]}).json()["data"]
    replayed = service.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})
    assert (replayed.status_code, replayed.json()["errors"]["code"]) == (401, "TOKEN_REUSED")
    # Seen from another connection: the revocation was kept although the request was refused.
    assert library.run("SELECT count(*) FROM token_families WHERE revoked_at IS NOT NULL") == [(1,)]
    assert me(service, second["access_token"]) == 401
    assert me(service, first["access_token"]) == 401
    assert service.post("/auth/refresh", json={"refresh_token": second["refresh_token"]}).status_code == 401
    assert me(service, other["access_token"]) == 200


def test_of_two_refreshes_at_once_at_most_one_gets_tokens(service: Service) -> None:
    token = service.register()["refresh_token"]
    with concurrent.futures.ThreadPoolExecutor() as threads:
        sent = [threads.submit(service.post, "/auth/refresh", json={"refresh_token": token}) for _ in range(5)]
    assert sorted(answer.result().status_code for answer in sent) == [200, 401, 401, 401, 401]


def test_an_expired_or_unknown_refresh_token_is_401(service: Service, library: Library) -> None:
    token = service.register()["refresh_token"]
    library.run("UPDATE token_families SET expires_at = now() - interval '1 second'")
    expired = service.post("/auth/refresh", json={"refresh_token": token})
    assert (expired.status_code, expired.json()["errors"]["code"]) == (401, "TOKEN_EXPIRED")
    unknown = service.post("/auth/refresh", json={"refresh_token": "made-up"})
    assert (unknown.status_code, unknown.json()["errors"]["code"]) == (401, "UNAUTHORIZED")
    assert codes(service.post("/auth/refresh", json={"refresh_token": "a\x00b"})) == ["control_character"]


def test_logout_ends_this_session_at_once_and_no_other(service: Service) -> None:
    here, there = service.register(), login(service)["data"]
    assert service.post("/auth/logout", headers=bearer(here["access_token"])).status_code == 200
    assert me(service, here["access_token"]) == 401
    assert service.post("/auth/refresh", json={"refresh_token": here["refresh_token"]}).status_code == 401
    assert service.post("/auth/logout", headers=bearer(here["access_token"])).status_code == 401
    assert me(service, there["access_token"]) == 200


@pytest.mark.parametrize("path", ["/auth/me", "/users/reviews", "/recommendations/personal"])
def test_anonymous_callers_are_asked_to_sign_in(service: Service, path: str) -> None:
    answer = service.get(path)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["errors"]["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer x.y.z", "Basic YTpi", "nonsense", "Bearer \xff"])
def test_a_bad_token_is_401_also_where_signing_in_is_optional(service: Service, header: str) -> None:
    for path in ("/auth/me", "/recommendations/popular"):
        answer = service.get(path, headers={"Authorization": header.encode("latin-1")})
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_forged_and_expired_access_tokens_are_refused(service: Service) -> None:
    tokens = service.register()
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 900
    now = dt.datetime.now(dt.UTC)

    def sent(algorithm: str = "HS256", key: str = PLACEHOLDER_SECRET, **changed: object) -> tuple[int, str]:
        told = {name: value for name, value in {**claims, **changed}.items() if value is not None}
        token = jwt.encode(told, key, algorithm=algorithm)
        answer = service.get("/auth/me", headers=bearer(token))
        return answer.status_code, answer.json().get("errors", {}).get("code", "")

    assert sent()[0] == 200
    assert sent(exp=now - dt.timedelta(seconds=1)) == (401, "TOKEN_EXPIRED")
    assert sent(key="another-key-of-at-least-32-characters") == (401, "UNAUTHORIZED")
    assert sent(algorithm="none", key="") == (401, "UNAUTHORIZED")
    assert sent(exp=None) == (401, "UNAUTHORIZED")
    assert sent(sub=str(uuid.uuid4())) == (401, "UNAUTHORIZED")
    assert sent(sid="no-uuid") == (401, "UNAUTHORIZED")
    assert sent(iss="somebody") == (401, "UNAUTHORIZED")


def test_a_refresh_token_is_no_access_token_and_is_not_stored(service: Service, library: Library) -> None:
    tokens = service.register()
    assert me(service, tokens["refresh_token"]) == 401
    everything = library.run("SELECT string_agg(t::text, '') FROM refresh_tokens t")[0][0]
    assert tokens["refresh_token"] not in everything
    hashed = library.run("SELECT password_hash FROM users")[0][0]
    assert hashed.startswith("$argon2id$")


def test_signing_in_renews_weak_hashes(service: Service, library: Library) -> None:
    from pwdlib.hashers.argon2 import Argon2Hasher  # noqa: PLC0415

    service.register()
    weak = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    library.run("UPDATE users SET password_hash = %s", weak)
    assert login(service)["status"] == "success"
    assert library.run("SELECT password_hash FROM users")[0][0] != weak


def test_the_life_of_tokens_is_a_setting(start: Start) -> None:
    assert start(access_token_minutes=1).register()["expires_in"] == 60
