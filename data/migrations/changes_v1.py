"""The triggers that tell the lake what changed since it was last extracted.

A row carries the number of the transaction that wrote it last, not a time: of two transactions the one that began first
may commit last, and an extraction between the two would never see what it wrote. Deletions leave the key behind.
docs/decisions/0008-the-lake-follows-transactions.md
"""

WATCHED = ("reviews", "favorites", "served_pages", "feedback_events")  # the tables with ``changed_in``

# What a deleted row leaves behind: columns of ``tombstones``, and where they come from.
_GONE = {
    "reviews": ("user_id, book_id", "user_id, book_id FROM old_rows"),
    "favorites": ("user_id, book_id", "user_id, book_id FROM old_rows"),
    "served_pages": ("user_id, page_id", "user_id, id FROM old_rows"),
    # Where the page itself is gone there is nothing to join: its own tombstone speaks for what was on it.
    "served_picks": (
        "user_id, page_id, book_id",
        "p.user_id, o.page_id, o.book_id FROM old_rows AS o JOIN served_pages AS p ON p.id = o.page_id",
    ),
    "feedback_events": (
        "user_id, page_id, event_id",
        "p.user_id, o.page_id, o.id FROM old_rows AS o JOIN served_pages AS p ON p.id = o.page_id",
    ),
}
_KEYED_BY_BOOK = ("reviews", "favorites")
# Reviews cannot be truncated, and the pages' other tables only together with them.
_TRUNCATED = ("favorites", "served_pages", "served_picks", "feedback_events", "tombstones")


def _function(name: str, body: str) -> str:
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"


def _trigger(name: str, event: str, of: str) -> str:
    return f"CREATE TRIGGER {name} {event} EXECUTE FUNCTION {of}()"


_EACH_ROW, _STATEMENT = "FOR EACH ROW", "FOR EACH STATEMENT"
_DELETED = "REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT"
_MARK = "new.changed_in := pg_current_xact_id(); RETURN new;"
_BURY_OLD_KEY = """
INSERT INTO tombstones (of, user_id, book_id) VALUES (tg_table_name, old.user_id, old.book_id);
RETURN NULL;"""
# Whoever throws tombstones away, the sweeper or a hand: in the same transaction it is known up to where. A number that
# this server has not reached came with a dump of another, and says nothing here.
_FORGET = """
UPDATE tombstone_horizon SET forgotten = greatest(
    CASE WHEN forgotten <= pg_current_xact_id() THEN forgotten END,
    (SELECT max(deleted_in) FROM old_rows WHERE deleted_in <= pg_current_xact_id()),
    '0'::xid8
) WHERE EXISTS (SELECT FROM old_rows);
RETURN NULL;"""
_FORGET_ALL = "UPDATE tombstone_horizon SET forgotten = pg_current_xact_id(); RETURN NULL;"


def _bury(table: str) -> tuple[str, str]:
    columns, rows = _GONE[table]
    body = f"INSERT INTO tombstones (of, {columns}) SELECT '{table}', {rows}; RETURN NULL;"
    return (
        _function(f"bury_{table}", body),
        _trigger("bury", f"AFTER DELETE ON {table} {_DELETED}", f"bury_{table}"),
    )


def _rekey(table: str) -> str:
    """A row that goes over to another reader or book is gone from where it was."""
    other = "WHEN ((old.user_id, old.book_id) IS DISTINCT FROM (new.user_id, new.book_id))"
    return _trigger("bury_old_key", f"AFTER UPDATE ON {table} {_EACH_ROW} {other}", "bury_old_key")


CREATE = (
    _function("mark_change", _MARK),
    _function("bury_old_key", _BURY_OLD_KEY),
    _function("forget_tombstones", _FORGET),
    _function("forget_all_tombstones", _FORGET_ALL),
    _trigger("forget", f"AFTER DELETE ON tombstones {_DELETED}", "forget_tombstones"),
    *(_trigger("mark_change", f"BEFORE UPDATE ON {table} {_EACH_ROW}", "mark_change") for table in WATCHED),
    *(statement for table in _GONE for statement in _bury(table)),
    *(_rekey(table) for table in _KEYED_BY_BOOK),
    *(
        _trigger("forget_all", f"AFTER TRUNCATE ON {table} {_STATEMENT}", "forget_all_tombstones")
        for table in _TRUNCATED
    ),
)
DROP = (
    *(f"DROP TRIGGER forget_all ON {table}" for table in _TRUNCATED),
    *(f"DROP TRIGGER bury_old_key ON {table}" for table in _KEYED_BY_BOOK),
    *(f"DROP TRIGGER bury ON {table}" for table in _GONE),
    *(f"DROP TRIGGER mark_change ON {table}" for table in WATCHED),
    "DROP TRIGGER forget ON tombstones",
    "DROP FUNCTION mark_change()",
    "DROP FUNCTION bury_old_key()",
    "DROP FUNCTION forget_tombstones()",
    "DROP FUNCTION forget_all_tombstones()",
    *(f"DROP FUNCTION bury_{table}()" for table in _GONE),
)
