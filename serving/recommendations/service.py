"""Lists of books for a reader, and why."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Final

from models.chain import Source
from models.engine import Engine as Model
from models.reader import Rating, Reader
from serving.kit.auth import CurrentReader
from serving.kit.errors import Detail, GenreNotFound, Invalid
from serving.recommendations import queries
from serving.recommendations.engine import (
    Asks,
    Engine,
    Explanation,
    Question,
    Written,
    filters,
    folded_in,
    ranked,
    written,
)
from serving.recommendations.queries import Known
from serving.recommendations.rankings import OfGenre, Rise, Spread, Wanted, Window
from serving.recommendations.schemas import (
    DiversityQuery,
    GenreQuery,
    Kind,
    PersonalQuery,
    PopularQuery,
    Preview,
    StartersQuery,
    TrendingQuery,
)

_MOST_READ: Final = "Books that many readers rate highly"
_RISING: Final = "Books that readers rate more, and like, than their own past let expect"
_OWN: Final = Explanation(
    "From the books you rated, the latest most", f"{_MOST_READ}, until you have rated some that you liked"
)
_SWITCHED_OFF: Final = Explanation(*[f"{_MOST_READ}: you have switched personal recommendations off"] * 2)
_OF_GENRE: Final = Explanation(
    "Books of this genre: first what the books you rated speak for, then what many readers rate highly",
    "Books of this genre that many readers rate highly",
)
_ACROSS: Final = Explanation(
    "From the genres that the books you rated speak for, turn by turn",
    f"{_MOST_READ}, from the genres that are read most, turn by turn",
)
_STARTERS: Final = Explanation(
    "Books to rate first: they would tell most about what else you like",
    f"{_MOST_READ}, from many genres, to rate first",
)
_SPREAD_OF_STARTERS: Final = Spread(10)


def always() -> tuple[Wanted, ...]:
    """The rankings that pages show to whoever comes: those of questions without arguments."""
    return _window(PopularQuery()), _rise(TrendingQuery()), _SPREAD_OF_STARTERS


def _window(query: PopularQuery) -> Window:
    return Window(query.genre_id, query.min_reviews, query.days_back)


def _rise(query: TrendingQuery) -> Rise:
    return Rise(query.days_back, query.min_reviews_in_period)


async def popular(engine: Engine, reader: CurrentReader | None, query: PopularQuery) -> Written:
    """Raises GenreNotFound."""
    given = filters(genre_id=query.genre_id, min_reviews=query.min_reviews, days_back=query.days_back)
    ranking = await engine.popularity.ranking(engine.database, _window(query))
    if not ranking.books and query.genre_id is not None:
        await _of_genre(engine, query.genre_id)
    question = _everybodys("popular", await _hiding(engine, reader), query.limit, _MOST_READ, given)
    return written(engine, await ranked(engine, question, ranking), reader)


async def trending(engine: Engine, reader: CurrentReader | None, query: TrendingQuery) -> Written:
    """What it means is said in ``trending_queries.rising``."""
    given = filters(days_back=query.days_back, min_reviews_in_period=query.min_reviews_in_period)
    ranking = await engine.popularity.ranking(engine.database, _rise(query))
    question = _everybodys("trending", await _hiding(engine, reader), query.limit, _RISING, given)
    return written(engine, await ranked(engine, question, ranking), reader)


def _everybodys(kind: Kind, reader: Reader, limit: int, explanation: str, given: dict[str, object]) -> Question:
    return Question(kind, reader, limit, Explanation(explanation, explanation), filters=given)


async def _hiding(engine: Engine, reader: CurrentReader | None) -> Reader:
    """Somebody of whom only the hidden books matter."""
    return Reader() if reader is None else Reader(hidden=await queries.hidden(engine.database, reader.id))


async def of_genre(engine: Engine, reader: CurrentReader | None, genre: uuid.UUID, query: GenreQuery) -> Written:
    """Popular within the genre; for a signed-in reader whose own books are left out, the model speaks first.

    Raises:
        GenreNotFound.
    """
    filler = Window(genre, query.min_reviews, min_rating=query.min_rating, source=OfGenre)
    given = filters(genre_id=genre, **query.model_dump(exclude={"limit"}))
    if reader is not None and query.exclude_user_books:
        known = await queries.reader(
            engine.database, reader.id, genre, min_reviews=query.min_reviews, min_rating=query.min_rating
        )
        question = Question(
            "genre",
            _reader(known),
            query.limit,
            _OF_GENRE,
            filler,
            _within(known),
            asks=_personal(known.diversity) if known.enabled else None,
            filters=given,
        )
        return written(engine, await folded_in(engine, question, reader), reader)
    ranking = await engine.popularity.ranking(engine.database, filler)
    if not ranking.books:
        await _of_genre(engine, genre)
    question = Question("genre", await _hiding(engine, reader), query.limit, _OF_GENRE, filters=given)
    return written(engine, await ranked(engine, question, ranking), reader)


async def personal(engine: Engine, reader: CurrentReader, query: PersonalQuery) -> Written:
    """What the reader rated a moment ago counts: their ratings are read now, and folded in now.

    Raises:
        GenreNotFound.
    """
    known = await queries.reader(engine.database, reader.id, query.genre_id)
    diversity = query.diversity if query.diversity is not None else known.diversity
    question = Question(
        "personal",
        _reader(known),
        query.limit,
        _OWN if known.enabled else _SWITCHED_OFF,
        Window(query.genre_id),
        _within(known) if query.genre_id is not None else None,
        asks=_personal(diversity) if known.enabled else None,
        filters=filters(genre_id=query.genre_id, diversity=diversity),
    )
    return written(engine, await folded_in(engine, question, reader), reader)


def _personal(diversity: float | None) -> Asks:
    """``None``: the reader has no wish, and the model's own measure counts."""

    def ask(model: Model) -> Sequence[Source]:
        return model.personal(diversity)

    return ask


