"""What readers did with what they were shown, by the model that answered and the source of the pick."""

import datetime as dt
from typing import NamedTuple

from data.database import connect

SETTLED = dt.timedelta(days=30)
"""A pick has had its time: who has not rated the book until then has not taken it up."""

_SHOWN = """
WITH shown AS (
    SELECT p.model_name, p.model_version, k.source, p.id AS page_id, p.user_id, k.book_id, p.created_at
    FROM served_pages p JOIN served_picks k ON k.page_id = p.id
    WHERE p.created_at >= %(since)s AND p.created_at < %(until)s
), told AS (
    SELECT e.page_id, e.book_id, bool_or(e.event = 'click') AS clicked, bool_or(e.event = 'dismiss') AS dismissed
    FROM feedback_events e JOIN served_pages p ON p.id = e.page_id
    WHERE p.created_at >= %(since)s AND p.created_at < %(until)s AND e.created_at < %(until)s
    GROUP BY e.page_id, e.book_id
), looked_at AS (
    SELECT s.model_name, s.model_version, s.source, count(DISTINCT s.page_id) AS pages, count(*) AS picks,
        count(*) FILTER (WHERE t.clicked) AS clicks, count(*) FILTER (WHERE t.dismissed) AS dismisses
    FROM shown s LEFT JOIN told t USING (page_id, book_id)
    GROUP BY s.model_name, s.model_version, s.source
), offered AS (
    SELECT model_name, model_version, source, user_id, book_id, min(created_at) AS at
    FROM shown GROUP BY model_name, model_version, source, user_id, book_id
    HAVING min(created_at) < %(until)s - %(settled)s::interval
), taken_up AS (
    SELECT o.model_name, o.model_version, o.source, count(*) AS settled, count(r.rating) AS rated,
        count(*) FILTER (WHERE r.rating >= 4) AS liked
    FROM offered o LEFT JOIN reviews r ON r.user_id = o.user_id AND r.book_id = o.book_id
        AND r.created_at >= o.at AND r.created_at < o.at + %(settled)s::interval
    GROUP BY o.model_name, o.model_version, o.source
)
SELECT l.model_name, l.model_version, l.source, l.pages, l.picks, l.clicks, l.dismisses,
    coalesce(t.settled, 0), coalesce(t.rated, 0), coalesce(t.liked, 0)
FROM looked_at l LEFT JOIN taken_up t
    ON (t.model_name, t.model_version, t.source) IS NOT DISTINCT FROM (l.model_name, l.model_version, l.source)
ORDER BY l.model_name NULLS LAST, length(l.model_version) DESC, l.model_version DESC, l.picks DESC, l.source
"""


class Shown(NamedTuple):
    """One model version and source; both names are None for pages that no model had a part in.

    ``pages`` have at least one pick of the source; ``picks`` were shown on them, of which ``clicks`` and ``dismisses``
    were told. ``settled`` are pairs of reader and book first shown at least 30 days ago, of which ``rated`` were rated
    within 30 days of that moment, ``liked`` with four stars or more.
    """

    model_name: str | None
    model_version: str | None
    source: str
    pages: int
    picks: int
    clicks: int
    dismisses: int
    settled: int
    rated: int
    liked: int


def shown(url: str, since: dt.datetime, until: dt.datetime) -> list[Shown]:
    """Everything that was shown from ``since`` on and before ``until``, both aware; pages are kept for 90 days."""
    with connect(url) as connection:
        rows = connection.execute(_SHOWN, {"since": since, "until": until, "settled": SETTLED}).fetchall()
    return [Shown(*row) for row in rows]
