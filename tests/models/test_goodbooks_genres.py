"""On real books: what the genre model is worth. Skipped where the slice is not at hand."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.sources.goodbooks import goodbooks_id, open_goodbooks
from models.ids import pack
from models.training.genre_features import Books, taste_vectors
from models.training.genre_report import evaluate
from models.training.interactions import interactions

pytestmark = [pytest.mark.xdist_group("goodbooks"), pytest.mark.slow]


@pytest.fixture(scope="module")
def library(goodbooks: Path) -> tuple[Books, list[list[str]]]:
    table = pl.read_csv(goodbooks / "ratings.csv.gz")
    ids = {number: goodbooks_id("book", number) for number in table["book_id"].unique()}
    ratings = interactions(
        table["user_id"].to_numpy(),
        [ids[number] for number in table["book_id"]],
        table["rating"].to_numpy(),
        np.arange(len(table)) * 60_000_000,
    )
    with open_goodbooks(goodbooks) as source:
        name = {genre.id: genre.name for genre in source.genres()}
        found = list(source.books())
    taste, readers = taste_vectors(ratings, pack(book.id for book in found))
    books = Books(
        [book.title for book in found],
        [book.author for book in found],
        [book.description for book in found],
        [book.series for book in found],
        np.array([book.publication_date.year if book.publication_date else 0 for book in found], np.float32),
        [book.language for book in found],
        taste,
        readers,
    )
    return books, [[name[genre] for genre in book.genre_ids] for book in found]


def test_held_out_books_get_their_genres_and_true_probabilities(library: tuple[Books, list[list[str]]]) -> None:
    report = evaluate(*library)
    assert (report.books, len(report.genres)) == (1999, 40)
    assert report.micro_f1 >= 0.795
    assert report.macro_f1 >= 0.705
    assert report.coverage >= 0.98
    assert report.reliability.error < 0.005


def test_books_of_unknown_authors_get_most_of_theirs(library: tuple[Books, list[list[str]]]) -> None:
    report = evaluate(*library, split="author")
    assert report.micro_f1 >= 0.68
    assert report.macro_f1 >= 0.55
    assert report.coverage >= 0.95
    assert report.reliability.error < 0.015
