"""How much readers have written since a moment, asked so cheaply that it may be asked every few minutes."""

import datetime as dt
from typing import NamedTuple

from data.database import connect

# Counts no further than it must, along ix_reviews_updated_at_id: as many steps as there are new ratings, never more
# than ``at_most``, however large the library is.
_SINCE = """
SELECT count(*), clock_timestamp()
FROM (SELECT FROM reviews WHERE updated_at > %s ORDER BY updated_at LIMIT %s) AS newest
"""


class Arrived(NamedTuple):
    """Ratings made or changed, at most as many as were asked for; and the server's clock when it counted."""

    ratings: int
    until: dt.datetime


def ratings_since(url: str, since: dt.datetime, at_most: int) -> Arrived:
    """How many ratings readers made or changed after ``since``, which is aware.

    What `brs load` brings keeps its own times, and is not counted when they are older.
    """
    with connect(url, autocommit=True) as connection:
        row = connection.execute(_SINCE, (since, at_most)).fetchone()
    if row is None:
        raise RuntimeError("Postgres has counted nothing")
    return Arrived(int(row[0]), row[1])
