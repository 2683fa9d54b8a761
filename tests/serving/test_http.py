"""What surrounds every request: envelope, ids, hosts, sizes, headers, failures of the framework."""

import asyncio
import datetime as dt
import re
from collections.abc import AsyncIterator

import httpx2
import pytest
import structlog
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.testclient import TestClient

from serving.kit.http import LARGEST_BODY, host_is_trusted
from tests.serving.conftest import Library, Service, Start, codes, fields

DRAFT = {"email": "ada@example.org", "password": "Analytical-Engine-1843", "first_name": "Ada", "last_name": "Lovelace"}


def is_failure(answer: httpx2.Response, status: int, code: str) -> None:
    body = answer.json()
    assert answer.status_code == status
    assert set(body) == {"status", "message", "data", "pagination", "errors", "timestamp", "request_id"}
    assert (body["status"], body["data"], body["pagination"]) == ("error", None, None)
    assert body["errors"]["code"] == code
    assert isinstance(body["errors"]["details"], list)
    assert body["request_id"] == answer.headers["x-request-id"]


def test_success_has_the_envelope(service: Service) -> None:
    answer = service.get("/books")
    body = answer.json()
    assert set(body) == {"status", "message", "data", "pagination", "timestamp", "request_id"}
    assert body["status"] == "success"
    assert body["timestamp"].endswith("Z")
    assert dt.datetime.fromisoformat(body["timestamp"]).tzinfo is dt.UTC
    assert body["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("given", ["abcdefgh", "A.b_c-" * 21])
def test_a_good_request_id_is_kept(service: Service, given: str) -> None:
    answer = service.get("/books", headers={"X-Request-ID": given})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == given


@pytest.mark.parametrize("given", ["short", "x" * 129, "has space", "new\tline12", "<script>alert"])
def test_a_bad_request_id_is_replaced(service: Service, given: str) -> None:
    made = service.get("/books", headers={"X-Request-ID": given}).headers["x-request-id"]
    assert made != given
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,128}", made)


def test_an_unknown_route_is_404_in_the_envelope(service: Service) -> None:
    is_failure(service.get("/nowhere"), 404, "NOT_FOUND")
    is_failure(service.client.get("/books/"), 404, "NOT_FOUND")


