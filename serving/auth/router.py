"""HTTP of sign-up, sign-in and sessions."""

from typing import Annotated

from fastapi import Form
from starlette.responses import Response

from serving.auth import service
from serving.auth.schemas import (
    TOKENS_EXAMPLE,
    USER_EXAMPLE,
    Login,
    LoginForm,
    PasswordChange,
    Refresh,
    Registration,
    Tokens,
    User,
)
from serving.kit import errors
from serving.kit.auth import PasswordsDep, SignedIn, TokensDep
from serving.kit.db import DatabaseDep, TransactionDep
from serving.kit.docs import answers, router
from serving.kit.envelope import Envelope, example, success
from serving.kit.throttle import AttemptsDep

auth = router("/api/v1/auth", "Sign in")
BODY = (errors.BadRequest, errors.PayloadTooLarge, errors.UnsupportedMediaType, errors.Invalid)
_SIGN_IN_FAILURES = (errors.InvalidCredentials, errors.AccountDisabled, *BODY)
_TOKENS = example(TOKENS_EXAMPLE, "Signed in")


@auth.post(
    "/register",
    status_code=201,
    summary="Make an account and sign in",
    response_model=Envelope[Tokens],
    responses=answers(example(TOKENS_EXAMPLE, "Welcome"), errors.EmailTaken, *BODY, status=201),
)
async def register(draft: Registration, run: TransactionDep, passwords: PasswordsDep, tokens: TokensDep) -> Response:
    return success(await service.register(run, draft, passwords, tokens), "Welcome", status=201)


@auth.post(
    "/login",
    summary="Sign in with a form (OAuth2 password flow)",
    response_model=Envelope[Tokens],
    responses=answers({"access_token": "eyJhbGciOiJIUzI1NiIs…", "token_type": "bearer", **_TOKENS}, *_SIGN_IN_FAILURES),
)
async def login(
    form: Annotated[LoginForm, Form()],
    database: DatabaseDep,
    passwords: PasswordsDep,
    tokens: TokensDep,
    attempts: AttemptsDep,
) -> Response:
    async with attempts(form.username):
        given = await service.login(database, form.username, form.password, passwords, tokens)
    # OAuth2 clients look for these two at the top of the answer.
    beside = {name: given[name] for name in ("access_token", "token_type")}
    return success(given, "Signed in", beside=beside)


@auth.post(
    "/login/json",
    summary="Sign in",
    response_model=Envelope[Tokens],
    responses=answers(_TOKENS, *_SIGN_IN_FAILURES),
)
async def login_json(
    login: Login, database: DatabaseDep, passwords: PasswordsDep, tokens: TokensDep, attempts: AttemptsDep
) -> Response:
    async with attempts(login.email):
        given = await service.login(database, login.email, login.password, passwords, tokens)
    return success(given, "Signed in")


@auth.post(
    "/refresh",
    summary="Trade a refresh token for new tokens",
    description="A refresh token works once. Using it again ends the session with all its tokens.",
    response_model=Envelope[Tokens],
    responses=answers(
        example(TOKENS_EXAMPLE, "Session renewed"),
        errors.Unauthorized,
        errors.TokenExpired,
        errors.TokenReused,
        errors.AccountDisabled,
        *BODY,
    ),
)
async def refresh(body: Refresh, database: DatabaseDep, tokens: TokensDep) -> Response:
    return success(await service.refresh(database, body.refresh_token, tokens), "Session renewed")


@auth.post(
    "/logout",
    summary="Sign out",
    description="All tokens of this session stop working at once.",
    response_model=Envelope[None],
    responses=answers(example(None, "Signed out"), errors.Unauthorized, errors.TokenExpired),
)
async def logout(reader: SignedIn, run: TransactionDep) -> Response:
    await service.logout(run, reader.session)
    return success(None, "Signed out")


@auth.post(
    "/change-password",
    summary="Change my password",
    description="Every other session is ended. Use the new tokens from here on.",
    response_model=Envelope[Tokens],
    responses=answers(
        example(TOKENS_EXAMPLE, "Password changed"),
        errors.Unauthorized,
        errors.TokenExpired,
        errors.AccountDisabled,
        errors.WrongPassword,
        *BODY,
    ),
)
async def change_password(
    change: PasswordChange, reader: SignedIn, database: DatabaseDep, passwords: PasswordsDep, tokens: TokensDep
) -> Response:
    return success(await service.change_password(database, reader, change, passwords, tokens), "Password changed")


@auth.get(
    "/me",
    summary="Who am I?",
    response_model=Envelope[User],
    responses=answers(
        example(USER_EXAMPLE, "You are signed in"), errors.Unauthorized, errors.TokenExpired, errors.AccountDisabled
    ),
)
async def me(reader: SignedIn) -> Response:
    return success(service.shown(reader), "You are signed in")
