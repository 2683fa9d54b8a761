"""Keeps the rankings that are the same for everybody, so that hardly anybody waits for one.

Computing a ranking takes as long as the ratings of its window are many: a few milliseconds in a small library, .4 s for
a year's trending among a million ratings. What follows from that:

- A ranking of the last minute (``FRESH_SECONDS``) is the answer.
- Of an older one a new one is made beside the requests, once for all who ask. As long as that is cheap
  (``DEAR_SECONDS``), they wait for it, so that a small library's rankings are never older than a minute. Where it is
  dear, the old one answers at once, and a new one is begun before that is a minute old (``AHEAD_SECONDS``): while
  somebody asks every few seconds, answers are no older than a minute there too.
- Only what is older than an hour (``OLDEST_SECONDS``), or was never computed, is waited for.
- What refreshing costs Postgres is bounded. A ranking is computed anew for a twentieth of the time at most (``PAUSE``),
  and dear ones take turns, with rests between them: all together a fifth of the time of one connection of each worker
  process (``REST``). First answers to arguments that nobody has used before come beside that; rate limits bound them.
- A refresh that failed is logged and tried again later, and the old ranking goes on answering meanwhile.
- What pages ask for without arguments is computed when the service starts, and kept fresh from then on, whether or not
  anybody asks: only where it is dear. A cheap one is better computed for the one who asks.

A computation counts as dear when the last two were: one may have waited for a connection, or for another program. Until
there were two, who asks waits for ``PATIENCE_SECONDS`` at most.
"""

import asyncio
import contextlib
import datetime as dt
import math
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import psycopg
import structlog

from models.popular import Popular
from serving.kit.background import beside
from serving.kit.db import Runs
from serving.recommendations.rankings import Scored, Wanted

log = structlog.get_logger(__name__)

FRESH_SECONDS: Final = 60.0
AHEAD_SECONDS: Final = 45.0
OLDEST_SECONDS: Final = 3600.0
DEAR_SECONDS: Final = 0.05
PATIENCE_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 5.0
PAUSE: Final = 20  # times what a computation took, from its beginning to the next one's
REST: Final = 4  # times what a computation took, between its end and the next ranking's turn
_LOOK_SECONDS: Final = 1.0  # between two looks at what is kept fresh
_KEPT: Final = 256  # sets of arguments


