"""What readers do, without saying who they are: per pseudonym, and per day. Polars in, polars out."""

import datetime as dt
from collections.abc import Iterable

import polars as pl

from pipelines.statistics import RECENT_DAYS, STARS, sum_of_stars

_COUNTED = {
    "n": pl.len().cast(pl.Int64),
    **{f"stars_{stars}": (pl.col("rating") == stars).sum().cast(pl.Int64) for stars in STARS},
}


def activity(parts: Iterable[pl.LazyFrame], as_of: dt.datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A row a reader who rated, sorted by reader; and a row a UTC day on which somebody rated, oldest first.

    Part by part, so that memory holds the rows of one part.

    Args:
        parts: ``reader``, ``rating`` (1..5), ``created_at`` (UTC), all rows of a reader in the same part.
        as_of: the moment that recent means recent to.

    Returns:
        Of readers: ``reader``; ``n``; ``stars_1`` … ``stars_5``; ``mean``; ``deviation`` of the stars, null for a
        single rating; ``first_at`` and ``last_at``; ``active_days``, days with a rating; ``recent``, ratings of the
        last 28 days. Of days: ``day``; ``n``; ``stars_1`` … ``stars_5``; ``mean``; ``readers`` who rated;
        ``new_readers``, those of them who rated for the first time.
    """
    readers, days = zip(*(_of_part(part, as_of) for part in parts), strict=True)
    total = pl.concat(days).group_by("day").agg(pl.all().sum())
    return (
        pl.concat(readers)
        .with_columns(_mean(), _deviation())
        .select("reader", *_COUNTED, "mean", "deviation", "first_at", "last_at", "active_days", "recent")
        .sort("reader"),
        total.select("day", *_COUNTED, _mean(), "readers", "new_readers").sort("day"),
    )


def _of_part(part: pl.LazyFrame, as_of: dt.datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Of one part's ratings. Where a reader or their day begins is marked once: nothing is sought in sets."""
    at = pl.col("created_at")
    rows = (
        part.select("reader", "rating", "created_at", day=at.dt.date())
        .collect()  # before it sorts: lazily, polars would not see that the rows of the lake are in order already
        .sort("reader", "created_at")
        .with_columns(came=_begins("reader"), read=_begins("reader", "day"))
    )
    readers = rows.group_by("reader").agg(
        **_COUNTED,
        first_at=at.first(),
        last_at=at.last(),
        active_days=pl.col("read").sum().cast(pl.Int64),
        recent=((at > as_of - dt.timedelta(days=RECENT_DAYS)) & (at <= as_of)).sum().cast(pl.Int64),
    )
    days = rows.group_by("day").agg(
        **_COUNTED, readers=pl.col("read").sum().cast(pl.Int64), new_readers=pl.col("came").sum().cast(pl.Int64)
    )
    return readers, days


def _begins(*columns: str) -> pl.Expr:
    """Whether a row differs from the one before it in one of the columns."""
    return pl.any_horizontal(pl.col(column).ne_missing(pl.col(column).shift()) for column in columns)


def _mean() -> pl.Expr:
    return (sum_of_stars() / pl.col("n")).alias("mean")


def _deviation() -> pl.Expr:
    """Of a sample: Σ (x - mean)² / (n - 1), from whole numbers: n Σ x² - (Σ x)² loses nothing to rounding."""
    n, values = pl.col("n"), sum_of_stars()
    deviation = ((n * sum_of_stars(2) - values * values) / (n * (n - 1))).sqrt()
    return pl.when(n > 1).then(deviation).alias("deviation")
