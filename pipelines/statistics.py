"""What ratings say about books, genres and authors: shrunken means with intervals, velocity, trend, bursts.

Polars in, polars out. The ratings are read once, for the counts of each book; all else follows from those.
"""

import datetime as dt
import math
from dataclasses import dataclass

import polars as pl

RECENT_DAYS = 28  # velocity and trend look at these
PAST_DAYS = 84  # and compare with the book's own past before them
BURST_DAYS = 7
BURST_RATINGS = 10  # fewer in a week are never a burst
BURST_SCORE = 5.0  # standard deviations: one book in three million by chance
LOWEST, HIGHEST = 1.0, 5.0
NORMAL_95 = 1.959963984540054  # the standard normal's 97.5 % point
LIGHTEST, HEAVIEST = 1.0, 1000.0  # a prior's weight, in ratings
STARS = range(1, 6)


@dataclass(frozen=True)
class Prior:
    """An unknown book has ``mean`` stars, worth ``weight`` ratings; ratings of one book scatter by ``deviation``."""

    mean: float
    weight: float
    deviation: float


# Before anybody has rated anything: the middle of the scale, given up quickly, with the scatter of a uniform 1..5.
UNKNOWN = Prior(3.0, LIGHTEST, math.sqrt(2.0))


def book_counts(ratings: pl.LazyFrame, as_of: dt.datetime) -> pl.DataFrame:
    """One row a rated book, sorted by ``book_id``: n, stars_1 … stars_5, first_at, last_at, and counts in windows.

    Windows end at ``as_of`` (their end belongs to them): ``recent`` the last 28 days, ``past`` the 84 before those,
    ``week`` the last 7, ``before_week`` the 84 before those.
    """

    def within(start: int, end: int) -> pl.Expr:
        at = pl.col("created_at")
        newest, oldest = as_of - dt.timedelta(days=start), as_of - dt.timedelta(days=end)
        return ((at > oldest) & (at <= newest)).sum().cast(pl.Int64)

    return (
        ratings.group_by("book_id")
        .agg(
            n=pl.len().cast(pl.Int64),
            **{f"stars_{stars}": (pl.col("rating") == stars).sum().cast(pl.Int64) for stars in STARS},
            first_at=pl.col("created_at").min(),
            last_at=pl.col("created_at").max(),
            recent=within(0, RECENT_DAYS),
            past=within(RECENT_DAYS, RECENT_DAYS + PAST_DAYS),
            week=within(0, BURST_DAYS),
            before_week=within(BURST_DAYS, BURST_DAYS + PAST_DAYS),
        )
        .sort("book_id")
        .collect(engine="streaming")
    )


def estimate_prior(counts: pl.DataFrame) -> Prior:
    """Empirical Bayes: the prior that the library's own books (or authors, or genres) were drawn from.

    ``counts``: n and stars_1 … stars_5 of each, n > 0.

    The non-parametric estimators of Bühlmann & Straub, "Glaubwürdigkeit für Schadensätze" (1970), with ratings as
    observations and books as risks, N ratings of B books, n_b and m_b a book's number and mean:
    within  s² = Σ_b Σ_i (x_bi - m_b)² / (N - B);
    between t² = (Σ_b n_b (m_b - m)² - (B - 1) s²) / (N - Σ_b n_b² / N);
    weight = s² / t²; mean = Σ z_b m_b / Σ z_b with z_b = n_b / (n_b + weight).
    The weight is kept within 1 … 1000: where books do not differ measurably (t² ≤ 0) it would be infinite.
    """
    n = counts["n"].to_numpy().astype(float)
    stars = counts.select(f"stars_{s}" for s in STARS).to_numpy().astype(float)
    total, books = n.sum(), len(n)
    if books == 0:
        return UNKNOWN
    values = stars @ list(STARS)
    means, squares = values / n, stars @ [s * s for s in STARS]
    within = squares.sum() - (n * means**2).sum()
    spread = within / (total - books) if total > books else UNKNOWN.deviation**2
    grand = values.sum() / total
    denominator = total - (n**2).sum() / total
    between = ((n * (means - grand) ** 2).sum() - (books - 1) * spread) / denominator if books > 1 else 0.0
    weight = min(max(spread / between, LIGHTEST), HEAVIEST) if between > 0 else HEAVIEST
    credibility = n / (n + weight)
    mean = float((credibility * means).sum() / credibility.sum())
    return Prior(min(max(mean, LOWEST), HIGHEST), float(weight), math.sqrt(max(float(spread), 0.0)))


