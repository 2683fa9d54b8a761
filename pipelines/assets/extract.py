"""Postgres → Parquet."""

from collections.abc import Iterator

import dagster as dg

from data import lake
from pipelines.assets import OWNERS
from pipelines.resources import State

WHAT = {
    "ratings": "Who rated what when, readers under pseudonyms, oldest first within a reader.",
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
def extract(state: dg.ResourceParam[State]) -> Iterator[dg.MaterializeResult[None]]:
    """All tables as of one moment (REPEATABLE READ), streamed by COPY."""
    snapshot = lake.extract(state.databases.brs, state.lake, state.lake_key)
    for name, table in snapshot.tables.items():
        yield dg.MaterializeResult(
            asset_key=name,
            data_version=dg.DataVersion(table.sha256[:16]),
            metadata={
                "dagster/row_count": table.rows,
                "size (bytes)": table.bytes,
                "snapshot": snapshot.fingerprint,
                "taken at": dg.MetadataValue.timestamp(snapshot.taken_at),
                "path": dg.MetadataValue.path(state.lake / f"{name}.parquet"),
            },
        )
