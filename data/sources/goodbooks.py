"""goodbooks-10k as published (Zajac 2017, CC BY-SA 4.0): five CSV files, ten thousand books, six million ratings.

The ratings have no times, but their order is that in which they were made: rating k counts as made k minutes after
``EPOCH``. When a reader wanted to read a book is not known at all; those rows get the time of the last rating, so that
no model that is judged on later ratings has learned from them.
"""

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

import polars as pl

from data.loading import BookRow, FavoriteRow, GenreRow, ReaderRow, ReviewRow, Source, SourceError
from data.sources.goodbooks_files import AGAIN, Table, first_refused, opened, records, whole_numbers
from data.sources.goodbooks_genres import book_genres, shelf_genres
from data.sources.isbn import isbn13
from data.sources.languages import iso_639_1
from data.sources.titles import split_title

# Early enough that the last of the published 5,976,479 ratings lies in the past (May 2025).
EPOCH = dt.datetime(2014, 1, 1, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
LONGEST_TITLE, LONGEST_AUTHOR, LONGEST_URL = 500, 300, 1000  # the contract's
PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp")
OLDEST_YEAR = 1000
COLUMNS = (
    *("book_id", "goodreads_book_id", "isbn", "authors", "original_publication_year"),
    *("original_title", "title", "language_code", "image_url"),
)


def goodbooks_id(kind: str, key: object) -> UUID:
    """The id of a thing of this data set; ``key`` is the publisher's (``<user_id>/<book_id>`` for a review)."""
    return uuid5(NAMESPACE_URL, f"goodbooks-10k/{kind}/{key}")


@contextlib.contextmanager
def open_goodbooks(path: Path) -> Iterator[Source]:
    """The data set in a folder or zip, plain or gzipped, checked as a whole before the first row is handed out.

    Raises:
        SourceError: something is missing or damaged; the message names file and row, and says what to do.
    """
    with opened(path) as files:
        books, goodreads_ids = _books(files.table("books"))
        ratings = _ratings(files.table("ratings"), list(books))
        wanted = _to_read(files.table("to_read"), list(books), ratings)
        genres = book_genres(files, list(goodreads_ids.values()), shelf_genres(files))
    for key, goodreads_id in goodreads_ids.items():
        names = genres.get(goodreads_id, [])
        books[key] = books[key]._replace(genre_ids=tuple(goodbooks_id("genre", name) for name in names))
    yield _Goodbooks(books, sorted({name for names in genres.values() for name in names}), ratings, wanted)


@dataclass(frozen=True)
class _Goodbooks:
    """``ratings`` has user_id, book_id, rating, minute (Int64), oldest first; ``wanted`` has user_id, book_id.

    Each pair of reader and book is there once.
    """

    known_books: Mapping[int, BookRow]
    genre_names: list[str]
    ratings: pl.DataFrame
    wanted: pl.DataFrame
    origin: str = "goodbooks"

    @property
    def expected(self) -> Mapping[str, int]:
        return {
            "genres": len(self.genre_names),
            "books": len(self.known_books),
            "readers": self.ratings["user_id"].n_unique(),
            "reviews": self.ratings.height,
            "favorites": self.wanted.height,
        }

    def genres(self) -> Iterator[GenreRow]:
        return (GenreRow(goodbooks_id("genre", name), name) for name in self.genre_names)

    def books(self) -> Iterator[BookRow]:
        return iter(self.known_books.values())

    def readers(self) -> Iterator[ReaderRow]:
        firsts = self.ratings.group_by("user_id").agg(pl.col("minute").min()).sort("user_id")
        for user, minute in firsts.iter_rows():
            email = f"reader-{user}@goodbooks.invalid"
            yield ReaderRow(goodbooks_id("user", user), email, "Reader", str(user), EPOCH + minute * MINUTE)

    def reviews(self) -> Iterator[ReviewRow]:
        readers = self._reader_ids()
        for user, book, rating, minute in self.ratings.iter_rows():
            own = goodbooks_id("review", f"{user}/{book}")
            yield ReviewRow(own, readers[user], self.known_books[book].id, rating, None, EPOCH + minute * MINUTE)

    def favorites(self) -> Iterator[FavoriteRow]:
        readers = self._reader_ids()
        last = self.ratings["minute"].max()
        after = EPOCH + (last if isinstance(last, int) else 0) * MINUTE
        for user, book in self.wanted.iter_rows():
            yield FavoriteRow(readers[user], self.known_books[book].id, after)

    def _reader_ids(self) -> dict[int, UUID]:
        return {user: goodbooks_id("user", user) for user in self.ratings["user_id"].unique()}


def _books(table: Table) -> tuple[dict[int, BookRow], dict[int, int]]:
    """Books by book_id, and their goodreads ids by book_id."""
    books: dict[int, BookRow] = {}
    goodreads_ids: dict[int, int] = {}
    isbns: set[str] = set()
    for row, record in records(table, COLUMNS):
        for column in ("book_id", "goodreads_book_id"):
            if not record[column].isdecimal():
                table.refuse(row, f"{column} is not a whole number; {AGAIN}")
        key = int(record["book_id"])
        if key in books:
            table.refuse(row, f"book_id {key} comes a second time; {AGAIN}")
        book = _book(table, row, record)
        if book.isbn in isbns:  # two editions under one number: the first keeps it
            book = book._replace(isbn=None)
        elif book.isbn is not None:
            isbns.add(book.isbn)
        books[key] = book
        goodreads_ids[key] = int(record["goodreads_book_id"])
    if not books:
        raise SourceError(f"{table.name} has no rows; {AGAIN}")
    return books, goodreads_ids


def _book(table: Table, row: int, record: Mapping[str, str]) -> BookRow:
    title, series, position = split_title(_clean(record["title"]) or _clean(record["original_title"]))
    author = _first_author(_clean(record["authors"]))
    if not title or not author:
        table.refuse(row, f"the book has no {'author' if title else 'title'}; {AGAIN}")
    return BookRow(
        id=goodbooks_id("book", int(record["book_id"])),
        title=title[:LONGEST_TITLE].rstrip(),
        author=author[:LONGEST_AUTHOR].rstrip(),
        isbn=isbn13(record["isbn"].strip().zfill(10)),  # a spreadsheet once took the leading zeros
        description=None,
        cover_image_url=_cover(record["image_url"].strip()),
        publication_date=_published(record["original_publication_year"]),
        series=series,
        series_position=position,
        language=iso_639_1(record["language_code"]),
        genre_ids=(),
        created_at=EPOCH,
    )


def _clean(text: str) -> str:
    """White space collapsed, control characters gone."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _first_author(authors: str) -> str:
    """The first name: those after it are mostly illustrators, translators and narrators."""
    return authors.partition(", ")[0].strip(" ,")


def _cover(url: str) -> str | None:
    """The cover where there is one; a third of the published books show a placeholder called nophoto."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    usable = parts.scheme in {"http", "https"} and parts.netloc and parts.path.lower().endswith(PICTURES)
    return url if usable and "/nophoto/" not in parts.path and len(url) <= LONGEST_URL else None


def _published(year: str) -> dt.date | None:
    """The first of January of a year such as "2008.0"; ``None`` before 1000 (BC is negative) and for years to come."""
    try:
        number = int(float(year))
    except (ValueError, OverflowError):
        return None
    return dt.date(number, 1, 1) if OLDEST_YEAR <= number <= dt.datetime.now(tz=dt.UTC).year else None


def _ratings(table: Table, books: list[int]) -> pl.DataFrame:
    """Columns user_id, book_id, rating, minute. Who rated a book twice has the later rating, and its time."""
    frame = whole_numbers(table, ["user_id", "book_id", "rating"])
    if frame.is_empty():
        raise SourceError(f"{table.name} has no rows; {AGAIN}")
    _known(table, frame, books)
    first_refused(
        table, frame, ~pl.col("rating").is_between(1, 5), lambda row: f"rating {row['rating']} is not 1 to 5; {AGAIN}"
    )
    room = (dt.datetime.now(tz=dt.UTC) - EPOCH) // MINUTE
    if frame.height > room:
        table.refuse(room + 1, f"more ratings than the published file has; {AGAIN}")
    frame = frame.with_columns(minute=pl.int_range(1, pl.len() + 1, dtype=pl.Int64))
    return frame.unique(["user_id", "book_id"], keep="last", maintain_order=True)


def _to_read(table: Table, books: list[int], ratings: pl.DataFrame) -> pl.DataFrame:
    """Columns user_id, book_id, each pair once."""
    frame = whole_numbers(table, ["user_id", "book_id"])
    _known(table, frame, books)
    first_refused(
        table,
        frame,
        ~pl.col("user_id").is_in(ratings["user_id"].unique().implode()),
        lambda row: (
            f"user_id {row['user_id']} has rated nothing in the ratings file: the two do not belong together; {AGAIN}"
        ),
    )
    return frame.unique(["user_id", "book_id"], keep="first", maintain_order=True)


def _known(table: Table, frame: pl.DataFrame, books: list[int]) -> None:
    first_refused(
        table,
        frame,
        ~pl.col("book_id").is_in(books),
        lambda row: f"book_id {row['book_id']} is not in the books file; {AGAIN}",
    )
    first_refused(table, frame, pl.col("user_id") < 1, lambda row: f"user_id {row['user_id']} is below 1; {AGAIN}")