def book_statistics(ratings: pl.LazyFrame, books: pl.LazyFrame, as_of: dt.datetime) -> tuple[pl.DataFrame, Prior]:
    """Statistics of every book, rated or not, sorted by ``book_id``, and the prior behind them.

    Args:
        ratings: ``book_id``, ``rating`` (1..5), ``created_at`` (UTC).
        books: ``id``.
        as_of: the moment that recent means recent to.

    Returns:
        ``book_id``; ``n``; ``stars_1`` … ``stars_5``; ``mean`` (null when unrated); ``shrunken_mean`` with
        ``interval_low`` and ``interval_high``, its 95 % credible interval, all within 1..5; ``ratings_per_day`` over
        the last 28 days; ``trend``, the binary logarithm of recent over expected ratings, null for a book without 28
        days of past; ``is_burst``; ``first_at`` and ``last_at``; ``recent`` and ``past``, ratings of the last 28 days
        and of the 84 before those.
    """
    counts = book_counts(ratings, as_of)
    prior = estimate_prior(counts)
    zero = [name for name, kind in counts.schema.items() if kind == pl.Int64]
    table = (
        books.select(book_id=pl.col("id"))
        .join(counts.lazy(), on="book_id", how="left")
        .with_columns(pl.col(zero).fill_null(0))
        .with_columns(*_means(prior))
        .with_columns(
            *_pace(as_of), is_burst=_burst(as_of, int(counts["week"].sum()), int(counts["before_week"].sum()))
        )
        .sort("book_id")
        .drop("week", "before_week")
    )
    return table.collect(), prior


def group_statistics(members: pl.LazyFrame, books: pl.DataFrame, as_of: dt.datetime) -> tuple[pl.DataFrame, Prior]:
    """The same for groups of books, from the statistics of the books, and the prior that groups are drawn from.

    A rating of a book that is in two groups counts in both.

    Args:
        members: ``group`` and ``book_id``, which book is of which group, each pair once.
        books: what ``book_statistics`` gave.
        as_of: the moment that it was given for.

    Returns:
        A row a group, sorted by it: ``group``; ``books``, its books, and ``rated``, those with a rating; then as for
        books, without ``is_burst``.
    """
    added = ["n", *(f"stars_{stars}" for stars in STARS), "recent", "past"]
    counts = (
        members.join(books.lazy(), on="book_id")
        .group_by("group")
        .agg(
            pl.len().cast(pl.Int64).alias("books"),
            (pl.col("n") > 0).sum().cast(pl.Int64).alias("rated"),
            pl.col(added).sum(),
            pl.col("first_at").min(),
            pl.col("last_at").max(),
        )
        .collect()
    )
    prior = estimate_prior(counts.filter(pl.col("n") > 0))
    return counts.with_columns(*_means(prior)).with_columns(*_pace(as_of)).sort("group"), prior


def sum_of_stars(power: int = 1) -> pl.Expr:
    """Σ x^power over all ratings, a whole number, from the histogram in ``stars_1`` … ``stars_5``."""
    return pl.sum_horizontal(stars**power * pl.col(f"stars_{stars}") for stars in STARS)


def _means(prior: Prior) -> list[pl.Expr]:
    """Posterior of a normal mean with known variances (Gelman et al., Bayesian Data Analysis, 3rd ed., eq. 2.12).

    With w = s² / t² its mean is (Σ x + w · prior) / (n + w) and its variance s² / (n + w).
    """
    n, values = pl.col("n"), sum_of_stars()
    shrunken = ((values + prior.mean * prior.weight) / (n + prior.weight)).clip(LOWEST, HIGHEST)
    margin = NORMAL_95 * prior.deviation / (n + prior.weight).sqrt()
    return [
        pl.when(n > 0).then(values / n).alias("mean"),
        shrunken.alias("shrunken_mean"),
        (shrunken - margin).clip(LOWEST, HIGHEST).alias("interval_low"),
        (shrunken + margin).clip(LOWEST, HIGHEST).alias("interval_high"),
    ]


def _pace(as_of: dt.datetime) -> list[pl.Expr]:
    """Velocity, and the trend against the own past; one rating is added to both sides so that few say little."""
    start = as_of - dt.timedelta(days=RECENT_DAYS)
    lived = ((pl.lit(start) - pl.col("first_at")).dt.total_seconds() / 86400).clip(0, PAST_DAYS)
    expected = pl.col("past") * RECENT_DAYS / lived
    has_past = pl.col("first_at") <= start - dt.timedelta(days=RECENT_DAYS)
    return [
        (pl.col("recent") / RECENT_DAYS).alias("ratings_per_day"),
        pl.when(has_past).then(((pl.col("recent") + 1) / (expected + 1)).log(2)).alias("trend"),
    ]


def _burst(as_of: dt.datetime, week: int, before_week: int) -> pl.Expr:
    """Whether this week's ratings stand out of the book's own past by more than chance.

    The two-sample Poisson test of Huffman (1984), "An improved approximate two-sample Poisson test", Applied Statistics
    33(2): z = 2 (√(x + 3/8) - √(d (x₀ + 3/8))) / √(1 + d). Exposure is counted in the library's ratings and not in days
    (d = the week's over the past's), so that a busy week, or an import, is not a burst of every book.
    """
    if before_week == 0:
        return pl.lit(value=False)
    d = week / before_week
    score = 2 * ((pl.col("week") + 0.375).sqrt() - (d * (pl.col("before_week") + 0.375)).sqrt()) / math.sqrt(1 + d)
    has_past = pl.col("first_at") <= as_of - dt.timedelta(days=BURST_DAYS + RECENT_DAYS)
    return ((pl.col("week") >= BURST_RATINGS) & (score > BURST_SCORE) & has_past).fill_null(value=False)
