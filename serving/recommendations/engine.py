"""From a question to a list: the sources in their order, the books' JSON, and the page that is kept."""

import datetime as dt
import functools
import uuid
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import anyio.to_thread
import orjson
import structlog

from models import chain
from models.engine import Engine as Model
from models.reader import Pick, Reader
from serving.kit.auth import CurrentReader
from serving.kit.db import Database
from serving.kit.envelope import timestamp
from serving.kit.metrics import Metrics
from serving.recommendations import queries
from serving.recommendations.challenge import Followed
from serving.recommendations.champion import Champion
from serving.recommendations.pages import Pages, ServedPage, new_page_id
from serving.recommendations.popularity import Popularity, Ranking
from serving.recommendations.queries import Shown
from serving.recommendations.rankings import Wanted, Window
from serving.recommendations.schemas import Kind

log = structlog.get_logger(__name__)

Written = Mapping[str, object]  # the ``Picks`` shape
_LARGE_MODEL: Final = 30_000  # books; scoring more than these takes milliseconds, and goes to a thread
_ROUNDS: Final = 3
Asks = Callable[[Model], Sequence[chain.Source]]


@dataclass(frozen=True)
class Engine:
    """All that answering needs and that outlives a request."""

    database: Database
    follower: Followed
    popularity: Popularity
    pages: Pages
    metrics: Metrics


class Explanation(NamedTuple):
    """What to say when something of the reader's own speaks in the list, and when the list is everybody's."""

    own: str
    everybodys: str


@dataclass(frozen=True)
class Question:
    """What a list is to be.

    Attributes:
        kind: Goes into the answer.
        reader: Whose list it is.
        limit: Books at most.
        explanation: Goes into the answer.
        filler: The ranking that fills what the sources before it leave open.
        within: When given, only these books.
        asks: What of the model is asked; ``None``: it may not speak, and the filler answers alone.
        filters: Goes into the answer and into the page.
    """

    kind: Kind
    reader: Reader
    limit: int
    explanation: Explanation
    filler: Wanted = field(default_factory=Window)
    within: AbstractSet[uuid.UUID] | None = None
    asks: Asks | None = None
    filters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """A list before it is written.

    ``shown`` has the JSON of every picked book, the title of every book of a reason; ``made`` is when a ranking that
    answers alone was computed, ``None`` for a list that was made now.
    """

    kind: Kind
    picks: Sequence[Pick]
    shown: Mapping[uuid.UUID, Shown]
    explanation: str
    limit: int
    filters: Mapping[str, object]
    champion: Champion | None = None
    degraded: bool = False
    made: dt.datetime | None = None


def filters(**given: object) -> dict[str, object]:
    """Those that were given, as JSON has them."""
    return {
        name: str(value) if isinstance(value, uuid.UUID) else value
        for name, value in given.items()
        if value is not None
    }


async def ranked(engine: Engine, question: Question, ranking: Ranking) -> Answer:
    """The ranking alone, without what the reader has rated or hidden; no statement while its JSON is at hand."""
    picks = ranking.source.picks(question.reader, question.limit)
    shown = await _remembered(engine, ranking, [pick.book_id for pick in picks])
    explanation = question.explanation.everybodys
    return Answer(question.kind, picks, shown, explanation, question.limit, question.filters, made=ranking.made)


async def _remembered(engine: Engine, ranking: Ranking, books: Sequence[uuid.UUID]) -> dict[uuid.UUID, Shown]:
    """The books' JSON, as old as the ranking at most."""
    missing = [book for book in books if book not in ranking.json]
    if missing:
        found = await queries.shown(engine.database, missing)
        ranking.json.update({book: shown.json for book, shown in found.items() if shown.json is not None})
    return {book: Shown("", ranking.json[book]) for book in books if book in ranking.json}


