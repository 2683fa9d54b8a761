"""How often one may ask: who is asked, which budget, which code, which headers."""

import concurrent.futures
import time
from typing import Any

import httpx2
import pytest
import time_machine

from serving.kit.auth import Tokens
from serving.kit.callers import Callers
from serving.settings import ServiceSettings
from tests.serving.conftest import PASSWORD, Service, Start, bearer

NAMES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"]["code"]


def standing(answer: httpx2.Response) -> tuple[int, int]:
    return int(answer.headers[NAMES[0]]), int(answer.headers[NAMES[1]])


@pytest.fixture
def limited(start: Start) -> Service:
    return start(rate_limits=True)


@pytest.fixture
def clock() -> Any:  # noqa: ANN401  time_machine's traveller
    with time_machine.travel(time.time(), tick=False) as traveller:
        yield traveller


def test_every_answer_says_how_the_caller_stands(limited: Service) -> None:
    for used, path in enumerate(("/books", "/books/nothing", "/nowhere"), start=1):
        answer = limited.get(path)
        assert standing(answer) == (20, 20 - used)
        assert 0 < int(answer.headers["X-RateLimit-Reset"]) - time.time() <= 61
        assert "Retry-After" not in answer.headers


def test_the_eleventh_at_once_is_a_burst_and_the_twenty_first_in_a_minute_too_many(
    limited: Service,
    clock: Any,  # noqa: ANN401
) -> None:
    for _ in range(10):
        assert limited.get("/books").status_code == 200
    refused = limited.get("/books")
    assert code(refused) == (429, "BURST_LIMIT_EXCEEDED")
    assert standing(refused) == (10, 0)
    assert 1 <= int(refused.headers["Retry-After"]) <= 10
    clock.shift(int(refused.headers["Retry-After"]) + 0.01)
    for _ in range(10):
        assert limited.get("/books").status_code == 200
    assert code(limited.get("/books")) == (429, "BURST_LIMIT_EXCEEDED"), "both are spent"
    clock.shift(11)
    refused = limited.get("/books")
    assert code(refused) == (429, "RATE_LIMIT_EXCEEDED")
    assert standing(refused) == (20, 0)
    clock.shift(int(refused.headers["Retry-After"]) + 0.01)
    assert limited.get("/books").status_code == 200, "Retry-After told the truth"


def test_what_is_refused_spends_nothing(limited: Service, clock: Any) -> None:  # noqa: ANN401
    for _ in range(10):
        limited.get("/books")
    for _ in range(30):
        assert limited.get("/books").status_code == 429
    clock.shift(10.1)
    assert standing(limited.get("/books")) == (20, 9)


def test_the_window_slides(start: Start, clock: Any) -> None:  # noqa: ANN401
    limited = start(rate_limits=True, rate_limit_anonymous_per_minute=2)
    assert limited.get("/books").status_code == 200
    clock.shift(40)
    assert limited.get("/books").status_code == 200
    clock.shift(19)
    assert limited.get("/books").status_code == 429
    clock.shift(1.1)
    assert limited.get("/books").status_code == 200, "only the first has left the window"
    assert limited.get("/books").status_code == 429


def test_a_signed_in_reader_has_a_budget_of_their_own(limited: Service) -> None:
    headers, _ = limited.signed_in("ada@example.org")
    other, _ = limited.signed_in("grace@example.org")
    for _ in range(10):
        limited.get("/books")
    assert limited.get("/books").status_code == 429
    assert standing(limited.get("/books", headers=headers)) == (100, 99)
    for _ in range(29):
        assert limited.get("/books", headers=headers).status_code == 200
    assert code(limited.get("/books", headers=headers)) == (429, "BURST_LIMIT_EXCEEDED")
    assert limited.get("/books", headers=other).status_code == 200


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
def test_a_token_that_is_not_ours_makes_nobody_a_new_caller(limited: Service, token: str) -> None:
    for place in range(10):
        limited.get("/books", headers={"Authorization": f"Bearer {token}{place if token else ''}"})
    assert limited.get("/books", headers=bearer(token)).status_code == 429


def test_an_expired_token_is_still_its_reader_s(start: Start) -> None:
    limited = start(rate_limits=True, access_token_minutes=0.0001)
    headers, _ = limited.signed_in()
    time.sleep(0.05)
    answer = limited.get("/auth/me", headers=headers)
    assert code(answer) == (401, "TOKEN_EXPIRED")
    assert standing(answer) == (100, 99)