def test_a_wrong_verb_is_405_and_allow_names_all_verbs_of_the_path(service: Service) -> None:
    answer = service.client.delete("/api/v1/books")
    is_failure(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET, POST"
    assert service.client.patch("/api/v1/auth/login").headers["allow"] == "POST"


def test_allow_joins_verbs_of_different_routes() -> None:
    from serving.kit import failures  # noqa: PLC0415

    app = FastAPI()
    failures.install(app)
    app.get("/x/{one}")(lambda: None)
    app.put("/x/{one}")(lambda: None)
    answer = TestClient(app).post("/x/1")
    assert answer.headers["allow"] == "GET, PUT"


def test_malformed_json_is_400(service: Service) -> None:
    for body in (b'{"email": ', b"\xff\xfe", b"[" * 100_000):
        answer = service.post("/auth/register", content=body, headers={"Content-Type": "application/json"})
        is_failure(answer, 400, "BAD_REQUEST")


def test_an_empty_body_where_one_is_needed_is_422(service: Service) -> None:
    is_failure(service.post("/auth/register"), 422, "VALIDATION_ERROR")
    is_failure(service.post("/auth/login"), 422, "VALIDATION_ERROR")


@pytest.mark.parametrize("media", ["text/plain", "application/xml", "application/x-www-form-urlencoded", None])
def test_a_json_operation_refuses_other_media_types(service: Service, media: str | None) -> None:
    headers = {"Content-Type": media} if media else {}
    is_failure(service.post("/auth/register", content=b'{"a": 1}', headers=headers), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_the_form_refuses_json(service: Service) -> None:
    is_failure(service.post("/auth/login", json={"username": "a", "password": "b"}), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_body_that_announces_too_much_is_413(service: Service) -> None:
    is_failure(
        service.post("/auth/register", content=b"x" * (LARGEST_BODY + 1), headers={"Content-Type": "application/json"}),
        413,
        "PAYLOAD_TOO_LARGE",
    )


def test_a_body_that_grows_too_large_unannounced_is_413(service: Service) -> None:
    def pieces() -> "list[bytes]":
        return [b"x" * 100_000] * 11

    answer = service.client.post(
        "/api/v1/auth/register", content=iter(pieces()), headers={"Content-Type": "application/json"}
    )
    is_failure(answer, 413, "PAYLOAD_TOO_LARGE")


def test_422_names_fields_and_never_repeats_values(service: Service) -> None:
    secret = "zzSECRETzz"
    answer = service.post(
        "/auth/register", json={**DRAFT, "email": secret, "password": "x", "first_name": 7, secret * 20: secret}
    )
    is_failure(answer, 422, "VALIDATION_ERROR")
    assert {"email", "password", "first_name"} <= set(fields(answer))
    assert all(len(field) <= 60 for field in fields(answer))
    assert "Must have at least 8 characters" in answer.text
    shown = answer.text.replace((secret * 20)[:60], "")  # the field's name, shortened
    assert secret not in shown


def test_a_bad_uuid_in_a_path_is_422_and_not_repeated(service: Service) -> None:
    answer = service.get("/books/not-a-uuid")
    is_failure(answer, 422, "VALIDATION_ERROR")
    assert "not-a-uuid" not in answer.text
    assert (fields(answer), codes(answer)) == (["book_id"], ["uuid_parsing"])


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("localhost", True),
        ("LOCALHOST:8123", True),
        ("127.0.0.1:1", True),
        ("[::1]:80", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("localhost:80@evil", False),
        ("", False),
    ],
)
def test_only_own_hosts_are_answered(service: Service, host: str, *, trusted: bool) -> None:
    answer = service.get("/books", headers={"Host": host})
    if trusted:
        assert answer.status_code == 200
    else:
        is_failure(answer, 400, "BAD_REQUEST")


def test_a_pattern_covers_subdomains_only() -> None:
    assert host_is_trusted("a.example.org:80", ["*.example.org"])
    assert not host_is_trusted("example.org", ["*.example.org"])
    assert not host_is_trusted("badexample.org", ["*.example.org"])
    assert host_is_trusted("whatever", ["*"])


@pytest.mark.parametrize(
    "path", ["/health", "/metrics", "/api/v1/monitoring/health/liveness", "/api/v1/monitoring/health/readiness"]
)
def test_probes_answer_to_any_host(service: Service, path: str) -> None:
    assert service.client.get(path, headers={"Host": "10.1.2.3"}).status_code == 200


def test_every_answer_has_the_security_headers(service: Service) -> None:
    for answer in (service.get("/books"), service.get("/nowhere"), service.client.get("/docs")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert service.get("/books").headers["cache-control"] == "no-store"


def test_cors_in_development_is_localhost_at_any_port(service: Service) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for origin in ("http://localhost:5173", "http://127.0.0.1:80", "https://[::1]:3000"):
        preflight = service.client.options("/api/v1/books", headers={"Origin": origin, **asked})
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == origin
        assert service.get("/books", headers={"Origin": origin}).headers["access-control-allow-origin"] == origin
    refused = service.get("/books", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in refused.headers
    assert "access-control-allow-origin" in service.get("/nowhere", headers={"Origin": "http://localhost"}).headers


def test_cors_origins_are_a_setting(start: Start) -> None:
    service = start(cors_origins="https://books.example")
    allowed = service.get("/books", headers={"Origin": "https://books.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://books.example"
    assert "access-control-allow-origin" not in service.get("/books", headers={"Origin": "http://localhost"}).headers


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_docs_pages_need_no_internet(service: Service, page: str) -> None:
    html = service.client.get(page).text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert loaded
    assert not re.findall(r"https?://", html)
    for asset in loaded:
        answer = service.client.get(asset)
        assert answer.status_code == 200
        assert len(answer.content) > 1000
    assert service.client.get("/openapi.json").json()["openapi"].startswith("3.1")


def test_an_unexpected_failure_is_500_and_tells_nothing(service: Service) -> None:
    @service.app.get("/boom")
    async def boom() -> None:
        raise RuntimeError("the secret plan")

    with structlog.testing.capture_logs() as lines:
        answer = service.client.get("/boom")
    is_failure(answer, 500, "INTERNAL_ERROR")
    assert "secret" not in answer.text
    assert [line["event"] for line in lines] == ["unexpected failure", "request"]
    assert lines[1]["status"] == 500


def test_an_answer_that_breaks_off_in_the_middle_is_cut_and_gets_no_second_one_behind_it(start: Start) -> None:
    service = start(request_timeout_seconds=2)  # enough to begin an answer on a busy machine
    sent = []

    async def pieces(failure: Exception | None) -> AsyncIterator[bytes]:
        yield b"the beginning"
        if failure is not None:
            raise failure
        await asyncio.sleep(30)
        sent.append("the end")

    @service.app.get("/broken")
    async def broken() -> StreamingResponse:
        return StreamingResponse(pieces(RuntimeError("the secret plan")))

    @service.app.get("/slow")
    async def slow() -> StreamingResponse:
        return StreamingResponse(pieces(None))

    with structlog.testing.capture_logs() as lines:
        with pytest.raises(RuntimeError, match="the secret plan"):
            service.client.get("/broken")
        with pytest.raises(TimeoutError):
            service.client.get("/slow")
    assert sent == []
    assert [line["event"] for line in lines] == ["unexpected failure", "request"] * 2


def test_a_postgres_that_is_away_is_503(start: Start, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.kit.db.WAIT_SECONDS", 0.2)
    service = start(options={"database_url": "postgresql://nobody@127.0.0.1:1/nothing"})
    answer = service.get("/books")
    is_failure(answer, 503, "SERVICE_UNAVAILABLE")
    assert "retry-after" in answer.headers
    is_failure(service.get("/monitoring/health/readiness"), 503, "SERVICE_UNAVAILABLE")
    assert service.get("/monitoring/health/liveness").status_code == 200


def test_a_restarted_postgres_is_not_noticed_by_readers(service: Service, library: Library) -> None:
    assert service.get("/books").status_code == 200
    library.run(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = 'brs-api' AND datname = current_database()"
    )
    assert [service.get("/books").status_code for _ in range(4)] == [200] * 4


def test_a_request_is_one_log_line_without_secrets(service: Service) -> None:
    with structlog.testing.capture_logs() as lines:
        service.post("/auth/login/json", json={"email": "ada@example.org", "password": "top-secret-1"})
    assert len(lines) == 1
    assert lines[0]["route"] == "/api/v1/auth/login/json"
    assert lines[0]["status"] == 401
    assert "top-secret-1" not in str(lines)
