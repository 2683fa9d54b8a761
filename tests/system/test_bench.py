"""The measuring programs, on so little that it is soon over."""

import asyncio
import contextlib
import http.server
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import psutil
import pytest

from data import embedded
from data.database import Databases
from data.loading import load
from data.settings import StateSettings
from data.sources.generator import Generator
from deploy.local.bench import costs, library, rankings
from deploy.local.bench import lake as bench_lake
from deploy.local.bench import load as bench_load
from deploy.local.bench.client import API, Failed, Shelf, register, shelf
from deploy.local.bench.library import Api, Place, WithTexts
from deploy.local.bench.load import Tally, percentile, report
from deploy.local.bench.visitors import ACTS, Visitor
from deploy.local.bench.wire import NO_ANSWER, Request, Wire
from deploy.local.supervisor import Supervisor

KNOWN = Shelf([f"book-{n}" for n in range(30)], ["book-0"], {"one word": ["dune"], "mistyped": ["duen"]})


def test_percentiles_are_values_that_occurred() -> None:
    hundred = [float(n) for n in range(100, 0, -1)]
    assert [percentile(hundred, p) for p in (50, 95, 99)] == [50.0, 95.0, 99.0]
    assert percentile([7.0], 95) == 7.0
    assert percentile([], 95) == 0.0


def test_a_reader_does_everything_and_reviews_no_book_twice() -> None:
    reader = Visitor(KNOWN, "token", seed=1)
    asked = [reader.next() for _ in range(2000)]
    assert {kind for kind, _ in asked} == {act.name for act in ACTS}
    reviewed = [request.path for kind, request in asked if kind == "write a review" and request.method == "POST"]
    assert len(reviewed) == len(set(reviewed)) == len(KNOWN.popular)
    texts = [json.dumps(request.body) for _, request in asked if request.path in reviewed]
    assert len(texts) == len(set(texts))


def test_an_anonymous_visitor_only_looks() -> None:
    visitor = Visitor(KNOWN, None, seed=1)
    asked = [visitor.next() for _ in range(500)]
    assert {request.method for _, request in asked} == {"GET"}
    assert not {kind for kind, _ in asked} & {act.name for act in ACTS if act.signed_in}