def test_probes_metrics_docs_and_preflights_are_free(limited: Service) -> None:
    free = (
        "/health",
        "/metrics",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/api/v1/monitoring/health/liveness",
        "/api/v1/monitoring/health/readiness",
        "/api/v1/monitoring/health/detailed",
        "/api/v1/monitoring/metrics",
    )
    for path in free * 3:
        answer = limited.client.get(path)
        assert answer.status_code == 200, path
        assert NAMES[0] not in answer.headers
    asks = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "GET"}
    for _ in range(12):
        assert limited.client.options("/api/v1/books", headers=asks).status_code == 200
    assert standing(limited.get("/books")) == (20, 19)


def test_a_refusal_can_be_read_by_a_page_and_is_counted_under_its_route(limited: Service) -> None:
    for _ in range(11):
        refused = limited.get("/books", headers={"Origin": "http://localhost:3000"})
    assert refused.status_code == 429
    assert refused.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "Retry-After" in refused.headers["access-control-expose-headers"]
    metrics = limited.client.get("/metrics").text
    assert 'brs_http_requests_total{method="GET",route="/api/v1/books",status="429"} 1.0' in metrics
    assert 'brs_limited_requests_total{budget="burst"} 1.0' in metrics
    assert 'brs_limiter_up{store="memory"} 1.0' in metrics


def log_in(service: Service, email: str, password: str, *, form: bool = False) -> httpx2.Response:
    if form:
        return service.post("/auth/login", data={"username": email, "password": password})
    return service.post("/auth/login/json", json={"email": email, "password": password})


def test_failed_logins_of_an_address_share_one_counter_over_both_forms(limited: Service) -> None:
    limited.register()
    for place in range(5):
        answer = log_in(limited, f"reader{place}@example.org", "wrong", form=place % 2 == 0)
        assert code(answer) == (401, "INVALID_CREDENTIALS")
        assert standing(answer) == (5, 4 - place)
    for form in (True, False):
        refused = log_in(limited, "ada@example.org", PASSWORD, form=form)
        assert code(refused) == (429, "RATE_LIMIT_EXCEEDED")
        assert standing(refused) == (5, 0)
        assert 1 <= int(refused.headers["Retry-After"]) <= 60


def test_failed_logins_of_an_account_count_wherever_they_come_from(start: Start, clock: Any) -> None:  # noqa: ANN401
    limited = start(rate_limits=True, trusted_proxies="10.0.0.0/8")
    limited.client._transport.client = ("10.0.0.1", 1)  # type: ignore[attr-defined]
    limited.register()
    for place, spelling in enumerate(("ada@example.org", "ADA@example.org", " ada@Example.org", "Ada@example.org")):
        headers = {"X-Forwarded-For": f"192.0.2.{place}"}
        body = {"email": spelling, "password": "wrong"}
        assert limited.post("/auth/login/json", json=body, headers=headers).status_code == 401
    body = {"email": "ada@example.org", "password": PASSWORD}
    assert limited.post("/auth/login/json", json=body, headers={"X-Forwarded-For": "192.0.2.77"}).status_code == 200
    limited.post("/auth/login/json", json=body | {"password": "x"}, headers={"X-Forwarded-For": "192.0.2.78"})
    refused = limited.post("/auth/login/json", json=body, headers={"X-Forwarded-For": "192.0.2.79"})
    assert code(refused) == (429, "RATE_LIMIT_EXCEEDED")
    clock.shift(60.1)
    assert limited.post("/auth/login/json", json=body, headers={"X-Forwarded-For": "192.0.2.79"}).status_code == 200


def test_good_logins_do_not_count(limited: Service) -> None:
    limited.register()
    for _ in range(7):
        answer = log_in(limited, "ada@example.org", PASSWORD)
        assert answer.status_code == 200
        assert standing(answer) == (5, 5)


def test_attempts_that_begin_together_are_not_more_than_the_budget(limited: Service) -> None:
    limited.register()
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(lambda n: log_in(limited, "ada@example.org", f"guess {n}").status_code, range(12)))
    assert sorted(statuses) == [401] * 5 + [429] * 7


