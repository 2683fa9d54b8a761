"""Alerts on their way out, to real servers on the loopback that take them, refuse them, hang, or are not there."""

import contextlib
import http.server
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from pydantic import ValidationError

from pipelines.alerts import Alert, listeners, tell
from pipelines.settings import PipelineSettings
from pipelines.webhook import Webhook

ALERT = Alert("gate_refusals", "three times", {"version": "7", "refusals": 3})


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


class Ear:
    """What a server heard, and what it answers: these statuses in turn, the last one for ever."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.heard: list[tuple[str, str, object]] = []

    @contextlib.contextmanager
    def listening(self) -> Iterator[str]:
        ear = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                ear.heard.append((self.path, self.headers["Content-Type"], json.loads(body)))
                status = ear.statuses.pop(0) if len(ear.statuses) > 1 else ear.statuses[0]
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - the name is the library's

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature is the library's
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/services/S3CRET"
            finally:
                server.shutdown()
                thread.join()


@contextlib.contextmanager
def hanging() -> Iterator[str]:
    """Accepts, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/S3CRET"


@contextlib.contextmanager
def dripping() -> Iterator[str]:
    """Sends a header byte by byte: every byte comes in time, the answer never."""
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not over.is_set():
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                    while not over.wait(0.02):
                        connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/S3CRET"
        finally:
            over.set()
            thread.join()


@contextlib.contextmanager
def dead() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"http://127.0.0.1:{port}/S3CRET"


def test_an_alert_reaches_the_webhook_as_json_that_chats_and_machines_can_read() -> None:
    ear = Ear(200)
    with ear.listening() as url:
        tell(ALERT, listeners(PipelineSettings(alert_webhook=url)))  # type: ignore[arg-type]  # as the environment gives it
    ((path, kind, body),) = ear.heard
    assert (path, kind) == ("/services/S3CRET", "application/json")
    assert body == {
        "text": "BRS: three times",
        "alert": "gate_refusals",
        "said": "three times",
        "version": "7",
        "refusals": 3,
    }


@pytest.mark.parametrize(
    ("statuses", "times"),
    [((503, 200), 2), ((429, 204), 2), ((500,), 2), ((404,), 1), ((302,), 1)],
)
def test_it_is_tried_once_more_where_that_may_help_and_follows_nobody(
    statuses: tuple[int, ...], times: int, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear(*statuses)
    with ear.listening() as url, caplog.at_level(logging.WARNING, logger="pipelines.webhook"):
        Webhook(url)({"said": "x"})
    assert [path for path, _, _ in ear.heard] == ["/services/S3CRET"] * times
    assert f"it answered {statuses[0]}" in caplog.text
    assert "S3CRET" not in caplog.text


@pytest.mark.parametrize("other_side", [hanging, dripping, dead])
def test_a_webhook_that_does_not_answer_costs_its_time_and_nothing_else(
    other_side: Callable[[], contextlib.AbstractContextManager[str]], caplog: pytest.LogCaptureFixture
) -> None:
    with other_side() as url, caplog.at_level(logging.WARNING, logger="pipelines.webhook"):
        began = time.monotonic()
        Webhook(url, seconds=0.3)({"said": "x"})
        assert time.monotonic() - began < 3
    assert caplog.records
    assert "S3CRET" not in caplog.text


def test_without_a_webhook_alerts_are_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="pipelines.alerts"):
        tell(ALERT, listeners(PipelineSettings()))
    (record,) = caplog.records
    assert json.loads(record.getMessage())["refusals"] == 3


@pytest.mark.parametrize(
    "url", ["file:///S3CRET", "ftp://host/S3CRET", "https:///S3CRET", "hooks.example/S3CRET", "http://me:S3CRET@host/"]
)
def test_an_address_that_is_no_webhook_is_refused_without_being_printed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRS_ALERT_WEBHOOK", url)
    with pytest.raises(ValidationError, match="BRS_ALERT_WEBHOOK must be") as refused:
        PipelineSettings()
    assert "S3CRET" not in str(refused.value)
    if not url.startswith("http"):
        with pytest.raises(ValueError, match="a webhook is http"):
            Webhook(url)
