"""A whole library from its tables, as the lake keeps them."""

from uuid import UUID

import numpy as np
import polars as pl

from models.evaluation.facts import BookFacts
from models.ids import pack, unpack
from models.training.interactions import Numbered
from models.training.library import Books, Library, library


def library_of(ratings: pl.LazyFrame, books: pl.LazyFrame, book_genres: pl.LazyFrame) -> Library:
    """All ratings and all books in one numbering.

    Args:
        ratings: ``reader`` (any key), ``book_id`` (text), ``rating`` (stars), ``created_at`` (aware).
        books: ``id`` (text), ``title``, ``author``, ``series``, ``series_position``, ``language``,
            ``publication_date``; others are not read.
        book_genres: ``book_id``, ``genre_id`` (text).

    Raises:
        ValueError: A book is rated that is not among the books.
    """
    ids = books.select(book_id="id").collect()
    rated = (
        ratings.join(ids.with_row_index("row").lazy(), on="book_id", how="left", maintain_order="left")
        .select("reader", "row", "rating", at=pl.col("created_at").dt.epoch("us"))
        .collect(engine="streaming")  # the ids of the books are never in memory, a number for each is
    )
    if unknown := rated["row"].null_count():
        raise ValueError(f"{unknown} ratings are of books that the library does not have")
    return library(
        rated["reader"].to_numpy(),
        Numbered(pack(UUID(key) for key in ids["book_id"]), rated["row"].to_numpy()),
        rated["rating"].to_numpy(),
        rated["at"].to_numpy(),
        _books(books, book_genres),
    )


def facts_of(known: Library, books: pl.LazyFrame, genres: pl.LazyFrame) -> BookFacts:
    """What evaluation tells its slices by.

    Args:
        known: The library of the same tables.
        books: ``id`` (text), ``title``.
        genres: ``id`` (text), ``name``.
    """
    name = dict(genres.select("id", "name").collect().iter_rows())
    title = dict(books.select("id", "title").collect().iter_rows())
    catalogue = known.catalogue
    return BookFacts(
        author=catalogue.author,
        genres=catalogue.genres.astype(np.bool_),
        genre_names=[name[str(genre)] for genre in unpack(catalogue.genre_ids)],
        year=np.where(catalogue.year > 0, catalogue.year, np.nan),
        titles=[title[str(book)] for book in unpack(known.interactions.book_ids)],
    )


def _books(books: pl.LazyFrame, book_genres: pl.LazyFrame) -> Books:
    of_book = book_genres.group_by("book_id").agg(genres=pl.col("genre_id").sort())
    table = (
        books.select(
            "id", "title", "author", "series", "series_position", "language", year=pl.col("publication_date").dt.year()
        )
        .join(of_book, left_on="id", right_on="book_id", how="left")
        .sort("id")
        .collect()
    )
    genre = {key: UUID(key) for key in book_genres.select(pl.col("genre_id").unique()).collect()["genre_id"]}
    return Books(
        ids=[UUID(key) for key in table["id"]],
        titles=table["title"].to_list(),
        authors=table["author"].to_list(),
        series=table["series"].to_list(),
        positions=table["series_position"].to_list(),
        languages=table["language"].to_list(),
        years=table["year"].to_list(),
        genres=[[genre[key] for key in own or ()] for own in table["genres"].to_list()],
    )
