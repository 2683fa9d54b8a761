"""The same request sent twice gets the same answer: ``Idempotency-Key``.

The key's row is written first, in the request's own transaction. A second request with the key waits for that row until
the first has ended, and then finds its answer; if the first failed, nothing is left of it and the second does the work.
"""

import hashlib
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final, NamedTuple

import orjson
import psycopg
from fastapi import Header

from serving.kit.auth import UserId
from serving.kit.db import Database, Transaction, violated
from serving.kit.errors import ApiError, Detail, IdempotencyConflict, Unauthorized

KEPT: Final = "interval '24 hours'"

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
        description="Made by the client, 1 to 255 printable characters, kept 24 hours: the same request sent again with"
        " the same key gets the answer that the first one got",
        examples=["5d0c1c9e-6a0e-4f1b-9d1c-0f7d5a7e2b11"],
    ),
]

# An expired key is free again, also when it has not been swept out yet (kit.sweep).
_CLAIM = f"""
INSERT INTO idempotency_keys AS k (user_id, key, request_hash, status, answer)
VALUES (%(user)s, %(key)s, %(request_hash)s, 0, 'null')
ON CONFLICT (user_id, key) DO UPDATE
SET request_hash = excluded.request_hash, status = 0, answer = 'null', created_at = clock_timestamp()
WHERE k.created_at < clock_timestamp() - {KEPT}
RETURNING true
"""  # noqa: S608  a constant of this module
_KEEP = """
UPDATE idempotency_keys SET status = %(status)s, answer = %(answer)s::jsonb WHERE user_id = %(user)s AND key = %(key)s
"""
_FIND = """
SELECT request_hash, status, (answer -> 'data')::text, answer ->> 'code', answer -> 'details'
FROM idempotency_keys WHERE user_id = %(user)s AND key = %(key)s
"""


class Answer(NamedTuple):
    status: int
    data: orjson.Fragment


@dataclass(frozen=True, slots=True)
class Asked:
    """What a reader asks under a key. ``request_hash``: SHA-256 of the operation and all its input."""

    user: UserId
    key: str
    request_hash: bytes


def asked(user: UserId, key: str, operation: str, *given: uuid.UUID | str | int | None) -> Asked:
    return Asked(user, key, hashlib.sha256(orjson.dumps([operation, *given])).digest())


async def once(
    database: Database,
    asking: Asked,
    status: int,
    work: Callable[[Transaction], Awaitable[orjson.Fragment]],
    refusals: tuple[type[ApiError], ...],
) -> Answer:
    """The answer of ``work``, or the one that this request got before.

    Args:
        database: Where the work is done: in one transaction with the key.
        asking: Who asks for what under which key.
        status: Of a success.
        work: Gives ``data`` of the envelope.
        refusals: What ``work`` may raise as its final answer; kept like a success. Any other failure frees the key.

    Raises:
        IdempotencyConflict: the key was used for another request; Unauthorized: the account is gone; ``refusals``.
    """

    async def attempt(run: Transaction) -> Answer | ApiError:
        if not await _claim(run, asking):
            return await _found(run, asking, refusals)
        outcome: Answer | ApiError
        try:
            async with run.attempt():
                outcome = Answer(status, await work(run))
        except refusals as refusal:
            outcome = refusal
        await _keep(run, asking, outcome)
        return outcome

    outcome = await database.all_or_none(attempt)
    if isinstance(outcome, ApiError):  # raised only here, so that the kept refusal is committed
        raise outcome
    return outcome


async def _claim(run: Transaction, asking: Asked) -> bool:
    """Whether the key is free. Waits while another request is at work under it."""
    asked_for = {"user": asking.user, "key": asking.key, "request_hash": asking.request_hash}
    try:
        return bool(await run.rows(_CLAIM, asked_for))
    except psycopg.errors.ForeignKeyViolation as exc:
        if violated(exc, "fk_idempotency_keys_user_id_users"):
            raise Unauthorized from exc  # the account was deleted a moment ago
        raise


async def _keep(run: Transaction, asking: Asked, outcome: Answer | ApiError) -> None:
    if isinstance(outcome, ApiError):
        answer: dict[str, object] = {"code": outcome.code, "details": [detail._asdict() for detail in outcome.details]}
    else:
        answer = {"data": outcome.data}
    await run.rows(
        _KEEP,
        {
            "user": asking.user,
            "key": asking.key,
            "status": outcome.status,
            "answer": orjson.dumps(answer).decode(),
        },
    )


async def _found(run: Transaction, asking: Asked, refusals: tuple[type[ApiError], ...]) -> Answer | ApiError:
    rows = await run.rows(_FIND, {"user": asking.user, "key": asking.key})
    request_hash, status, data, code, details = rows[0]  # the claim that failed has locked it: nobody sweeps it now
    if request_hash != asking.request_hash:
        return IdempotencyConflict()
    if data is not None:
        return Answer(status, orjson.Fragment(data))
    kept = next(refusal for refusal in refusals if refusal.code == code)
    return kept([Detail(**detail) for detail in details])
