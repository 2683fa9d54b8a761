"""Lists of books for a reader, and why."""

import datetime as dt
import functools
import uuid
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

import anyio.to_thread
import orjson
import structlog

from models import chain
from models.reader import Pick, Rating, Reader
from serving.kit.auth import CurrentReader
from serving.kit.db import Database
from serving.kit.envelope import timestamp
from serving.kit.errors import Detail, GenreNotFound, Invalid
from serving.kit.metrics import Metrics
from serving.recommendations import queries
from serving.recommendations.champion import Champion, Follower
from serving.recommendations.pages import Pages, ServedPage
from serving.recommendations.popularity import Popularity, Ranking, Window
from serving.recommendations.queries import Shown
from serving.recommendations.schemas import Kind, PersonalQuery, PopularQuery, Preview

log = structlog.get_logger(__name__)

_LARGE_MODEL: Final = 30_000  # books; scoring more than these takes milliseconds, and goes to a thread
_ROUNDS: Final = 3
_MOST_READ: Final = "Books that many readers rate highly"
_OWN_TASTE: Final = "From the books you rated, the latest most"
_NOT_YET: Final = "Books that many readers rate highly, until you have rated some that you liked"
_SWITCHED_OFF: Final = "Books that many readers rate highly: you have switched personal recommendations off"


@dataclass(frozen=True)
class Engine:
    """All that answering needs and that outlives a request."""

    database: Database
    follower: Follower
    popularity: Popularity
    pages: Pages
    metrics: Metrics


@dataclass(frozen=True)
class Answer:
    """A list before it is written. ``json`` has every picked book, ``titles`` every book of a reason."""

    kind: Kind
    picks: Sequence[Pick]
    shown: Mapping[uuid.UUID, Shown]
    explanation: str
    limit: int
    filters: Mapping[str, object]
    champion: Champion | None = None
    degraded: bool = False


def _filters(**given: object) -> dict[str, object]:
    return {
        name: str(value) if isinstance(value, uuid.UUID) else value
        for name, value in given.items()
        if value is not None
    }


async def popular(engine: Engine, reader: CurrentReader | None, query: PopularQuery) -> Mapping[str, object]:
    """Raises GenreNotFound."""
    window = Window(query.genre_id, query.min_reviews, query.days_back)
    ranking = await engine.popularity.ranking(engine.database, window)
    if not ranking.books:
        await _genre(engine, query.genre_id)
    hidden = await queries.hidden(engine.database, reader.id) if reader is not None else frozenset[uuid.UUID]()
    picks = ranking.source.picks(Reader(hidden=hidden), query.limit)
    answer = Answer(
        "popular",
        picks,
        await _remembered(engine, ranking, [pick.book_id for pick in picks]),
        _MOST_READ,
        query.limit,
        _filters(genre_id=query.genre_id, min_reviews=query.min_reviews, days_back=query.days_back),
    )
    return _written(engine, answer, reader)


async def _remembered(engine: Engine, ranking: Ranking, books: Sequence[uuid.UUID]) -> dict[uuid.UUID, Shown]:
    """The books' JSON, as old as the ranking at most; popular lists cost no statement while that is fresh."""
    missing = [book for book in books if book not in ranking.json]
    if missing:
        found = await queries.shown(engine.database, missing)
        ranking.json.update({book: shown.json for book, shown in found.items() if shown.json is not None})
    return {book: Shown("", ranking.json[book]) for book in books if book in ranking.json}


async def personal(engine: Engine, reader: CurrentReader, query: PersonalQuery) -> Mapping[str, object]:
    """What the reader rated a moment ago counts: their ratings are read now, and folded in now.

    Raises:
        GenreNotFound.
    """
    known = await queries.reader(engine.database, reader.id, query.genre_id)
    if query.genre_id is not None and known.of_genre is None:
        raise GenreNotFound
    within = None if known.of_genre is None else frozenset(known.of_genre)
    asked = Reader(
        ratings=tuple(map(Rating, known.books, known.stars, known.times)),
        muted=frozenset(known.muted),
        hidden=frozenset(known.hidden),
    )
    answer = await _folded_in(
        engine, asked, "personal", query.limit, within=within, genre=query.genre_id, is_personal=known.enabled
    )
    return _written(engine, answer, reader)