async def folded_in(engine: Engine, question: Question, who: CurrentReader | None = None) -> Answer:
    """What the model answers, filled up from the ranking, which is not looked at where the model fills the list."""
    champion = engine.follower.of(who.id if who is not None else None) if question.asks is not None else None
    asked = question
    for _ in range(_ROUNDS):
        page = await _page(engine, champion, asked)
        picked = {pick.book_id for pick in page.picks}
        shown = await queries.shown(
            engine.database, picked, {reason.book_id for pick in page.picks for reason in pick.because}
        )
        if gone := picked - shown.keys():  # the model knows books that have been deleted since
            asked = replace(asked, reader=replace(asked.reader, hidden=asked.reader.hidden | gone))
        else:
            break
    picks = [pick for pick in page.picks if pick.book_id in shown]
    return Answer(
        question.kind,
        picks,
        shown,
        _explained(question, picks),
        question.limit,
        question.filters,
        champion,
        page.degraded,
    )


@dataclass(frozen=True)
class _Found:
    """What has been picked already, as a source."""

    name: str
    found: Sequence[Pick]

    def picks(self, reader: Reader, n: int, within: AbstractSet[uuid.UUID] | None = None) -> list[Pick]:  # noqa: ARG002  a source
        return list(self.found)


async def _page(engine: Engine, champion: Champion | None, question: Question) -> chain.Page:
    def failed(source: str, exc: Exception) -> None:
        engine.metrics.source_failures.labels(source).inc()
        log.error("source failed", source=source, exc_info=exc)

    shelf = champion.engine if champion is not None else None

    def chained(*sources: chain.Source) -> chain.Page:
        return chain.page(
            sources, question.reader, question.limit, within=question.within, shelf=shelf, on_failure=failed
        )

    page = chain.Page()
    if champion is not None and question.asks is not None:
        work = functools.partial(chained, *question.asks(champion.engine))
        page = await anyio.to_thread.run_sync(work) if champion.engine.book_count > _LARGE_MODEL else work()
    if len(page.picks) < question.limit:
        ranking = await engine.popularity.ranking(engine.database, question.filler)
        page = replace(chained(_Found("found", page.picks), ranking.source), degraded=page.degraded)
    return page


def _explained(question: Question, picks: Sequence[Pick]) -> str:
    is_own = any(pick.source != question.filler.source.name for pick in picks)
    return question.explanation.own if is_own else question.explanation.everybodys


def written(engine: Engine, answer: Answer, reader: CurrentReader | None) -> Written:
    """The ``Picks`` shape; a signed-in reader's page is handed over to be stored."""
    page_id = new_page_id() if reader is not None else None
    books: list[orjson.Fragment] = []
    stored: list[dict[str, object]] = []
    for rank, pick in enumerate((pick for pick in answer.picks if pick.book_id in answer.shown), start=1):
        engine.metrics.picks.labels(pick.source).inc()
        books.append(_shown_pick(rank, pick, answer.shown))
        stored.append({"rank": rank, "book_id": pick.book_id, "source": pick.source, "score": pick.score})
    if answer.degraded:
        engine.metrics.degraded.inc()
    name = answer.champion.name if answer.champion is not None else None
    if reader is not None and page_id is not None:
        engine.pages.put(
            ServedPage(
                page_id,
                reader.id,
                answer.kind,
                name.name if name else None,
                name.version if name else None,
                answer.filters,
                answer.degraded,
                timestamp(),
                stored,
            )
        )
    return {
        "recommendations": books,
        "recommendation_type": answer.kind,
        "explanation": answer.explanation,
        "total": len(books),
        "limit": answer.limit,
        "filters": answer.filters,
        "page_id": page_id,
        "model": {"name": name.name, "version": name.version} if name else None,
        "degraded": answer.degraded,
        "generated_at": timestamp(answer.made),
    }


def _shown_pick(rank: int, pick: Pick, shown: Mapping[uuid.UUID, Shown]) -> orjson.Fragment:
    """Postgres' JSON of the book with the pick's own members behind it."""
    because = [
        {"book_id": reason.book_id, "title": shown[reason.book_id].title, "share": reason.share}
        for reason in pick.because
        if reason.book_id in shown
    ]
    own = orjson.dumps({"rank": rank, "score": pick.score, "source": pick.source, "because": because})
    book = shown[pick.book_id].json or "{}"
    return orjson.Fragment(book[:-1] + "," + own[1:].decode())
