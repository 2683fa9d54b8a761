"""The triggers that keep book averages, star counts and ``book_days`` in step with ``reviews``.

Statement-level with transition tables: one pass however many rows a statement writes, also for bulk loads and cascades.
They apply deltas after locking the books in the order of their ids: recounting gives wrong averages under concurrency,
and deltas without the ordered lock deadlock (docs/decisions/0001-book-averages-by-triggers.md).
"""

_STARS = range(1, 6)

# The signed changes of each event; an UPDATE takes the old row away and adds the new one.
_CHANGES = {
    "insert": "SELECT book_id, rating, created_at, 1 AS sign FROM new_rows",
    "delete": "SELECT book_id, rating, created_at, -1 AS sign FROM old_rows",
    "update": "SELECT book_id, rating, created_at, 1 AS sign FROM new_rows"
    " UNION ALL SELECT book_id, rating, created_at, -1 FROM old_rows",
}
_TRANSITIONS = {
    "insert": "NEW TABLE AS new_rows",
    "delete": "OLD TABLE AS old_rows",
    "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
}


def _function(event: str) -> str:
    stars = ", ".join(f"coalesce(sum(sign) FILTER (WHERE rating = {s}), 0)::int AS d{s}" for s in _STARS)
    total = " + ".join(f"b.stars_{s} + d.d{s}" for s in _STARS)
    points = " + ".join(f"{s} * (b.stars_{s} + d.d{s})" for s in _STARS)
    changes = _CHANGES[event]
    day = "(c.created_at AT TIME ZONE 'UTC')::date"
    return f"""
CREATE FUNCTION count_reviews_after_{event}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM books WHERE id IN (SELECT book_id FROM ({changes}) AS c) ORDER BY id FOR NO KEY UPDATE;

    UPDATE books AS b SET
        {", ".join(f"stars_{s} = b.stars_{s} + d.d{s}" for s in _STARS)},
        total_reviews = {total},
        average_rating = round(({points})::numeric / nullif({total}, 0), 2)
    FROM (SELECT book_id, {stars} FROM ({changes}) AS c GROUP BY book_id) AS d
    WHERE b.id = d.book_id AND (d.d1, d.d2, d.d3, d.d4, d.d5) <> (0, 0, 0, 0, 0);

    -- A cascade from books has already taken the book away: the join keeps its days from coming back.
    MERGE INTO book_days AS t
    USING (
        SELECT c.book_id, {day} AS day, sum(sign)::int AS n, sum(sign * rating)::int AS points
        FROM ({changes}) AS c JOIN books ON books.id = c.book_id
        GROUP BY 1, 2 HAVING sum(sign) <> 0 OR sum(sign * rating) <> 0
    ) AS d ON t.book_id = d.book_id AND t.day = d.day
    WHEN MATCHED AND t.n + d.n = 0 THEN DELETE
    WHEN MATCHED THEN UPDATE SET n = t.n + d.n, sum = t.sum + d.points
    WHEN NOT MATCHED THEN INSERT (book_id, day, n, sum) VALUES (d.book_id, d.day, d.n, d.points);
    RETURN NULL;
END $$"""


def _trigger(event: str) -> str:
    return (
        f"CREATE TRIGGER count_reviews_after_{event} AFTER {event.upper()} ON reviews "
        f"REFERENCING {_TRANSITIONS[event]} FOR EACH STATEMENT EXECUTE FUNCTION count_reviews_after_{event}()"
    )


# TRUNCATE has no transition table: it would leave the counts standing, so it is refused.
_REFUSE_TRUNCATE = """
CREATE FUNCTION refuse_truncate_of_reviews() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'reviews cannot be truncated: use DELETE, so that book averages follow';
END $$"""
_BEFORE_TRUNCATE = """
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON reviews
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate_of_reviews()"""

CREATE = (*(make(event) for event in _CHANGES for make in (_function, _trigger)), _REFUSE_TRUNCATE, _BEFORE_TRUNCATE)
DROP = (
    "DROP TRIGGER refuse_truncate ON reviews",
    "DROP FUNCTION refuse_truncate_of_reviews()",
    *(f"DROP TRIGGER count_reviews_after_{event} ON reviews" for event in _CHANGES),
    *(f"DROP FUNCTION count_reviews_after_{event}()" for event in _CHANGES),
)
