"""Postgres → Parquet."""

from collections.abc import Iterator

import dagster as dg

from data import lake
from pipelines.assets import OWNERS
from pipelines.resources import State

WHAT = {
    "ratings": "Who rated what when, readers under pseudonyms, oldest first within a reader.",
    "favorites": "Which books readers keep as favourites, and since when.",
    "shown": "The picks of the recommendation pages that readers were shown, for 90 days.",
    "feedback": "What readers did with picks that they were shown: clicks, dismissals, readings.",
    "books": "The catalogue: title, author, description, series, language, publication date.",
    "genres": "The genres.",
    "book_genres": "Which book is of which genre.",
}


@dg.multi_asset(
    name="extract",
    specs=[
        dg.AssetSpec(
            name,
            description=WHAT[name],
            owners=OWNERS,
            group_name="extract",
            kinds={"postgres", "parquet"},
        )
        for name in lake.TABLES
    ],
    can_subset=False,
)
def extract(context: dg.AssetExecutionContext, state: dg.ResourceParam[State]) -> Iterator[dg.MaterializeResult[None]]:
    """All tables as of one moment (REPEATABLE READ), streamed by COPY: what changed, or everything where it must be."""
    snapshot = lake.extract(state.databases.brs, state.lake, state.lake_key)
    context.log.info("extracted %s", snapshot.how)
    for name, table in snapshot.tables.items():
        yield dg.MaterializeResult(
            asset_key=name,
            data_version=dg.DataVersion(table.sha256[:16]),
            metadata={
                "dagster/row_count": table.rows,
                "size (bytes)": table.bytes,
                "snapshot": snapshot.fingerprint,
                "extracted": snapshot.how,
                "taken at": dg.MetadataValue.timestamp(snapshot.taken_at),
                "path": dg.MetadataValue.path(state.lake / f"{name}.parquet"),
            },
        )
