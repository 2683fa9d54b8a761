"""Everything the service holds about a reader, as one JSON text made by one statement: one moment, nothing torn.

Left out are the two secrets that are kept as hashes, of the password and of the refresh tokens.
"""
# ruff: noqa: S608  the statement is put together from constants of this module

from serving.kit.auth import UserId
from serving.kit.db import Runs
from serving.shapes import REVIEW_SQL, moment


def _all(entry: str, tables: str, order: str) -> str:
    return f"(SELECT coalesce(json_agg({entry} ORDER BY {order}), '[]') FROM {tables})"


def _marked(table: str) -> str:
    entry = f"json_build_object('book_id', t.book_id, 'title', b.title, 'since', {moment('t.created_at')})"
    return _all(entry, f"{table} t JOIN books b ON b.id = t.book_id WHERE t.user_id = u.id", "t.created_at, t.book_id")


_REVIEWS = _all(
    f"json_build_object('title', b.title, 'author', b.author, 'review', {REVIEW_SQL})",
    "reviews r JOIN books b ON b.id = r.book_id WHERE r.user_id = u.id",
    "r.created_at, r.id",
)
_PICKS = _all(
    "json_build_object('rank', k.rank, 'book_id', k.book_id, 'source', k.source, 'score', k.score)",
    "served_picks k WHERE k.page_id = p.id",
    "k.rank",
)
_PAGES = _all(
    f"""json_build_object('page_id', p.id, 'recommendation_type', p.recommendation_type,
    'model_name', p.model_name, 'model_version', p.model_version, 'filters', p.filters, 'degraded', p.degraded,
    'created_at', {moment("p.created_at")}, 'picks', {_PICKS})""",
    "served_pages p WHERE p.user_id = u.id",
    "p.created_at, p.id",
)
_FEEDBACK = _all(
    f"""json_build_object('page_id', e.page_id, 'book_id', e.book_id, 'event', e.event,
    'created_at', {moment("e.created_at")})""",
    "feedback_events e JOIN served_pages p ON p.id = e.page_id WHERE p.user_id = u.id",
    "e.id",
)
_REFRESHES = _all(
    f"json_build_object('created_at', {moment('t.created_at')}, 'used_at', {moment('t.used_at')})",
    "refresh_tokens t WHERE t.family_id = s.id",
    "t.created_at, t.id",
)
_SESSIONS = _all(
    f"""json_build_object('id', s.id, 'created_at', {moment("s.created_at")}, 'expires_at', {moment("s.expires_at")},
    'revoked_at', {moment("s.revoked_at")}, 'refresh_tokens', {_REFRESHES})""",
    "token_families s WHERE s.user_id = u.id",
    "s.created_at, s.id",
)
_KEYS = _all(
    f"""json_build_object('key', i.key, 'status', i.status, 'answer', i.answer,
    'created_at', {moment("i.created_at")})""",
    "idempotency_keys i WHERE i.user_id = u.id",
    "i.created_at, i.key",
)
_EXPORT = f"""
SELECT json_build_object(
    'exported_at', {moment("clock_timestamp()")},
    'profile', json_build_object(
        'id', u.id, 'email', u.email, 'first_name', u.first_name, 'last_name', u.last_name,
        'is_active', u.is_active, 'is_admin', u.is_admin, 'origin', u.origin,
        'created_at', {moment("u.created_at")}, 'updated_at', {moment("u.updated_at")}
    ),
    'reviews', {_REVIEWS},
    'favorites', {_marked("favorites")},
    'settings', json_build_object(
        'enabled', coalesce(c.enabled, true), 'diversity', c.diversity, 'updated_at', {moment("c.updated_at")}
    ),
    'muted_books', {_marked("muted_books")},
    'hidden_books', {_marked("hidden_books")},
    'served_pages', {_PAGES},
    'feedback', {_FEEDBACK},
    'sessions', {_SESSIONS},
    'idempotency_keys', {_KEYS}
)::text
FROM users u LEFT JOIN reader_settings c ON c.user_id = u.id WHERE u.id = %(user)s
"""


async def export(run: Runs, user: UserId) -> str | None:
    row = await run.row(_EXPORT, {"user": user})
    return None if row is None else str(row[0])
