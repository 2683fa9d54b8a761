"""Probes, metrics, service card."""

import pytest

from tests.serving.conftest import Library, Service, Start


def test_probes_say_yes(service: Service) -> None:
    assert service.get("/monitoring/health/liveness").json()["data"] == {"status": "alive"}
    for answer in (service.get("/monitoring/health/readiness"), service.client.get("/health")):
        assert answer.status_code == 200
        assert answer.json()["data"] == {"status": "ready", "checks": {"postgres": True, "schema": True}}


@pytest.mark.parametrize("change", ["UPDATE alembic_version SET version_num = 'old'", "DROP TABLE alembic_version"])
def test_readiness_wants_the_schema_head(service: Service, library: Library, change: str) -> None:
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


def test_the_card_tells_where_to_go(service: Service) -> None:
    card = service.client.get("/").json()["data"]
    assert card["name"] == "BRS"
    for link in card["links"].values():
        assert service.client.get(link).status_code == 200
