"""The books and genres of the sample library as they stand in its two CSV files."""

import csv
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
OPENED = dt.datetime(2023, 11, 1, tzinfo=dt.UTC)  # minute 0 of every time in the ratings and readers files


class Book(NamedTuple):
    """One line of books.csv. ``position`` is a number from 0; both it and ``series`` are None outside a series."""

    key: str
    title: str
    author: str
    year: int | None
    series: str | None
    position: float | None
    language: str
    isbn: str | None
    genres: tuple[str, ...]
    description: str


def rows(name: str) -> Iterator[dict[str, str]]:
    """The lines of one CSV file of this folder."""
    with (HERE / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def read_books() -> list[Book]:
    """All books, by key: the row number is what the ratings file calls a book."""
    return [
        Book(
            key=row["key"],
            title=row["title"],
            author=row["author"],
            year=int(row["year"]) if row["year"] else None,
            series=row["series"] or None,
            position=float(row["position"]) if row["position"] else None,
            language=row["language"],
            isbn=row["isbn"] or None,
            genres=tuple(row["genres"].split("|")),
            description=row["description"],
        )
        for row in rows("books.csv")
    ]


def read_genres() -> dict[str, str]:
    """Name to description, by name."""
    return {row["name"]: row["description"] for row in rows("genres.csv")}
