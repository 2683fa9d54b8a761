"""HTTP of recommendations."""

from typing import Annotated, cast

from fastapi import Depends, Query, Request
from starlette.responses import Response

from serving.kit import errors
from serving.kit.auth import OPTIONAL_IN_DOCS, OptionalReader, SignedIn
from serving.kit.docs import answers, router
from serving.kit.envelope import Envelope, example, success
from serving.recommendations import service
from serving.recommendations.schemas import PersonalQuery, Picks, PopularQuery, Preview, picks_example
from serving.recommendations.service import Engine

recommendations = router("/api/v1/recommendations", "Recommendations")
_TOKEN_FAILURES = (errors.Unauthorized, errors.TokenExpired, errors.AccountDisabled)


async def _engine(request: Request) -> Engine:
    return cast("Engine", request.app.state.engine)


EngineDep = Annotated[Engine, Depends(_engine)]


@recommendations.get(
    "/popular",
    summary="What most readers like",
    description="No older than 60 seconds. A signed-in reader does not see the books that they have hidden.",
    response_model=Envelope[Picks],
    openapi_extra=OPTIONAL_IN_DOCS,
    responses=answers(
        example(picks_example("popular", "popular", signed_in=False), "Popular books"),
        *_TOKEN_FAILURES,
        errors.GenreNotFound,
        errors.Invalid,
    ),
)
async def recommend_popular(
    query: Annotated[PopularQuery, Query()], reader: OptionalReader, engine: EngineDep
) -> Response:
    return success(await service.popular(engine, reader, query), "Popular books")


@recommendations.get(
    "/personal",
    summary="Books for me, and why",
    description="A book that was rated a moment ago counts already. Each pick names the books of yours that led to it.",
    response_model=Envelope[Picks],
    responses=answers(
        example(picks_example("personal", "taste", signed_in=True), "Books for you"),
        *_TOKEN_FAILURES,
        errors.GenreNotFound,
        errors.Invalid,
    ),
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
