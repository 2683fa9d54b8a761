"""Books like a book."""

import uuid
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from models.chain import Source
from models.engine import Engine as Model
from models.reader import Pick, Reader
from models.sources import Similar
from serving.kit.auth import CurrentReader
from serving.kit.errors import BookNotFound, GenreNotFound
from serving.recommendations import shelf_queries
from serving.recommendations.engine import Asks, Engine, Explanation, Question, Written, filters, folded_in, written
from serving.recommendations.rankings import Beside

_EXPLAINED: Final = Explanation(
    "Books that readers like together with this one, or that have its author, series or genres",
    "Books of the same author, series or genres",
)


@dataclass(frozen=True)
class _Like:
    """What the model says is like a book: nothing when it does not know the book."""

    model: Model
    book: uuid.UUID
    name: str = Similar.name

    def picks(self, reader: Reader, n: int, within: AbstractSet[uuid.UUID] | None = None) -> list[Pick]:
        return self.model.similar_to(self.book, n, reader, within)


def _like(book: uuid.UUID) -> Asks:
    def ask(model: Model) -> Sequence[Source]:
        return (_Like(model, book),)

    return ask


async def similar(
    engine: Engine, reader: CurrentReader | None, book: uuid.UUID, limit: int, genre: uuid.UUID | None = None
) -> Written:
    """What the model finds; where that leaves room, what shares author, series or genres with the book.

    Raises:
        BookNotFound.
        GenreNotFound.
    """
    asked = await shelf_queries.about(engine.database, book, genre, reader.id if reader is not None else None)
    if genre is not None and asked.of_genre is None:
        raise GenreNotFound
    if not asked.is_there:
        raise BookNotFound
    question = Question(
        "similar",
        Reader(hidden=frozenset(asked.barred) | {book}),
        limit,
        _EXPLAINED,
        Beside(book, genre),
        None if asked.of_genre is None else frozenset(asked.of_genre),
        asks=_like(book),
        filters=filters(book_id=book, genre_id=genre),
    )
    return written(engine, await folded_in(engine, question, reader), reader)
