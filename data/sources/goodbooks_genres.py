"""Genres of books from the names of the shelves that readers put them on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from data.loading import SourceError
from data.sources.goodbooks_files import AGAIN, GENRE_TAGS, Files, Table, first_refused, records, whole_numbers

SHIPPED = Path(__file__).parent / "goodbooks_genres.json"
LEAST_SHARE = 0.03  # of the book's shelvings that say a genre at all
LEAST_SHELVINGS = 5
MOST_GENRES = 10  # a book's, by the contract


def shelf_genres(files: Files) -> dict[str, list[str]]:
    """Shelf name → the genres it speaks for, by genre_tags.json beside the data, else by the mapping that we ship."""
    beside = files.genre_tags()
    try:
        mapping = json.loads(SHIPPED.read_bytes() if beside is None else beside)
        pairs = [(shelf, genre) for genre, shelves in mapping.items() for shelf in shelves]
        spoken: dict[str, list[str]] = {}
        for shelf, genre in pairs:
            spoken.setdefault(shelf.strip().casefold(), []).append(genre.strip())
    except (ValueError, AttributeError, TypeError) as exc:
        raise SourceError(
            f"{GENRE_TAGS} is not a JSON object of genres with their shelf names ({exc}); {AGAIN}"
        ) from exc
    return spoken


def book_genres(
    files: Files, goodreads_ids: Sequence[int], spoken: Mapping[str, Sequence[str]]
) -> dict[int, list[str]]:
    """Goodreads book id → its genres, the most shelved first, at most ten.

    A genre stays when at least 3 % of the book's shelvings that speak for any genre, and at least 5, speak for it; the
    largest stays in any case. Books without such a shelf are missing from the answer.
    """
    shelvings = _shelvings(files, goodreads_ids)
    genres = pl.DataFrame(
        [(shelf, genre) for shelf, names in spoken.items() for genre in names],
        schema={"shelf": pl.String, "genre": pl.String},
        orient="row",
    )
    said = shelvings.join(genres.select("shelf").unique(), on="shelf", how="semi")
    said = said.with_columns(total=pl.col("count").sum().over("book"))
    counted = (
        said.join(genres, on="shelf").group_by("book", "genre").agg(pl.col("count").sum(), pl.col("total").first())
    )
    largest_first = counted.sort(["book", "count", "genre"], descending=[False, True, False])
    place = pl.int_range(pl.len()).over("book")
    enough = (pl.col("count") >= LEAST_SHARE * pl.col("total")) & (pl.col("count") >= LEAST_SHELVINGS)
    kept = largest_first.filter(((place == 0) | enough) & (place < MOST_GENRES))
    return dict(kept.group_by("book", maintain_order=True).agg("genre").iter_rows())


def _shelvings(files: Files, goodreads_ids: Sequence[int]) -> pl.DataFrame:
    """Columns book, shelf, count: how many readers put the book on a shelf of that name."""
    names = files.table("tags")
    shelf_of = {
        _tag_id(names, row, record["tag_id"]): record["tag_name"] for row, record in records(names, _TAG_COLUMNS)
    }
    shelves = pl.DataFrame(
        [(tag, shelf.strip().casefold()) for tag, shelf in shelf_of.items()],
        schema={"tag_id": pl.Int64, "shelf": pl.String},
        orient="row",
    )
    table = files.table("book_tags")
    frame = whole_numbers(table, ["goodreads_book_id", "tag_id", "count"])
    first_refused(
        table,
        frame,
        ~pl.col("goodreads_book_id").is_in(list(goodreads_ids)),
        lambda row: f"goodreads_book_id {row['goodreads_book_id']} is not in the books file; {AGAIN}",
    )
    first_refused(
        table,
        frame,
        ~pl.col("tag_id").is_in(shelves["tag_id"].implode()),
        lambda row: f"tag_id {row['tag_id']} is not in {names.name}; {AGAIN}",
    )
    # Published counts of -1 occur: nobody.
    return frame.filter(pl.col("count") > 0).join(shelves, on="tag_id").rename({"goodreads_book_id": "book"})


_TAG_COLUMNS = ("tag_id", "tag_name")


def _tag_id(names: Table, row: int, written: str) -> int:
    if not written.isdecimal():
        names.refuse(row, f"tag_id is not a whole number; {AGAIN}")
    return int(written)
