"""What the ratings say about each book."""

import dagster as dg
import polars as pl

from data import lake
from pipelines import pictures
from pipelines.assets import OWNERS
from pipelines.resources import State
from pipelines.statistics import STARS, book_statistics


@dg.asset(
    deps=["ratings", "books"],
    owners=OWNERS,
    group_name="aggregates",
    kinds={"polars", "parquet"},
    description=(
        "Per book: counts, mean, shrunken mean with its 95 % interval, velocity, trend and burst flag;"
        " and the prior, estimated from the library itself."
    ),
)
def rating_aggregates(state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    as_of = lake.last_snapshot(state.lake).taken_at
    table, prior = book_statistics(lake.scan(state.lake, "ratings"), lake.scan(state.lake, "books"), as_of)
    lake.store(state.lake, "rating_aggregates", table)
    lake.store(state.lake, "library", pl.DataFrame({"prior_mean": [prior.mean], "prior_weight": [prior.weight]}))
    rated = table.filter(pl.col("n") > 0)
    stars = [int(rated[f"stars_{s}"].sum()) for s in STARS]
    believed = pictures.shrinkage(rated["mean"].to_list(), rated["shrunken_mean"].to_list(), prior.mean)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(table),
            "rated books": len(rated),
            "prior mean (stars)": prior.mean,
            "prior weight (ratings)": prior.weight,
            "books in a burst": int(table["is_burst"].sum()),
            "ratings by stars": pictures.embedded(pictures.star_histogram(stars)),
            "shrinkage": pictures.embedded(believed),
        }
    )