class Strange(http.server.BaseHTTPRequestHandler):
    """Answers with the status that is asked for; hangs up without an answer on ``/silence``."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/silence":
            self.close_connection = True
            return
        status = int(self.path[1:])
        self.send_response(status)
        body = b"" if status == 204 else b"x" * 100_000
        if body:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def strange() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Strange) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_one_connection_reads_every_answer_to_its_end_and_survives_a_hang_up(strange: int) -> None:
    async def ask() -> list[int]:
        async with Wire(strange) as wire:
            return [await wire.status(Request("GET", f"/{path}")) for path in (200, 204, 503, "silence", 404, 200)]

    assert asyncio.run(ask()) == [200, 204, 503, NO_ANSWER, 404, 200]


def test_a_failure_a_silence_and_a_slow_answer_each_miss_a_goal(capsys: pytest.CaptureFixture[str]) -> None:
    def quick() -> Tally:
        tally = Tally()
        for kind in ("list", bench_load.HEALTH, bench_load.DETAILED):
            tally.seconds[kind] = [0.01] * 100
            tally.statuses[kind, 200] = 100
        return tally

    assert report(quick(), has_pauses=True)
    for status in (500, 503, NO_ANSWER):
        tally = quick()
        tally.statuses["list", status] = 1
        assert not report(tally, has_pauses=False), status
    refused = quick()
    refused.statuses["write a review", 409] = 3
    assert report(refused, has_pauses=True)
    assert "3 answers 409: write a review" in capsys.readouterr().out
    for kind, seconds in (("list", 0.6), (bench_load.HEALTH, 0.11), (bench_load.DETAILED, 0.21)):
        tally = quick()
        tally.seconds[kind] = [seconds] * 100
        assert not report(tally, has_pauses=True), kind
        assert report(tally, has_pauses=False), kind


@pytest.fixture
def api() -> Iterator[tuple[Api, Shelf]]:
    """A running service on a small library, without a model."""
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(library.library(books=100, ratings=1000))
        yield library.serve(place, workers=1), shelf(place.databases.brs)


@pytest.mark.slow
def test_a_small_crowd_is_answered_and_counted(api: tuple[Api, Shelf], capsys: pytest.CaptureFixture[str]) -> None:
    service, known = api
    readers = [register(service.port) for _ in range(2)]
    visitors = [
        Visitor(known, token, seed) for seed, token in enumerate([*(r.token for r in readers), None, None, None])
    ]
    tally = asyncio.run(bench_load.crowd(service.port, visitors, readers, think=0.01, seconds=2))
    assert tally.failed() == 0
    assert tally.refused() == {}
    assert {"login", bench_load.HEALTH, bench_load.DETAILED} < set(tally.seconds)
    assert len(tally.visits()) > len(visitors)
    report(tally, has_pauses=True)
    assert "goals:" in capsys.readouterr().out
    application, postgres = service.cpu()
    assert application > 0
    assert postgres > 0


@pytest.mark.slow
def test_every_question_gets_a_figure(api: tuple[Api, Shelf]) -> None:
    service, known = api
    account = register(service.port)
    for question in costs.questions(known, account.email):
        few = question._replace(requests=8, warm_up=0)
        cost = costs.measured(service, costs.Client(service.port, account.token), few)
        assert cost.rate > 0, question.name
        assert question.name in costs.line(question, cost)
    with pytest.raises(Failed, match="404"):
        costs.Client(service.port).once("GET", f"{API}/nothing")


@pytest.mark.slow
def test_every_ranking_gets_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    rankings.run(books=100, ratings=1000, pause=0.1, settle=0.1)
    _, heading, *rows = [line for line in capsys.readouterr().out.splitlines() if line]
    assert heading == rankings.HEADING
    names = [row.split()[0] for row in rows]
    assert {"/popular", "/popular?genre_id=…", "/trending", "/starters"} < set(names)
    for row in rows:
        assert [float(figure) > 0 for figure in row.split()[1:]] == [True] * len(rankings.Waits._fields)
        assert len(row) == len(heading)


def test_generated_reviews_of_a_measurement_have_texts_that_the_service_would_take(database_url: str) -> None:
    load(database_url, WithTexts(10, 10, 20, seed=1))
    assert all(10 <= len(review.review_text or "") <= 2000 for review in WithTexts(10, 10, 20, seed=1).reviews())


def test_the_folder_of_a_measurement_goes_when_its_postgres_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []
    left: list[bool] = []

    def lives(pid: int) -> bool:
        return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

    class Watched(tempfile.TemporaryDirectory[str]):
        def cleanup(self) -> None:
            left.extend(lives(pid) for pid in pids)
            super().cleanup()

    monkeypatch.setattr(embedded.tempfile, "TemporaryDirectory", Watched)
    # A measurement forgets settings, which other tests of this process must not.
    with mock.patch.dict(os.environ), library.library(10, 100) as place:
        server = embedded.status(place.settings.home)
        assert server is not None
        pids.append(server.pid)

    assert left == [False]
    assert not place.settings.home.exists()


def test_one_in_a_hundred_ratings_changes_and_the_extraction_of_that_is_measured(
    database_url: str, tmp_path: Path
) -> None:
    load(database_url, Generator(200, 100, 5_000, seed=1))
    with Supervisor(print) as supervisor:
        place = Place(StateSettings(home=tmp_path), Databases(database_url, "", ""), supervisor)
        full = bench_lake.measured(place, "full")
        changed = bench_lake.change(place)
        part = bench_lake.measured(place, "changes")
        next_night = bench_lake.change(place, 1)

    assert full.told == "in full: asked for"
    assert part.told.startswith("what changed since")
    assert 25 <= changed <= 90
    assert 25 <= next_night <= 90
    assert full.peak > 50_000_000
    assert min(full.seconds, full.cpu, part.seconds, part.cpu) > 0