def _within(known: Known) -> frozenset[uuid.UUID]:
    """Raises GenreNotFound."""
    if known.of_genre is None:
        raise GenreNotFound
    return frozenset(known.of_genre)


async def across_genres(engine: Engine, reader: CurrentReader | None, query: DiversityQuery) -> Written:
    """The reader's own taste over the genres that they like most; else popular books over those that are read most."""

    def ask(model: Model) -> Sequence[Source]:
        return model.across(query.genre_count)

    filler, given = Spread(query.genre_count), filters(genre_count=query.genre_count)
    if reader is None:
        ranking = await engine.popularity.ranking(engine.database, filler)
        question = _everybodys("diversity", Reader(), query.limit, _ACROSS.everybodys, given)
        return written(engine, await ranked(engine, question, ranking), None)
    known = await queries.reader(engine.database, reader.id)
    asks = ask if known.enabled else None
    question = Question("diversity", _reader(known), query.limit, _ACROSS, filler, asks=asks, filters=given)
    return written(engine, await folded_in(engine, question, reader), reader)


async def starters(engine: Engine, reader: CurrentReader | None, query: StartersQuery) -> Written:
    """The books whose ratings would tell most, given what the reader has rated."""

    def ask(model: Model) -> Sequence[Source]:
        return (model.starters,) if model.starters is not None else ()

    known = await queries.reader(engine.database, reader.id) if reader is not None else None
    question = Question(
        "starters",
        _reader(known) if known is not None else Reader(),
        query.limit,
        _STARTERS,
        _SPREAD_OF_STARTERS,
        asks=ask if known is None or known.enabled else None,
    )
    return written(engine, await folded_in(engine, question, reader), reader)


def _reader(known: Known) -> Reader:
    return Reader(
        ratings=tuple(map(Rating, known.books, known.stars, known.times)),
        muted=frozenset(known.muted),
        hidden=frozenset(known.hidden),
    )


async def preview(engine: Engine, query: Preview) -> Written:
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
    ratings = tuple(
        Rating(rating.book_id, rating.rating, start + dt.timedelta(seconds=place))
        for place, rating in enumerate(query.ratings)
    )
    question = Question(
        "preview",
        Reader(ratings=ratings),
        query.limit,
        _OWN,
        asks=_personal(query.diversity),
        filters=filters(diversity=query.diversity),
    )
    return written(engine, await folded_in(engine, question), None)


async def _of_genre(engine: Engine, genre: uuid.UUID) -> frozenset[uuid.UUID]:
    books = await queries.of_genre(engine.database, genre)
    if books is None:
        raise GenreNotFound
    return books
