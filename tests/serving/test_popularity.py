"""How rankings are kept: who waits for one, who gets an older one, and what that costs Postgres."""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from structlog.testing import capture_logs

from models.popular import Popular
from serving.kit.db import Runs
from serving.kit.envelope import timestamp
from serving.recommendations import popularity, service
from serving.recommendations.popularity import Popularity, Ranking
from serving.recommendations.rankings import Scored
from tests.serving.conftest import Library, Running, Start

CHEAP, DEAR = 0.001, 0.06  # seconds
NOBODY = cast("Runs", None)
SECONDS = 5.0


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of the rankings alone: what waits really waits."""
    clock = Clock()
    monkeypatch.setattr(popularity, "time", SimpleNamespace(monotonic=clock.monotonic))
    monkeypatch.setattr(popularity, "_LOOK_SECONDS", 0.01)
    return clock


@dataclass(eq=False)
class Wanted:
    """A ranking of one book, another one each time. Takes ``seconds`` of the clock, and waits while it is held."""

    clock: Clock
    seconds: float = DEAR
    source: type[Popular] = Popular
    made: list[uuid.UUID] = field(default_factory=list)
    begun: int = 0
    held: bool = False
    fails: bool = False

    async def books(self, _: Runs) -> Scored:
        self.begun += 1
        await until(lambda: not self.held)
        self.clock.now += self.seconds
        if self.fails:
            raise psycopg.OperationalError
        self.made.append(uuid.uuid4())
        return [(self.made[-1], 1.0)]


@pytest.fixture
def wanted(clock: Clock) -> Wanted:
    return Wanted(clock)


def book(ranking: Ranking) -> uuid.UUID:
    return ranking.books[0][0]


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


async def begun(wanted: Wanted, times: int) -> None:
    await until(lambda: wanted.begun == times)


async def known(kept: Popularity, wanted: Wanted, clock: Clock) -> uuid.UUID:
    """After two computations: whether it is dear is known."""
    await kept.ranking(NOBODY, wanted)
    clock.now += popularity.FRESH_SECONDS
    latest = book(await kept.ranking(NOBODY, wanted))
    assert wanted.begun == 2
    return latest


def test_an_old_ranking_answers_all_at_once_while_one_new_one_is_computed(clock: Clock, wanted: Wanted) -> None:
    async def play() -> None:
        kept = Popularity()
        async with kept.keeping(NOBODY, ()):
            old = await known(kept, wanted, clock)
            clock.now += popularity.FRESH_SECONDS
            wanted.held = True
            for _ in range(3):
                answers = await asyncio.wait_for(asyncio.gather(*[kept.ranking(NOBODY, wanted) for _ in range(50)]), 1)
                assert {book(answer) for answer in answers} == {old}
                await until(lambda: wanted.begun == 3)
            wanted.held = False
            await until(lambda: len(wanted.made) == 3)
            assert book(await kept.ranking(NOBODY, wanted)) == wanted.made[2]
            assert wanted.begun == 3

    asyncio.run(play())


def test_a_dear_ranking_that_is_asked_for_is_new_before_it_is_a_minute_old(clock: Clock, wanted: Wanted) -> None:
    async def play() -> None:
        kept = Popularity()
        async with kept.keeping(NOBODY, ()):
            await known(kept, wanted, clock)
            clock.now += popularity.AHEAD_SECONDS
            await kept.ranking(NOBODY, wanted)
            await until(lambda: len(wanted.made) == 3)

    asyncio.run(play())


def test_a_cheap_ranking_is_waited_for_after_a_minute_and_not_computed_before(clock: Clock, wanted: Wanted) -> None:
    async def play() -> None:
        kept = Popularity()
        async with kept.keeping(NOBODY, ()):
            wanted.seconds = CHEAP
            await known(kept, wanted, clock)
            clock.now += popularity.FRESH_SECONDS - 1
            assert book(await kept.ranking(NOBODY, wanted)) == wanted.made[1]
            clock.now += 1
            answers = await asyncio.gather(*[kept.ranking(NOBODY, wanted) for _ in range(50)])
            assert [book(answer) for answer in answers] == [wanted.made[2]] * 50

    asyncio.run(play())


def test_what_is_not_known_to_be_dear_is_waited_for_for_a_moment(
    clock: Clock, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(popularity, "PATIENCE_SECONDS", 0.05)

    async def play() -> None:
        kept = Popularity()
        async with kept.keeping(NOBODY, ()):
            await kept.ranking(NOBODY, wanted)
            clock.now += popularity.FRESH_SECONDS
            wanted.held = True
            assert book(await asyncio.wait_for(kept.ranking(NOBODY, wanted), 1)) == wanted.made[0]

    asyncio.run(play())


def test_the_first_is_computed_once_for_all_who_wait(clock: Clock, wanted: Wanted) -> None:
    async def play() -> None:
        kept = Popularity()
        askers = [asyncio.create_task(kept.ranking(NOBODY, wanted)) for _ in range(50)]
        wanted.held = True
        await until(lambda: wanted.begun)
        askers[0].cancel()  # who began it leaves, and the others get it
        wanted.held = False
        assert {book(answer) for answer in await asyncio.gather(*askers[1:])} == set(wanted.made)
        assert wanted.begun == 1

    asyncio.run(play())


def test_what_is_older_than_an_hour_is_waited_for_and_its_failure_is_told(clock: Clock, wanted: Wanted) -> None:
    async def play() -> None:
        kept = Popularity()
        async with kept.keeping(NOBODY, ()):
            await known(kept, wanted, clock)
            clock.now += popularity.OLDEST_SECONDS
            assert book(await kept.ranking(NOBODY, wanted)) == wanted.made[2]
            clock.now += popularity.OLDEST_SECONDS
            wanted.fails = True
            with pytest.raises(psycopg.OperationalError):
                await kept.ranking(NOBODY, wanted)

    asyncio.run(play())


@pytest.mark.parametrize("seconds", [CHEAP, DEAR])
def test_a_failed_refresh_is_logged_and_tried_again_and_the_old_ranking_answers(
    clock: Clock, wanted: Wanted, seconds: float
) -> None:
    async def play() -> None:
        kept = Popularity()
        wanted.seconds = seconds
        async with kept.keeping(NOBODY, ()):
            old = await known(kept, wanted, clock)
            clock.now += popularity.FRESH_SECONDS
            wanted.fails = True
            for _ in range(20):
                assert book(await kept.ranking(NOBODY, wanted)) == old
                await asyncio.sleep(0.001)
            assert wanted.begun == 3, "not again and again"
            wanted.fails = False
            clock.now += popularity.RETRY_SECONDS
            await kept.ranking(NOBODY, wanted)
            await until(lambda: len(wanted.made) == 3)
            assert book(await kept.ranking(NOBODY, wanted)) == wanted.made[2]

    with capture_logs() as lines:
        asyncio.run(play())
    [line] = [line for line in lines if line["event"] == "ranking not computed"]
    assert (line["log_level"], line["reason"]) == ("warning", "OperationalError")


def test_a_ranking_is_computed_for_a_twentieth_of_the_time_at_most(clock: Clock, wanted: Wanted) -> None:
    async def play() -> None:
        kept = Popularity()
        wanted.seconds = 10
        await kept.ranking(NOBODY, wanted)
        for asked, begun in ((189.0, 1), (1.0, 2)):  # 10 s are 20 times in 200 s
            clock.now += asked
            await kept.ranking(NOBODY, wanted)
            assert wanted.begun == begun

    asyncio.run(play())


def test_dear_rankings_take_turns_and_rest(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    slept = asyncio.sleep

    async def sleep(seconds: float) -> None:
        rests.append(seconds)
        await slept(min(seconds, 0.001))

    async def play() -> None:
        kept = Popularity()
        some = [Wanted(clock) for _ in range(3)]
        async with kept.keeping(NOBODY, ()):
            for one in some:
                await known(kept, one, clock)
                one.held = True
            clock.now += popularity.FRESH_SECONDS
            monkeypatch.setattr(asyncio, "sleep", sleep)
            for done, one in enumerate(some):
                for other in some:
                    await kept.ranking(NOBODY, other)
                await begun(one, 3)
                assert [other.begun for other in some] == [3] * (done + 1) + [2] * (2 - done)
                one.held = False
            await until(lambda: sum(rest > CHEAP for rest in rests) == 3)

    asyncio.run(play())
    assert [rest for rest in rests if rest > CHEAP] == pytest.approx([popularity.REST * DEAR] * 3)


def test_what_is_always_kept_is_there_before_anybody_asks_and_stays_fresh_if_it_is_dear(clock: Clock) -> None:
    async def play() -> None:
        kept, dear, cheap = Popularity(), Wanted(clock), Wanted(clock, CHEAP)
        async with kept.keeping(NOBODY, (dear, cheap)):
            await until(lambda: len(dear.made) == 2 and len(cheap.made) == 1)
            await asyncio.sleep(0.05)
            dear.held = True
            assert book(await kept.ranking(NOBODY, dear)) == dear.made[1]
            assert book(await kept.ranking(NOBODY, cheap)) == cheap.made[1], "of the moment when somebody asks"
            dear.held = False
            clock.now += popularity.AHEAD_SECONDS
            await until(lambda: len(dear.made) == 3)
            assert len(cheap.made) == 2

    asyncio.run(play())


def test_what_could_not_be_computed_at_the_start_is_tried_again(clock: Clock, wanted: Wanted) -> None:
    async def play() -> None:
        other = Wanted(clock)
        wanted.fails = True
        async with Popularity().keeping(NOBODY, (wanted, other)):
            await until(lambda: len(other.made) == 2)
            assert wanted.begun == 1
            wanted.fails = False
            clock.now += popularity.RETRY_SECONDS
            await until(lambda: len(wanted.made) == 2)

    with capture_logs() as lines:
        asyncio.run(play())
    assert [line["event"] for line in lines] == ["ranking not computed"]


def test_others_do_not_push_out_what_is_always_kept(clock: Clock, wanted: Wanted) -> None:
    async def play() -> None:
        kept = Popularity()
        async with kept.keeping(NOBODY, (wanted,)):
            await until(lambda: len(wanted.made) == 2)
            for _ in range(3):
                await asyncio.sleep(0.03)
                for _ in range(popularity._KEPT - 1):
                    await kept.ranking(NOBODY, Wanted(clock, 0))
            assert book(await kept.ranking(NOBODY, wanted)) == wanted.made[1]
            assert len(kept._kept) == popularity._KEPT

    asyncio.run(play())


@dataclass(frozen=True)
class Sleeping:
    """Computed in Postgres for half a minute, but for the first time."""

    source: type[Popular] = Popular
    before: list[int] = field(default_factory=list, hash=False, compare=False)

    async def books(self, run: Runs) -> Scored:
        if self.before:
            await run.rows("SELECT pg_sleep(30)")
        self.before.append(1)
        return [(uuid.uuid4(), 1.0)]


def test_the_service_stops_at_once_while_postgres_computes(running: Running, library: Library, clock: Clock) -> None:
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND state = 'active'"
    with capture_logs() as lines:
        with running() as it:
            engine = it.app.state.engine

            async def ask() -> Ranking:
                return cast("Ranking", await engine.popularity.ranking(engine.database, wanted))

            wanted, portal = Sleeping(), cast("Any", it.client.portal)
            first = portal.call(ask)
            clock.now += popularity.FRESH_SECONDS
            assert portal.call(ask) is first, "answered with the old one"
            deadline = time.monotonic() + SECONDS
            while library.run(asleep) != [(1,)]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            began = time.monotonic()
        assert time.monotonic() - began < SECONDS
    assert library.run(asleep) == [(0,)]
    assert [line for line in lines if line["log_level"] == "error"] == []


@pytest.fixture
def all_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a large library."""
    monkeypatch.setattr(popularity, "time", time)
    monkeypatch.setattr(popularity, "DEAR_SECONDS", 1e-6)
    monkeypatch.setattr("serving.app.always", service.always)


def test_a_service_has_its_pages_rankings_before_they_are_asked_for(
    all_dear: None, start: Start, library: Library
) -> None:
    library.rated(library.book(), *[5] * 5)
    it = start()
    kept = it.app.state.engine.popularity._kept
    deadline = time.monotonic() + SECONDS
    while set(kept) != set(service.always()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    made = [timestamp(kept[wanted].ranking.made) for wanted in service.always()]
    with capture_logs() as lines:
        told = [
            it.get(f"/recommendations/{path}").json()["data"]
            for path in ("popular", "trending", "starters")
            for _ in range(2)
        ]
    assert [line["statements"] for line in lines if line["event"] == "request"] == [1, 0, 1, 0, 1, 1]
    assert [data["total"] for data in told] == [1] * 6
    assert [data["generated_at"] for data in told[:4]] == [made[0], made[0], made[1], made[1]], "as old as they are"


def test_readiness_does_not_wait_for_rankings(all_dear: None, running: Running, library: Library) -> None:
    with library.connection.transaction():
        library.run("LOCK TABLE books")
        began = time.monotonic()
        with running() as it:
            assert it.get("/monitoring/health/readiness").status_code == 200
        assert time.monotonic() - began < SECONDS