async def preview(engine: Engine, query: Preview) -> Mapping[str, object]:
    """Raises Invalid for a book that does not exist."""
    books = [rating.book_id for rating in query.ratings]
    existing = await queries.known(engine.database, books)
    unknown = [
        Detail(f"ratings.{place}.book_id", "There is no such book", "book_unknown")
        for place, book in enumerate(books)
        if book not in existing
    ]
    if unknown:
        raise Invalid(unknown)
    start = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=len(books))
    ratings = (
        Rating(rating.book_id, rating.rating, start + dt.timedelta(seconds=place))
        for place, rating in enumerate(query.ratings)
    )
    return _written(engine, await _folded_in(engine, Reader(ratings=tuple(ratings)), "preview", query.limit), None)


async def _genre(engine: Engine, genre: uuid.UUID | None) -> AbstractSet[uuid.UUID] | None:
    if genre is None:
        return None
    books = await queries.of_genre(engine.database, genre)
    if books is None:
        raise GenreNotFound
    return books


async def _folded_in(  # noqa: PLR0913  the parts of a question
    engine: Engine,
    reader: Reader,
    kind: Kind,
    limit: int,
    *,
    within: AbstractSet[uuid.UUID] | None = None,
    genre: uuid.UUID | None = None,
    is_personal: bool = True,
) -> Answer:
    champion = engine.follower.current if is_personal else None
    ranking = await engine.popularity.ranking(engine.database, Window(genre))
    sources: list[chain.Source] = [champion.taste, ranking.source] if champion is not None else [ranking.source]
    asked = reader
    for _ in range(_ROUNDS):
        page = await _page(engine, sources, asked, limit, within, large=_is_large(champion))
        picked = {pick.book_id for pick in page.picks}
        shown = await queries.shown(
            engine.database, picked, {reason.book_id for pick in page.picks for reason in pick.because}
        )
        if gone := picked - shown.keys():  # the model knows books that have been deleted since
            asked = replace(asked, hidden=asked.hidden | gone)
        else:
            break
    return Answer(
        kind,
        [pick for pick in page.picks if pick.book_id in shown],
        shown,
        _explained(page.picks, is_personal=is_personal),
        limit,
        _filters(genre_id=genre),
        champion,
        page.degraded,
    )


def _is_large(champion: Champion | None) -> bool:
    return champion is not None and champion.book_count > _LARGE_MODEL


async def _page(
    engine: Engine,
    sources: Sequence[chain.Source],
    reader: Reader,
    limit: int,
    within: AbstractSet[uuid.UUID] | None,
    *,
    large: bool,
) -> chain.Page:
    def failed(source: str, exc: Exception) -> None:
        engine.metrics.source_failures.labels(source).inc()
        log.error("source failed", source=source, exc_info=exc)

    work = functools.partial(chain.page, sources, reader, limit, within=within, on_failure=failed)
    return await anyio.to_thread.run_sync(work) if large else work()


def _explained(picks: Collection[Pick], *, is_personal: bool) -> str:
    if not is_personal:
        return _SWITCHED_OFF
    return _OWN_TASTE if any(pick.source != "popular" for pick in picks) else _NOT_YET


def _written(engine: Engine, answer: Answer, reader: CurrentReader | None) -> Mapping[str, object]:
    """The ``Picks`` shape; a signed-in reader's page is handed over to be stored."""
    page_id = uuid.uuid4() if reader is not None else None
    made = timestamp()
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
                made,
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
        "generated_at": made,
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
