"""Traces: what a collector is sent, what it is never sent, and what happens when it is away."""

import http.server
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from structlog.testing import capture_logs

from serving.kit.log import with_ids
from serving.settings import ServiceSettings
from tests.serving.conftest import PASSWORD, Library, Running, bearer

EMAIL = "ada@example.org"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ERROR = 2


class Collector:
    """Takes OTLP over HTTP at an address of this machine, and keeps what came."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.requests: list[ExportTraceServiceRequest] = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.paths.add(self.path)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing goes to standard error."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield collector
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


def told(span: Any) -> dict[str, Any]:  # noqa: ANN401  a message of protobuf
    return {entry.key: entry.value.int_value or entry.value.string_value for entry in span.attributes}


def test_requests_and_statements_are_traced_by_route_and_text(
    running: Running, library: Library, collector: Collector
) -> None:
    book = library.book()
    parent = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    with running(otlp_endpoint=collector.address) as service, capture_logs([with_ids]) as lines:
        assert service.get(f"/books/{book}", headers=parent).status_code == 200
        assert service.get(f"/books/{uuid.uuid4()}").status_code == 404
        assert service.client.get("/health").status_code == 200
    assert collector.paths == {"/v1/traces"}
    resource = collector.requests[0].resource_spans[0].resource
    assert told(resource)["service.name"] == "brs"
    found, missing = (span for span in collector.spans() if span.name == "GET /api/v1/books/{book_id}")
    expected = {"http.request.method": "GET", "http.route": "/api/v1/books/{book_id}", "http.response.status_code": 200}
    assert (told(found), told(missing)) == (expected, {**expected, "http.response.status_code": 404})
    assert (found.trace_id.hex(), found.parent_span_id.hex()) == (TRACE, "00f067aa0ba902b7")
    statements = [span for span in collector.spans() if span.parent_span_id == found.span_id]
    assert [span.name for span in statements] == ["SELECT"]
    assert told(statements[0])["db.query.text"].startswith("SELECT")
    assert "%(book)s" in told(statements[0])["db.query.text"]
    assert not [span for span in collector.spans() if "health" in span.name], "probes would drown the rest"
    of_request = [line["trace_id"] for line in lines if line["event"] == "request" and line["route"] != "/health"]
    assert of_request == [TRACE, missing.trace_id.hex()]


def test_no_span_says_what_somebody_typed(running: Running, collector: Collector) -> None:
    with running(otlp_endpoint=collector.address) as service:
        tokens = service.register(EMAIL)
        draft = {"email": EMAIL, "password": PASSWORD, "first_name": "Ada", "last_name": "Lovelace"}
        assert service.post("/auth/register", json=draft).status_code == 409
        assert service.post("/auth/login", data={"username": EMAIL, "password": PASSWORD}).status_code == 200
        assert service.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).status_code == 200
        assert service.get("/books/search", params={"q": EMAIL}).status_code == 200
        assert service.get(f"/nowhere/{EMAIL}", headers=bearer(tokens["access_token"])).status_code == 404
        assert service.client.request(f"X-{PASSWORD}", f"/api/v1/books?author={EMAIL}").status_code == 405
        state = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "tracestate": "password=Lovelace"}
        assert service.client.put("/api/v1/users/profile", json={"email": EMAIL}, headers=state).status_code == 401
    names = {span.name for span in collector.spans()}
    assert {"POST /api/v1/auth/register", "POST /api/v1/auth/login", "GET /api/v1/books/search", "GET"} <= names
    failed = [span for span in collector.spans() if span.status.code == ERROR]
    assert [(span.name, told(span)["error.type"], span.status.message) for span in failed] == [
        ("INSERT", "UniqueViolation", "")
    ]
    sent = "".join(str(request) for request in collector.requests)
    for secret in (PASSWORD, EMAIL, "ada%40", "Lovelace", tokens["access_token"], tokens["refresh_token"], "argon2"):
        assert secret not in sent, secret


def test_a_failure_of_ours_is_an_error_without_its_words(
    running: Running, library: Library, collector: Collector
) -> None:
    with running(otlp_endpoint=collector.address) as service:
        headers, _ = service.signed_in()
        library.run("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'of ada'; END $$")
        library.run("CREATE TRIGGER refuse AFTER INSERT ON favorites EXECUTE FUNCTION refuse()")
        assert service.post(f"/users/favorites/{library.book()}", headers=headers).status_code == 500
    (span,) = (span for span in collector.spans() if span.name == "POST /api/v1/users/favorites/{book_id}")
    assert (span.status.code, told(span)["error.type"], told(span)["http.response.status_code"]) == (ERROR, "500", 500)
    assert "of ada" not in "".join(str(request) for request in collector.requests)


@pytest.mark.parametrize("listens", [False, True], ids=["no collector", "a collector that never answers"])
def test_a_dead_collector_harms_no_request(running: Running, library: Library, *, listens: bool) -> None:
    library.books(3)
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        if listens:
            place.listen()
        with running(otlp_endpoint=f"http://127.0.0.1:{place.getsockname()[1]}") as service:
            for _ in range(20):
                began = time.monotonic()
                assert service.get("/books").status_code == 200
                assert time.monotonic() - began < 1.5
            began = time.monotonic()
        assert time.monotonic() - began < 10, "the stop waits for it only so long"


def test_without_an_endpoint_nothing_of_the_exporter_is_imported() -> None:
    # MLflow's client imports OpenTelemetry's interface by itself.
    program = (
        "import sys, pathlib, serving.app as a, serving.settings as s;"
        "a.create_app(s.ServiceSettings(), database_url='postgresql:///', tracking_uri=None,"
        " bundles=pathlib.Path('.'));"
        "print(*(m for m in sys.modules if m.startswith(('opentelemetry.exporter', 'serving.kit.tracing'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={"BRS_OTLP_ENDPOINT": ""},
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("address", ["localhost:4318", "grpc://localhost:4317", "http://"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="otlp_endpoint"):
        ServiceSettings.model_validate({"otlp_endpoint": address})
