"""HTTP of recommendations."""

import uuid
from typing import Annotated, Any, Final, cast

from fastapi import Depends, Query, Request
from starlette.responses import Response

from serving.kit import errors
from serving.kit.auth import OPTIONAL_IN_DOCS, OptionalReader, SignedIn
from serving.kit.docs import answers, router
from serving.kit.envelope import Envelope, example, success
from serving.recommendations import service, similar
from serving.recommendations.engine import Engine
from serving.recommendations.schemas import (
    DiversityQuery,
    GenreQuery,
    Kind,
    PersonalQuery,
    Picks,
    PopularQuery,
    Preview,
    SimilarQuery,
    StartersQuery,
    TrendingQuery,
    picks_example,
)

recommendations = router("/api/v1/recommendations", "Recommendations")
beside_books = router("/api/v1/books", "Recommendations")
_TOKEN_FAILURES = (errors.Unauthorized, errors.TokenExpired, errors.AccountDisabled)


def _told(
    kind: Kind, source: str, message: str, *refusals: type[errors.ApiError], signed_in: bool = False
) -> dict[int | str, dict[str, Any]]:
    """What every list answers whose reader is or may be signed in."""
    shown = example(picks_example(kind, source, signed_in=signed_in), message)
    return answers(shown, *_TOKEN_FAILURES, *refusals, errors.Invalid)


async def _engine(request: Request) -> Engine:
    return cast("Engine", request.app.state.engine)


EngineDep = Annotated[Engine, Depends(_engine)]


_AGE: Final = (
    "No older than 60 seconds. In a library so large that computing it takes long, an older one (of the last hour)"
    " answers while a new one is computed: `generated_at` says of when it is."
)


@recommendations.get(
    "/popular",
    summary="What most readers like",
    description=f"{_AGE} A signed-in reader does not see the books that they have hidden.",
    response_model=Envelope[Picks],
    openapi_extra=OPTIONAL_IN_DOCS,
    responses=_told("popular", "popular", "Popular books", errors.GenreNotFound),
)
async def recommend_popular(
    query: Annotated[PopularQuery, Query()], reader: OptionalReader, engine: EngineDep
) -> Response:
    return success(await service.popular(engine, reader, query), "Popular books")


@recommendations.get(
    "/trending",
    summary="What is rated more than its own past let expect",
    description=f"{_AGE} A book that has always been read much is not trending; one that is suddenly read more"
    " is. A signed-in reader does not see the books that they have hidden.",
    response_model=Envelope[Picks],
    openapi_extra=OPTIONAL_IN_DOCS,
    responses=_told("trending", "trending", "Trending books"),
)
async def recommend_trending(
    query: Annotated[TrendingQuery, Query()], reader: OptionalReader, engine: EngineDep
) -> Response:
    return success(await service.trending(engine, reader, query), "Trending books")


@recommendations.get(
    "/genre/{genre_id}",
    summary="Books of a genre",
    description="What many readers rate highly. A signed-in reader does not see the books that they have hidden, nor"
    " (unless `exclude_user_books` is false) those that they have rated; then their own taste comes first.",
    response_model=Envelope[Picks],
    openapi_extra=OPTIONAL_IN_DOCS,
    responses=_told("genre", "genres", "Books of this genre", errors.GenreNotFound),
)
async def recommend_genre(
    genre_id: uuid.UUID, query: Annotated[GenreQuery, Query()], reader: OptionalReader, engine: EngineDep
) -> Response:
    return success(await service.of_genre(engine, reader, genre_id, query), "Books of this genre")


@recommendations.get(
    "/genre/{genre_id}/similar-to/{book_id}",
    summary="Books of a genre that are like a book",
    description="The book itself may be of another genre. A signed-in reader does not see what they have rated or"
    " hidden.",
    response_model=Envelope[Picks],
    openapi_extra=OPTIONAL_IN_DOCS,
    responses=_told(
        "similar", "similar", "Books of this genre like this book", errors.GenreNotFound, errors.BookNotFound
    ),
)
async def recommend_similar_of_genre(
    genre_id: uuid.UUID,
    book_id: uuid.UUID,
    query: Annotated[SimilarQuery, Query()],
    reader: OptionalReader,
    engine: EngineDep,
) -> Response:
    return success(
        await similar.similar(engine, reader, book_id, query.limit, genre_id), "Books of this genre like this book"
    )


@beside_books.get(
    "/{book_id}/similar",
    summary="Books like a book",
    description="What readers like together with it; for a book that few have rated, what has its author, series or"
    " genres. A signed-in reader does not see what they have rated or hidden.",
    response_model=Envelope[Picks],
    openapi_extra=OPTIONAL_IN_DOCS,
    responses=_told("similar", "similar", "Books like this one", errors.BookNotFound),
)
async def recommend_similar(
    book_id: uuid.UUID, query: Annotated[SimilarQuery, Query()], reader: OptionalReader, engine: EngineDep
) -> Response:
    return success(await similar.similar(engine, reader, book_id, query.limit), "Books like this one")


@recommendations.get(
    "/diversity",
    summary="Books from several genres, turn by turn",
    description="For a signed-in reader their own taste, from the genres that their ratings speak for; for everybody"
    " else popular books from the genres that are read most. No book comes twice.",
    response_model=Envelope[Picks],
    openapi_extra=OPTIONAL_IN_DOCS,
    responses=_told("diversity", "taste", "Books from several genres", signed_in=True),
)
async def recommend_diversity(
    query: Annotated[DiversityQuery, Query()], reader: OptionalReader, engine: EngineDep
) -> Response:
    return success(await service.across_genres(engine, reader, query), "Books from several genres")


@recommendations.get(
    "/starters",
    summary="Books to rate first",
    description="Those whose ratings would tell most about a new reader, given what they have rated already.",
    response_model=Envelope[Picks],
    openapi_extra=OPTIONAL_IN_DOCS,
    responses=_told("starters", "starters", "Books to rate first"),
)
async def recommend_starters(
    query: Annotated[StartersQuery, Query()], reader: OptionalReader, engine: EngineDep
) -> Response:
    return success(await service.starters(engine, reader, query), "Books to rate first")


@recommendations.get(
    "/personal",
    summary="Books for me, and why",
    description="A book that was rated a moment ago counts already. Each pick names the books of yours that led to it.",
    response_model=Envelope[Picks],
    responses=_told("personal", "taste", "Books for you", errors.GenreNotFound, signed_in=True),
)
async def recommend_personal(query: Annotated[PersonalQuery, Query()], reader: SignedIn, engine: EngineDep) -> Response:
    return success(await service.personal(engine, reader, query), "Books for you")


@recommendations.post(
    "/preview",
    summary="Books for somebody without an account",
    description="What would be recommended to a reader of these books. Nothing is stored.",
    response_model=Envelope[Picks],
    responses=answers(
        example(picks_example("preview", "taste", signed_in=False), "Books for these ratings"),
        errors.BadRequest,
        errors.PayloadTooLarge,
        errors.UnsupportedMediaType,
        errors.Invalid,
    ),
)
async def recommend_preview(query: Preview, engine: EngineDep) -> Response:
    return success(await service.preview(engine, query), "Books for these ratings")
