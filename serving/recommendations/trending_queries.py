"""What is rated more than its own past let expect, in Postgres."""
# ruff: noqa: S608  the statement is put together from constants of this package; arguments travel as parameters

import uuid
from typing import Final

from serving.kit.db import Runs
from serving.recommendations.queries import PRIOR

SHORTEST_PAST, LONGEST_PAST = 84, 730  # days; between them the past is three times the window
STEADIEST: Final = 25.0  # ratings: however long its past, a book's pace wanders by a fifth (1 / √25) by itself
BURST_AT_MOST: Final = 1.0  # deviations that a flagged burst counts
CLEARLY_LESS: Final = -1.0

# Both parts of `counted` come from one pass over ix_book_days_day_book_id, which starts at the past's first day: what
# lies before costs nothing, and of the books only those that may be listed are looked at one by one. The rest is
# materialized because Postgres would write each formula out wherever it is used, and compute it as often.
_RISING: Final = f"""
WITH span AS (
    SELECT (statement_timestamp() AT TIME ZONE 'UTC')::date - %(days_back)s::int AS start
),
counted AS MATERIALIZED (
    SELECT d.book_id AS id,
           coalesce(sum(d.n) FILTER (WHERE d.day >= (SELECT start FROM span)), 0)::float8 AS n,
           coalesce(sum(d.sum) FILTER (WHERE d.day >= (SELECT start FROM span)), 0)::float8 AS points,
           coalesce(sum(d.n) FILTER (WHERE d.day < (SELECT start FROM span)), 0)::float8 AS past
    FROM book_days d WHERE d.day >= (SELECT start FROM span) - %(past_days)s::int
    GROUP BY d.book_id
),
library AS MATERIALIZED (
    SELECT coalesce(sum(past) / nullif(sum(n), 0), 0) AS windows,
           percentile_disc(0.5) WITHIN GROUP (ORDER BY n) FILTER (WHERE n > 0) AS typical
    FROM counted
),
prior AS ({PRIOR}),
known AS MATERIALIZED (
    SELECT c.id, c.n, c.past, l.typical,
           l.windows * least(1, greatest(0, (s.start - f.day)::float8 / %(past_days)s::int)) AS windows,
           ((c.points + p.weight * p.mean) / (c.n + p.weight) - 1) / 4 AS liking,
           coalesce((SELECT is_burst FROM book_statistics t WHERE t.book_id = c.id), false) AS is_burst
    FROM counted c CROSS JOIN library l CROSS JOIN prior p CROSS JOIN span s
    CROSS JOIN LATERAL (SELECT min(day) AS day FROM book_days WHERE book_id = c.id) AS f
    WHERE c.n >= greatest(%(min_reviews)s, 1)
),
judged AS MATERIALIZED (
    SELECT id, n, past, liking, is_burst, x / greatest(windows, 1) AS mean, greatest(2, least(x, {STEADIEST})) AS k
    FROM known CROSS JOIN LATERAL (SELECT past + 0.5 + typical * greatest(0, 1 - windows) AS x) AS filled
),
surprising AS MATERIALIZED (
    SELECT id, past, liking, is_burst,
           2 * sqrt(k - 0.5) * (asinh(sqrt((n + 0.375) / (k - 0.75))) - asinh(sqrt((mean + 0.375) / (k - 0.75)))) AS z
    FROM judged
),
weighed AS (
    SELECT id, CASE WHEN z <= 0 THEN z WHEN is_burst THEN liking * least(z, {BURST_AT_MOST}) ELSE liking * z END AS w
    FROM surprising WHERE z > {CLEARLY_LESS} OR past = 0
)
SELECT id, ((1 + w / (1 + abs(w))) / 2)::float8 AS score FROM weighed ORDER BY score DESC, id LIMIT %(depth)s
"""


async def rising(run: Runs, *, days_back: int, min_reviews: int, depth: int) -> list[tuple[uuid.UUID, float]]:
    """Books that are rated more than their own past let expect, the most surprising first, with scores in 0..1.

    A book's ratings in the window are Poisson with a rate of its own, and the rate has a Gamma prior, so that given the
    past the window's count is negative binomial (Gelman et al., Bayesian Data Analysis, 3rd ed., sections 2.6 to 2.8).
    With x ratings in a past as long as e windows, and m the median count of the books that were rated in the window:

        h = max(0, 1 - e): what is missing of a past as long as the window is filled with the typical book's
        expected μ = (x + 1/2 + h m) / (e + h), of shape k = x + 1/2 + h m, bounded to 2..25
        z = 2 √(k - 1/2) (asinh √((n + 3/8) / (k - 3/4)) - asinh √((μ + 3/8) / (k - 3/4)))

    z is in standard deviations however few or many the ratings are (Anscombe, 1948, "The transformation of Poisson,
    binomial and negative-binomial data", Biometrika 35); (n - μ) / √μ would fill the list with books that went from
    none to three. e is counted in the library's ratings and not in days, so that a busy month is no rise of every book,
    and from the book's first rating, so that a new book is compared with the typical one. The 25 is ours: without it,
    an ordinary month of a book with thousands of ratings would be a sensation.

    The order is by z times the window's shrunken mean stars (on 0..1, as in ``queries.ranking``): a book that everybody
    is angry about is no recommendation. A book that the pipeline flagged for a burst counts at most one deviation until
    the flag is gone: a week like that may be a campaign. Books that are clearly below their own past (z ≤ -1) are left
    out. The score is (1 + w / (1 + |w|)) / 2, where w is what the order is by: one half means as expected.

    Args:
        run: Where the statement runs.
        days_back: Length of the window in days, > 0; today counts beside.
        min_reviews: Ratings that a book must have in the window.
        depth: Books at most.
    """
    past_days = min(max(3 * days_back, SHORTEST_PAST), LONGEST_PAST)
    rows = await run.rows(
        _RISING, {"days_back": days_back, "past_days": past_days, "min_reviews": min_reviews, "depth": depth}
    )
    return [(row[0], float(row[1])) for row in rows]
