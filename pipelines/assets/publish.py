"""What leaves the pipeline: statistics for the service, a file for analysts."""

from collections.abc import Iterator
from uuid import UUID

import dagster as dg
import polars as pl

from data import lake
from data.dictionary import TABLES
from data.export import export as write_export
from data.export import parquet_folder
from data.publish import BookStatisticsRow, publish_statistics
from data.upload import upload
from pipelines.assets import OWNERS
from pipelines.resources import State

LAKE_ASSETS = {"library": "rating_aggregates"}  # where a file of the lake is another asset's second one


@dg.asset(
    deps=["rating_aggregates"],
    owners=OWNERS,
    group_name="publish",
    kinds={"postgres"},
    description="The statistics that ranking needs beyond the live counts, replaced in Postgres in one transaction.",
)
def book_statistics(state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    prior = lake.scan(state.lake, "library").select("prior_mean", "prior_weight").collect().row(0, named=True)
    published = publish_statistics(state.databases.brs, _rows(lake.scan(state.lake, "rating_aggregates")), **prior)
    return dg.MaterializeResult(metadata={"dagster/row_count": published, **prior})


def _rows(aggregates: pl.LazyFrame) -> Iterator[BookStatisticsRow]:
    table = aggregates.select(BookStatisticsRow._fields).collect()
    for book_id, *numbers in table.iter_rows():
        yield BookStatisticsRow(UUID(book_id), *numbers)


@dg.asset(
    deps=sorted({LAKE_ASSETS.get(table.source, table.source) for table in TABLES.values()}),
    owners=OWNERS,
    group_name="publish",
    kinds={"duckdb", "parquet"},
    description=(
        "For analysts: brs.duckdb and the same tables as Parquet. Pseudonymous readers, no e-mail, no name."
        " Built aside and swapped in; copied to BRS_EXPORT_URL where that is set."
    ),
)
def export(state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    path = state.settings.exports / "brs.duckdb"
    rows = write_export(state.lake, path)
    url = state.settings.export_url
    copied: dict[str, str | int] = {}
    if url is not None:
        copied = {"copied to": url, "copied (bytes)": upload([*parquet_folder(path).glob("*.parquet"), path], url)}
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(path),
            "size (bytes)": path.stat().st_size,
            "Parquet": dg.MetadataValue.path(parquet_folder(path)),
            **copied,
            **{f"rows of {table}": count for table, count in rows.items()},
        }
    )
