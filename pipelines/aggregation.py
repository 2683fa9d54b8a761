"""From the lake to the lake: all that is computed from one extract before anything is learned from it."""

from pathlib import Path

import polars as pl

from data import lake
from pipelines import drift
from pipelines.activity import activity
from pipelines.statistics import Prior, book_statistics, group_statistics


def store_book_statistics(folder: Path) -> tuple[pl.DataFrame, Prior]:
    """Writes ``rating_aggregates``, and the one row of ``library``. Returns the former and the prior."""
    snapshot = lake.last_snapshot(folder)
    table, prior = book_statistics(lake.scan(folder, "ratings"), lake.scan(folder, "books"), snapshot.taken_at)
    lake.store(folder, "rating_aggregates", table)
    library = {
        "prior_mean": prior.mean,
        "prior_weight": prior.weight,
        "taken_at": snapshot.taken_at,
        "fingerprint": snapshot.fingerprint,
    }
    lake.store(folder, "library", pl.DataFrame([library], schema_overrides={"taken_at": lake.MOMENT}))
    return table, prior


def store_group_statistics(folder: Path) -> dict[str, tuple[pl.DataFrame, Prior]]:
    """Writes ``genre_statistics`` and ``author_statistics``, from those of the books: no rating is read again."""
    taken_at = lake.last_snapshot(folder).taken_at
    books = lake.scan(folder, "rating_aggregates").collect()
    members = {
        "genre_statistics": lake.scan(folder, "book_genres").rename({"genre_id": "group"}),
        "author_statistics": lake.scan(folder, "books").select(group="author", book_id="id"),
    }
    found = {name: group_statistics(of, books, taken_at) for name, of in members.items()}
    for name, (table, _) in found.items():
        lake.store(folder, name, table)
    return found


def store_activity(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, drift.Part | None]:
    """Writes ``reader_statistics`` and ``daily_activity``, and adds the newest part to the history of drift.

    Returns the two tables and the part, as ``drift.remember`` does.
    """
    taken_at = lake.last_snapshot(folder).taken_at
    parts = (pl.scan_parquet(path, glob=False) for path in lake.files(folder, "ratings"))
    readers, days = activity(parts, taken_at)
    lake.store(folder, "reader_statistics", readers)
    lake.store(folder, "daily_activity", days)
    return readers, days, drift.remember(folder, taken_at)
