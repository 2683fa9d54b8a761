"""Probes, metrics, service card."""

import os
import resource
import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram

from data import build
from data.database import head
from serving.kit.metrics import Metrics
from serving.monitoring import machine
from serving.monitoring.numbers import quantile, summary
from tests.serving.conftest import FakeRegistry, Library, Service, Start, two_tastes

ROOT = Path(__file__).parents[2]
GUARDED = ("/health/detailed", "/metrics", "/version", "/status")


def test_probes_say_yes(service: Service) -> None:
    assert service.get("/monitoring/health/liveness").json()["data"] == {"status": "alive"}
    for answer in (service.get("/monitoring/health/readiness"), service.client.get("/health")):
        assert answer.status_code == 200
        assert answer.json()["data"] == {"status": "ready", "checks": {"postgres": True, "schema": True}}


def test_readiness_wants_the_schema_head_or_that_of_a_newer_release(service: Service, library: Library) -> None:
    library.run("UPDATE alembic_version SET version_num = 'f00d'")
    answer = service.get("/monitoring/health/readiness")
    assert (answer.status_code, answer.json()["data"]["checks"]["schema"]) == (200, True)


@pytest.mark.parametrize("change", ["UPDATE alembic_version SET version_num = '0001'", "DROP TABLE alembic_version"])
def test_readiness_refuses_an_older_schema_or_none(service: Service, library: Library, change: str) -> None:
    library.run(change)
    answer = service.get("/monitoring/health/readiness")
    assert (answer.status_code, answer.json()["errors"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert answer.json()["errors"]["details"][0]["field"] == "schema"
    assert service.get("/monitoring/health/liveness").status_code == 200


def test_metrics_count_by_route_and_never_by_what_callers_invent(service: Service) -> None:
    service.get("/books")
    service.get("/nowhere/else")
    service.client.request("BREW", "/coffee")
    numbers = service.client.get("/metrics")
    assert numbers.headers["content-type"].startswith("text/plain")
    assert 'brs_http_requests_total{method="GET",route="/api/v1/books",status="200"} 1.0' in numbers.text
    assert 'route="unmatched",status="404"' in numbers.text
    assert "coffee" not in numbers.text
    assert "BREW" not in numbers.text


def test_with_a_monitoring_token_metrics_want_it(start: Start) -> None:
    service = start(monitoring_token="a-token-for-monitors")
    for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic a-token-for-monitors"}):
        answer = service.client.get("/metrics", headers=header)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    allowed = {"Authorization": "Bearer a-token-for-monitors"}
    assert service.client.get("/metrics", headers=allowed).status_code == 200
    assert service.client.get("/health").status_code == 200
    for path in GUARDED:
        refused = service.get("/monitoring" + path)
        assert (refused.status_code, refused.json()["errors"]["code"]) == (401, "UNAUTHORIZED")
        assert service.get("/monitoring" + path, headers=allowed).status_code == 200
    for path in ("/health/liveness", "/health/readiness"):
        assert service.get("/monitoring" + path).status_code == 200


def test_a_reader_s_token_opens_no_monitoring(start: Start) -> None:
    service = start(monitoring_token="a-token-for-monitors")
    headers, _ = service.signed_in()
    for path in GUARDED:
        assert service.get("/monitoring" + path, headers=headers).status_code == 401


def test_the_card_tells_where_to_go(service: Service) -> None:
    card = service.client.get("/").json()["data"]
    assert card["name"] == "BRS"
    for link in card["links"].values():
        assert service.client.get(link).status_code == 200


def test_detailed_health_tells_how_each_part_does(
    service: Service, library: Library, registry: FakeRegistry, tmp_path: Path
) -> None:
    without_model = service.get("/monitoring/health/detailed").json()["data"]
    assert (without_model["status"], without_model["model"]) == ("degraded", None)
    books = library.books(12)
    registry.promote("7", two_tastes(books))
    follower = service.app.state.engine.follower._champion
    follower.poll(registry)
    told = service.get("/monitoring/health/detailed").json()["data"]
    assert (told["status"], told["redis"]) == ("healthy", "not used")
    assert told["checks"] == {"postgres": True, "schema": True}
    assert told["postgres"]["answers"]
    assert 0 < told["postgres"]["ms"] < 2000
    assert told["pool"]["limit"] == 10
    assert 1 <= told["pool"]["open"] <= 10
    assert (told["model"]["name"], told["model"]["version"]) == ("brs-recommender", "7")
    assert 0 <= told["model"]["age_seconds"] < 300
    assert told["disk"]["has_room"]
    assert told["disk"]["free_bytes"] < told["disk"]["total_bytes"]
    assert 10_000_000 < told["memory"]["resident_bytes"] < 10_000_000_000
    numbers = service.client.get("/metrics").text
    assert 'brs_model_info{name="brs-recommender",version="7"} 1.0' in numbers
    age = next(line for line in numbers.splitlines() if line.startswith("brs_model_age_seconds "))
    assert 0 <= float(age.split()[1]) < 300
    assert 'brs_pool_connections{state="limit"} 10.0' in numbers


def test_a_full_disk_is_degraded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.monitoring.machine.disk", lambda _: {"free_bytes": 1, "total_bytes": 1000})
    told = service.get("/monitoring/health/detailed").json()["data"]
    assert (told["status"], told["disk"]["has_room"]) == ("degraded", False)


def test_detailed_health_is_503_without_the_schema(service: Service, library: Library) -> None:
    library.run("DROP TABLE alembic_version")
    answer = service.get("/monitoring/health/detailed")
    assert (answer.status_code, answer.json()["errors"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert [detail["field"] for detail in answer.json()["errors"]["details"]] == ["schema"]


def test_numbers_as_json_are_those_of_prometheus(service: Service) -> None:
    for _ in range(3):
        service.get("/books")
    service.get("/nowhere")
    told = service.get("/monitoring/metrics").json()["data"]
    assert told["requests"] == {"total": 4, "by_status": {"200": 3, "404": 1}}
    routes = {route["route"]: route for route in told["routes"]}
    books = routes["/api/v1/books"]
    assert books["count"] == 3
    assert 0 < books["p50_ms"] <= books["p95_ms"] <= books["p99_ms"]
    assert books["mean_ms"] > 0
    assert told["numbers"]["brs_sql_statements_total"] >= 3
    assert told["numbers"]["brs_pool_connections{state=limit}"] == 10


def test_quantiles_are_those_of_histogram_quantile() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("seconds", "-", buckets=(1, 2, 4), registry=registry)
    for value in (0.5, 0.5, 1.5, 1.5, 1.5, 1.5, 3, 3, 3, 9):
        histogram.observe(value)
    buckets = {
        float(sample.labels["le"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "seconds_bucket"
    }
    assert quantile(buckets, 0.1) == 0.5
    assert quantile(buckets, 0.5) == 1.75  # three of the four between 1 and 2
    assert quantile(buckets, 0.9) == 4
    assert quantile(buckets, 0.99) == 4, "the last bucket has no end"
    assert quantile({1.0: 0, float("inf"): 0}, 0.5) is None
    assert quantile({}, 0.5) is None


def test_a_route_that_was_never_asked_has_no_latency() -> None:
    metrics = Metrics()
    metrics.seconds.labels("/quiet")
    told = summary(metrics.collected())
    assert told["routes"] == [
        {"route": "/quiet", "count": 0, "mean_ms": None, "p50_ms": None, "p95_ms": None, "p99_ms": None}
    ]


def test_version_names_the_commit(start: Start) -> None:
    told = start(commit="0d8f2c6").get("/monitoring/version").json()["data"]
    assert told["commit"] == "0d8f2c6"
    assert told["schema"] == head()
    from_git = start().get("/monitoring/version").json()["data"]["commit"]
    if (ROOT / ".git").exists():
        checked_out = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
        assert from_git == checked_out.stdout.strip()
    else:
        assert from_git is None


def test_status_tells_since_when(service: Service) -> None:
    told = service.get("/monitoring/status").json()["data"]
    assert (told["status"], told["environment"], told["model"]) == ("running", "development", None)
    assert told["started_at"].endswith("Z")
    assert 0 <= told["uptime_seconds"] < 300


def test_degraded_answers_are_counted(
    service: Service, library: Library, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = library.books(12)
    library.rated(books[0], 5, 4)
    registry.promote("1", two_tastes(books))
    follower = service.app.state.engine.follower._champion
    follower.poll(registry)

    def fail(*_: object, **__: object) -> None:
        raise ValueError

    monkeypatch.setattr(follower.current.engine.taste, "picks", fail, raising=False)
    body = {"ratings": [{"book_id": str(books[3]), "rating": 5}]}
    answer = service.post("/recommendations/preview", json=body)
    assert answer.json()["data"]["degraded"] is True
    assert "brs_degraded_answers_total 1.0" in service.client.get("/metrics").text


def test_gauges_of_workers_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    files = [tmp_path / f"gauge_livesum_{pid}.db" for pid in (gone.pid, os.getpid())]
    for file in files:
        file.touch()
    Metrics(tmp_path)
    assert [file.exists() for file in files] == [False, True]


def test_gauges_of_a_worker_that_another_user_runs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    file = tmp_path / "gauge_livesum_77.db"
    file.touch()
    Metrics(tmp_path)
    assert file.exists()


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_where_no_proc_tells_the_memory_the_peak_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, unit: int
) -> None:
    now = machine.memory()["resident_bytes"]
    monkeypatch.setattr(machine, "_STATM", tmp_path / "nothing")
    monkeypatch.setattr(machine.sys, "platform", platform)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert machine.memory()["resident_bytes"] == peak * unit
    assert 10_000_000 < now <= peak * 1024 * 1.1


def test_without_a_checkout_or_git_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = build.commit_of_checkout.__wrapped__
    monkeypatch.setattr(build, "_ROOT", tmp_path)
    assert ask() is None
    (tmp_path / ".git").mkdir()  # no repository, whatever it is called
    assert ask() is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask() is None
