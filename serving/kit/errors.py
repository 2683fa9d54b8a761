"""Failures that a client sees. Services raise them; one handler (``kit.failures``) renders them."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple


class Detail(NamedTuple):
    """One thing to correct. ``message`` and ``code`` never repeat what the caller sent."""

    field: str
    message: str
    code: str


class ApiError(Exception):
    """A refusal with its status, its code and a sentence for a person."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL_ERROR"
    message: ClassVar[str] = "Something went wrong on our side"
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, details: Sequence[Detail] = ()) -> None:
        super().__init__(self.message)
        self.details = tuple(details)


class BadRequest(ApiError):
    status, code, message = 400, "BAD_REQUEST", "The request cannot be read"


class BadHost(BadRequest):
    message = "This service does not answer to that host name"


class Unauthorized(ApiError):
    status, code, message = 401, "UNAUTHORIZED", "Please sign in"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class InvalidCredentials(Unauthorized):
    code, message = "INVALID_CREDENTIALS", "E-mail or password is wrong"


class TokenExpired(Unauthorized):
    code, message = "TOKEN_EXPIRED", "This token has expired"


class TokenReused(Unauthorized):
    code, message = "TOKEN_REUSED", "This refresh token was used before; the session has been ended"


class Forbidden(ApiError):
    status, code, message = 403, "FORBIDDEN", "You may not do this"


class AccountDisabled(Forbidden):
    code, message = "ACCOUNT_DISABLED", "This account is disabled"


class WrongPassword(Forbidden):
    """Of a reader who is signed in: 401 would tell the client that its token is bad."""

    code, message = "INVALID_CREDENTIALS", "The password is wrong"


class NotFound(ApiError):
    status, code, message = 404, "NOT_FOUND", "There is nothing at this address"


class BookNotFound(NotFound):
    code, message = "BOOK_NOT_FOUND", "There is no such book"


class ReviewNotFound(NotFound):
    code, message = "REVIEW_NOT_FOUND", "There is no such review"


class NotRated(ReviewNotFound):
    message = "You have not rated this book"


class PageNotFound(NotFound):
    message = "There is no such page of yours, or this book is not on it"


class GenreNotFound(NotFound):
    code, message = "GENRE_NOT_FOUND", "There is no such genre"


class MethodNotAllowed(ApiError):
    status, code, message = 405, "METHOD_NOT_ALLOWED", "This address does not take that method"


class Conflict(ApiError):
    status, code, message = 409, "CONFLICT", "This conflicts with what is stored"


class EmailTaken(Conflict):
    code, message = "EMAIL_TAKEN", "An account with this e-mail exists already"


class DuplicateReview(Conflict):
    code, message = "DUPLICATE_REVIEW", "You have reviewed this book already"


class IsbnTaken(Conflict):
    code, message = "ISBN_TAKEN", "Another book has this ISBN already"


class GenreNameTaken(Conflict):
    code, message = "GENRE_NAME_TAKEN", "Another genre has this name already"


class IdempotencyConflict(Conflict):
    code, message = "IDEMPOTENCY_CONFLICT", "This Idempotency-Key was used for another request"


class PayloadTooLarge(ApiError):
    status, code, message = 413, "PAYLOAD_TOO_LARGE", "The request is too large"


class UnsupportedMediaType(ApiError):
    status, code, message = 415, "UNSUPPORTED_MEDIA_TYPE", "This address does not take that media type"


class Invalid(ApiError):
    """Input that was understood and is refused; ``details`` names the fields."""

    status, code, message = 422, "VALIDATION_ERROR", "Please correct the highlighted fields"


class RateLimitExceeded(ApiError):
    """``Retry-After`` and the ``X-RateLimit-`` headers are added by ``kit.throttle``."""

    status, code, message = 429, "RATE_LIMIT_EXCEEDED", "Too many requests; please wait"


class BurstLimitExceeded(RateLimitExceeded):
    code, message = "BURST_LIMIT_EXCEEDED", "Too many requests at once; please slow down"


class ServiceUnavailable(ApiError):
    status, code, message = 503, "SERVICE_UNAVAILABLE", "The service cannot answer right now; please try again"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}
