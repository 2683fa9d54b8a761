"""The key that signs access tokens is exchanged while people are signed in: nobody notices, and the old key dies."""

import base64
import hashlib
import hmac
import itertools
import json
import uuid

import jwt
import pytest
from pydantic import ValidationError

from serving.kit.callers import Callers
from serving.settings import PLACEHOLDER_SECRET, ServiceSettings, key_id
from tests.serving.conftest import Json, Service, Start, bearer

OLD, NEW, THIRD = "0f3c9a7be1d24568" * 2, "5b8e1f02c6d94a37" * 2, "c41d7e90ab3f6825" * 2


def me(service: Service, token: str) -> int:
    return int(service.get("/auth/me", headers=bearer(token)).status_code)


def header_of(token: str) -> Json:
    return dict(jwt.get_unverified_header(token))


def signed(claims: Json, key: str, kid: object = None, algorithm: str = "HS256") -> str:
    """A token as an attacker with ``key`` would write it, whatever a library refuses to write."""
    header = {"alg": algorithm, "typ": "JWT"} | ({} if kid is None else {"kid": kid})
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    hashed = hashlib.sha512 if algorithm == "HS512" else hashlib.sha256
    signature = hmac.new(key.encode(), b".".join(parts), hashed).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def test_a_rotation_in_three_steps_across_two_replicas_signs_nobody_out(start: Start) -> None:
    """In every step one replica has the settings before it and one those after it, as while a roll is under way."""
    settings: list[Json] = [
        {"secret_key": OLD},
        {"secret_key": OLD, "other_secret_keys": NEW},
        {"secret_key": NEW, "other_secret_keys": OLD},
        {"secret_key": NEW},
    ]
    replicas = [start(**told) for told in settings]
    reader = replicas[0].register()
    live = [reader["access_token"]]
    for before, after in itertools.pairwise(replicas):
        if after is replicas[-1]:
            live = [token for token in live if header_of(token)["kid"] == key_id(NEW)]  # the others' life is over
        for answering in (before, after):
            assert [me(answering, token) for token in live] == [200] * len(live)
        for renewing, answering in ((before, after), (after, before)):
            answer = renewing.post("/auth/refresh", json={"refresh_token": reader["refresh_token"]})
            assert answer.status_code == 200
            reader = answer.json()["data"]
            assert me(answering, reader["access_token"]) == 200
            live.append(reader["access_token"])
    assert {header_of(token)["kid"] for token in live} == {key_id(NEW)}
    outlived = replicas[0].post("/auth/refresh", json={"refresh_token": reader["refresh_token"]}).json()["data"]
    refused = replicas[-1].get("/auth/me", headers=bearer(outlived["access_token"]))
    assert (refused.status_code, refused.json()["errors"]["code"]) == (401, "UNAUTHORIZED")


@pytest.fixture
def rotating(start: Start) -> Service:
    return start(secret_key=NEW, other_secret_keys=[OLD])


def test_a_token_is_judged_by_the_key_that_it_names_and_by_no_other(rotating: Service) -> None:
    token = rotating.register()["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert header_of(token) == {"alg": "HS256", "typ": "JWT", "kid": key_id(NEW)}
    good = [signed(claims, NEW, key_id(NEW)), signed(claims, OLD, key_id(OLD))]
    good += [signed(claims, OLD), signed(claims, NEW)]  # the release before named no key
    assert [me(rotating, token) for token in good] == [200] * 4
    strange: list[object] = ["", "0", "../../dev/null", NEW, key_id(NEW).upper(), 1, [key_id(NEW)], {}]
    bad = [
        signed(claims, OLD, key_id(NEW)),
        signed(claims, NEW, key_id(OLD)),
        signed(claims, THIRD, key_id(NEW)),
        signed(claims, THIRD, key_id(THIRD)),
        signed(claims, THIRD),
        *(signed(claims, NEW, kid) for kid in strange),
        *(signed(claims, "", kid) for kid in (None, key_id(NEW), "/dev/null")),
        signed(claims, NEW, key_id(NEW), "none"),
        signed(claims, "", None, "none").rpartition(".")[0] + ".",
        signed(claims, NEW, key_id(NEW), "HS512"),
        signed(claims, NEW, key_id(NEW), "RS256"),
        signed({**claims, "sub": str(uuid.uuid4())}, THIRD, key_id(OLD)),
    ]
    assert [me(rotating, token) for token in bad] == [401] * len(bad)


@pytest.mark.parametrize("key", [OLD, NEW])
def test_a_token_of_either_key_expires_as_such_and_is_still_its_reader_s_for_the_limits(
    rotating: Service, key: str
) -> None:
    claims = jwt.decode(rotating.register()["access_token"], options={"verify_signature": False})
    for kid in (key_id(key), None):
        expired = signed({**claims, "exp": claims["iat"] - 1}, key, kid)
        answer = rotating.get("/auth/me", headers=bearer(expired))
        assert (answer.status_code, answer.json()["errors"]["code"]) == (401, "TOKEN_EXPIRED")
        scope = {"headers": [(b"authorization", f"Bearer {expired}".encode())]}
        assert Callers(rotating.app.state.tokens, ()).user(scope) == uuid.UUID(claims["sub"])


def test_the_id_of_a_key_tells_nothing_of_the_key_and_differs_for_each() -> None:
    ids = {key_id(key) for key in (OLD, NEW, THIRD, PLACEHOLDER_SECRET)}
    assert len(ids) == 4
    for made in ids:
        assert made not in {hashlib.sha256(key.encode()).hexdigest()[:16] for key in (OLD, NEW)}
        assert all(made[:4] not in key for key in (OLD, NEW, THIRD))


@pytest.mark.parametrize("weak", ["short", PLACEHOLDER_SECRET, "a" * 64])
def test_production_refuses_a_weak_key_among_the_others(monkeypatch: pytest.MonkeyPatch, weak: str) -> None:
    for name, value in (("BRS_ENV", "production"), ("DATABASE_URL", "postgresql://db/brs"), ("BRS_SECRET_KEY", NEW)):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BRS_OTHER_SECRET_KEYS", f"{OLD}, {THIRD}")
    settings = ServiceSettings()
    assert settings.key_ids == (key_id(NEW), key_id(OLD), key_id(THIRD))
    assert OLD not in repr(settings)
    monkeypatch.setenv("BRS_OTHER_SECRET_KEYS", f"{OLD},{weak}")
    with pytest.raises(ValidationError, match="BRS_OTHER_SECRET_KEYS") as refused:
        ServiceSettings()
    told = "; ".join(error["msg"] for error in refused.value.errors(include_input=False))
    assert weak not in told
    assert OLD not in told