@dataclass
class Ranking:
    """Books with scores, best first. ``json`` collects what was shown of them, so that it is as old as the ranking."""

    books: Scored
    since: float
    made: dt.datetime
    kind: type[Popular] = Popular
    source: Popular = field(init=False)
    json: dict[uuid.UUID, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.source = self.kind(self.books)


@dataclass
class _Kept:
    """What is known of one ranking.

    Attributes:
        ranking: The last one.
        seconds: How long the last two computations took, the last one first.
        again: When it may be refreshed; ``since`` and ``again`` are seconds of the monotonic clock.
        computing: What is under way.
        has_turn: It waits for its turn.
    """

    ranking: Ranking | None = None
    seconds: tuple[float, float] = (0.0, 0.0)
    again: float = -math.inf
    computing: asyncio.Task[Ranking] | None = None
    has_turn: bool = False

    @property
    def is_dear(self) -> bool:
        return min(self.seconds) >= DEAR_SECONDS

    @property
    def age(self) -> float:
        return math.inf if self.ranking is None else time.monotonic() - self.ranking.since

    @property
    def is_due(self) -> bool:
        return self.age >= (AHEAD_SECONDS if self.is_dear else FRESH_SECONDS) and time.monotonic() >= self.again


class Popularity:
    """The rankings of one worker process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Wanted, _Kept] = OrderedDict()
        self._tasks: set[asyncio.Task[Ranking]] = set()
        self._turns: asyncio.Queue[Wanted] = asyncio.Queue()

    async def ranking(self, run: Runs, wanted: Wanted) -> Ranking:
        """The last one, or a new one: see above. Raises what computing it raises, where there is no last one."""
        kept = self._kept.setdefault(wanted, _Kept())
        self._kept.move_to_end(wanted)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        if kept.ranking is None or kept.age >= OLDEST_SECONDS:
            return await asyncio.shield(self._computation(run, wanted, kept))
        if kept.is_due:
            self._refresh(run, wanted, kept)
        if kept.age >= FRESH_SECONDS and not kept.is_dear and kept.computing is not None:
            await asyncio.wait({kept.computing}, timeout=PATIENCE_SECONDS)
        return kept.ranking

    @contextlib.asynccontextmanager
    async def keeping(self, run: Runs, always: Sequence[Wanted]) -> AsyncIterator[None]:
        """Refreshes until the block ends; ``always`` at once, and whether or not anybody asks."""
        self._turns = asyncio.Queue()
        try:
            async with beside(self._keep(run, always), "keep-rankings"):
                yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._kept.clear()

    async def _keep(self, run: Runs, always: Sequence[Wanted]) -> None:
        missing, again = list(always), -math.inf
        while True:
            if missing and (begun := time.monotonic()) >= again:
                missing = [wanted for wanted in missing if not await self._begin(run, wanted)]
                again = max(time.monotonic() + RETRY_SECONDS, begun + PAUSE * (time.monotonic() - begun))
            for wanted in always:
                self._keep_fresh(run, wanted)
            await self._take_turn(run)

    async def _begin(self, run: Runs, wanted: Wanted) -> bool:
        """Keeps a ranking if it is dear; whether that could be found out.

        Until then it is apart from the one that is asked for: a cheap one is as old as its first question.
        """
        kept = _Kept()
        while not kept.is_dear:
            task = self._computation(run, wanted, kept)
            await asyncio.wait({task})
            if task.exception() is not None:
                return False
            if kept.seconds[0] < DEAR_SECONDS:
                return True
        self._kept.setdefault(wanted, kept).seconds = kept.seconds
        return True

    def _keep_fresh(self, run: Runs, wanted: Wanted) -> None:
        kept = self._kept.get(wanted)
        if kept is None:
            return
        self._kept.move_to_end(wanted)  # others must not push it out
        if kept.ranking is not None and kept.is_dear and kept.is_due:
            self._refresh(run, wanted, kept)

    def _refresh(self, run: Runs, wanted: Wanted, kept: _Kept) -> None:
        if not kept.is_dear:
            self._computation(run, wanted, kept)
        elif not kept.has_turn:
            kept.has_turn = True
            self._turns.put_nowait(wanted)

    async def _take_turn(self, run: Runs) -> None:
        """Refreshes the next one, and rests. Without one: waits a moment for one to come."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                wanted = await self._turns.get()
        except TimeoutError:
            return
        kept = self._kept.get(wanted)
        if kept is not None and kept.is_due:
            begun = time.monotonic()
            await asyncio.wait({self._computation(run, wanted, kept)})
            kept.has_turn = False
            await asyncio.sleep(REST * (time.monotonic() - begun))
        elif kept is not None:
            kept.has_turn = False

    def _computation(self, run: Runs, wanted: Wanted, kept: _Kept) -> asyncio.Task[Ranking]:
        """What is under way, or else is begun here: a task of its own, which outlives the request that began it."""
        if kept.computing is None:
            kept.computing = asyncio.create_task(self._computed(run, wanted, kept), name="ranking")
            self._tasks.add(kept.computing)
            kept.computing.add_done_callback(self._forget)
        return kept.computing

    def _forget(self, task: asyncio.Task[Ranking]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # has been told: nobody need have waited for it

    async def _computed(self, run: Runs, wanted: Wanted, kept: _Kept) -> Ranking:
        since, made = time.monotonic(), dt.datetime.now(dt.UTC)  # before the statement: never older than it claims
        pause = RETRY_SECONDS
        try:
            kept.ranking = ranking = Ranking(await wanted.books(run), since, made, wanted.source)
        except Exception as exc:
            bug = None if isinstance(exc, psycopg.Error) else exc
            log.warning("ranking not computed", ranking=repr(wanted), reason=type(exc).__name__, exc_info=bug)
            raise
        else:
            kept.seconds = (time.monotonic() - since, kept.seconds[0])
            pause = 0.0
            return ranking
        finally:
            now = time.monotonic()
            kept.again = max(now + pause, since + PAUSE * (now - since))
            kept.computing = None
