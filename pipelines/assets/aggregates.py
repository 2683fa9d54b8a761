"""What the ratings say about books, genres and authors; what readers do."""

from collections.abc import Iterator

import dagster as dg
import numpy as np
import polars as pl

from pipelines import aggregation, pictures
from pipelines.assets import OWNERS
from pipelines.resources import State
from pipelines.statistics import STARS

GROUP, KINDS = "aggregates", {"polars", "parquet"}


@dg.asset(
    deps=["ratings", "books"],
    owners=OWNERS,
    group_name=GROUP,
    kinds=KINDS,
    description=(
        "Per book: counts, mean, shrunken mean with its 95 % interval, velocity, trend and burst flag;"
        " and the prior, estimated from the library itself."
    ),
)
def rating_aggregates(state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    table, prior = aggregation.store_book_statistics(state.lake)
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


@dg.multi_asset(
    name="group_statistics",
    specs=[
        dg.AssetSpec(name, deps=deps, description=what, owners=OWNERS, group_name=GROUP, kinds=KINDS)
        for name, deps, what in (
            (
                "genre_statistics",
                ["rating_aggregates", "book_genres"],
                "The same per genre, shrunken towards what genres are like.",
            ),
            (
                "author_statistics",
                ["rating_aggregates", "books"],
                "The same per author, shrunken towards what authors are like.",
            ),
        )
    ],
    can_subset=False,
)
def groups(state: dg.ResourceParam[State]) -> Iterator[dg.MaterializeResult[None]]:
    for name, (table, prior) in aggregation.store_group_statistics(state.lake).items():
        yield dg.MaterializeResult(
            asset_key=name,
            metadata={
                "dagster/row_count": len(table),
                "prior mean (stars)": prior.mean,
                "prior weight (ratings)": prior.weight,
            },
        )


@dg.multi_asset(
    name="activity",
    specs=[
        dg.AssetSpec(name, deps=["ratings"], description=what, owners=OWNERS, group_name=GROUP, kinds=KINDS)
        for name, what in (
            ("reader_statistics", "Per pseudonym: ratings, mean, first and last, active days, the last 28 days."),
            ("daily_activity", "Per day: ratings, stars, readers, new readers; and what came since the run before."),
        )
    ],
    can_subset=False,
)
def what_readers_do(state: dg.ResourceParam[State]) -> Iterator[dg.MaterializeResult[None]]:
    readers, days, newest = aggregation.store_activity(state.lake)
    yield dg.MaterializeResult(
        asset_key="reader_statistics",
        metadata={
            "dagster/row_count": len(readers),
            "active in the last 28 days": int((readers["recent"] > 0).sum()),
            "ratings of the median reader": float(np.median(readers["n"].to_numpy())) if len(readers) else 0.0,
        },
    )
    yield dg.MaterializeResult(
        asset_key="daily_activity",
        metadata={
            "dagster/row_count": len(days),
            **({"ratings since the run before": newest.ratings} if newest else {}),
            "ratings a day": pictures.embedded(pictures.activity(days["day"].to_list(), days["n"].to_list())),
        },
    )