def test_the_hash_is_not_computed_for_who_has_no_attempt_left(
    limited: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        log_in(limited, "nobody@example.org", "wrong")

    async def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(limited.app.state.passwords, "verified", never)
    assert log_in(limited, "nobody@example.org", "wrong").status_code == 429


def test_registrations_count_also_when_they_are_refused(limited: Service) -> None:
    assert limited.post("/auth/register", json={"email": "no"}).status_code == 422
    limited.register()
    again = {"email": "ada@example.org", "password": PASSWORD, "first_name": "Ada", "last_name": "L"}
    taken = limited.post("/auth/register", json=again)
    assert code(taken) == (409, "EMAIL_TAKEN")
    assert standing(taken) == (3, 0)
    assert code(limited.post("/auth/register", json=again)) == (429, "RATE_LIMIT_EXCEEDED")


def test_imports_have_a_budget_by_the_hour(limited: Service, clock: Any) -> None:  # noqa: ANN401
    headers, _ = limited.signed_in()
    path, empty = "/users/import/goodreads", {"file": ("library.csv", b"", "text/csv")}
    for left in (4, 3, 2, 1, 0):
        answer = limited.post(path, files=empty, headers=headers)
        assert answer.status_code < 500
        assert answer.status_code != 429
        assert standing(answer) == (5, left)
    clock.shift(600)
    headers = bearer(log_in(limited, "ada@example.org", PASSWORD).json()["data"]["access_token"])
    refused = limited.post(path, files=empty, headers=headers)
    assert code(refused) == (429, "RATE_LIMIT_EXCEEDED")
    assert 2900 < int(refused.headers["Retry-After"]) <= 3000
    assert standing(limited.get("/books", headers=headers)) == (100, 99)
    assert standing(limited.post(path, files=empty)) == (20, 19), "without a token it is an anonymous request"


def test_own_budgets_are_apart_from_the_general_one(limited: Service) -> None:
    limited.register()
    for _ in range(5):
        log_in(limited, "nobody@example.org", "wrong")
    assert standing(limited.get("/books")) == (20, 19)
    for _ in range(9):
        limited.get("/books")
    assert limited.get("/books").status_code == 429
    assert limited.post("/auth/register", json={}).status_code == 422


def test_every_number_is_a_setting_and_one_turns_it_off(start: Start) -> None:
    tight = start(
        rate_limits=True, rate_limit_anonymous_burst=2, rate_limit_burst_seconds=5, rate_limit_login_per_minute=1
    )
    assert [tight.get("/books").status_code for _ in range(3)] == [200, 200, 429]
    assert [log_in(tight, "nobody@example.org", "wrong").status_code for _ in range(2)] == [401, 429]
    off = start(rate_limits=False)
    answers = [off.get("/books") for _ in range(25)]
    assert {answer.status_code for answer in answers} == {200}
    assert NAMES[0] not in answers[-1].headers


def test_a_forged_forwarding_header_makes_nobody_a_new_caller(limited: Service) -> None:
    for place in range(10):
        limited.get("/books", headers={"X-Forwarded-For": f"192.0.2.{place}"})
    assert limited.get("/books", headers={"X-Forwarded-For": "192.0.2.200"}).status_code == 429


def address(peer: str | None, *forwarded: str, proxies: tuple[str, ...] = ()) -> str:
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    scope = {"type": "http", "headers": headers, "client": None if peer is None else (peer, 1)}
    return Callers(Tokens(ServiceSettings()), proxies).address(scope)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("198.51.100.7", ("192.0.2.1",), "198.51.100.7"),  # nobody asked it to forward
        ("10.0.0.1", ("192.0.2.1",), "192.0.2.1"),
        ("10.0.0.1", ("203.0.113.9, 192.0.2.1",), "192.0.2.1"),  # what stands left of it may be invented
        ("10.0.0.1", ("203.0.113.9, 192.0.2.1, 10.1.2.3",), "192.0.2.1"),
        ("10.0.0.1", ("203.0.113.9", "192.0.2.1"), "192.0.2.1"),  # two header lines are one list
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("10.0.0.2, 10.0.0.3",), "10.0.0.2"),
        ("10.0.0.1", ("192.0.2.1, nonsense",), "10.0.0.1"),
        ("10.0.0.1", ("192.0.2.1:4711",), "192.0.2.1"),
        ("10.0.0.1", ('"[2001:db8:1:2:3::4]:4711"',), "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", ("192.0.2.1",), "192.0.2.1"),
        ("2001:db8:1:2::1", (), "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", (), "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", (), "2001:db8:1:3::/64"),
        (None, ("192.0.2.1",), "unix socket"),
    ],
)
def test_the_address_is_the_right_most_hop_that_no_trusted_proxy_is(
    peer: str | None, forwarded: tuple[str, ...], expected: str
) -> None:
    assert address(peer, *forwarded, proxies=("10.0.0.0/8",)) == expected
