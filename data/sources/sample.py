"""The library that ships: real books, simulated readers (``data/sample/README.md``)."""

import csv
import datetime as dt
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from data.loading import BookRow, FavoriteRow, GenreRow, ReaderRow, ReviewRow, Source, SourceError
from data.sample.catalogue import HERE, OPENED, Book, read_books, read_genres

T = TypeVar("T")
# What a file that was cut, edited or replaced can raise while it is read.
DAMAGE = (OSError, EOFError, zlib.error, ValueError, KeyError, IndexError, TypeError)


class Reader(NamedTuple):
    """One line of readers.csv; ``joined`` is in minutes after OPENED."""

    number: int
    first_name: str
    last_name: str
    joined: int


class Rating(NamedTuple):
    """One line of ratings.csv.gz: the reader's number, the row of books.csv, minutes after OPENED, 0 or 1."""

    reader: int
    book: int
    stars: int
    minute: int
    favourite: int


def sample_id(kind: str, key: object) -> UUID:
    """The same id on every machine: loading twice changes nothing."""
    return uuid5(NAMESPACE_URL, f"brs-sample/{kind}/{key}")


def sample_library(folder: Path = HERE) -> Source:
    """The files of ``data/sample``, read at once (about 0.2 s). The simulated files may lie in another folder.

    Raises:
        SourceError: a file is missing or damaged.
    """
    return _Sample(folder)


class _Sample:
    origin = "sample"

    def __init__(self, folder: Path) -> None:
        self._books: list[Book] = _intact(HERE / "books.csv", lambda _: read_books())
        self._genres: dict[str, str] = _intact(HERE / "genres.csv", lambda _: read_genres())
        self._readers: list[Reader] = _intact(folder / "readers.csv", _readers)
        self._ratings: list[Rating] = _intact(folder / "ratings.csv.gz", _ratings)
        self._texts: dict[tuple[int, int], str] = _intact(folder / "reviews.csv.gz", _texts)
        self._book_ids = [sample_id("book", book.key) for book in self._books]
        self._reader_ids = {reader.number: sample_id("user", reader.number) for reader in self._readers}
        _intact(folder / "ratings.csv.gz", self._check)

    @property
    def expected(self) -> Mapping[str, int]:
        return {
            "genres": len(self._genres),
            "books": len(self._books),
            "readers": len(self._readers),
            "reviews": len(self._ratings),
            "favorites": sum(rating.favourite for rating in self._ratings),
        }

    def genres(self) -> Iterator[GenreRow]:
        for name, description in self._genres.items():
            yield GenreRow(sample_id("genre", name), name, description)

    def books(self) -> Iterator[BookRow]:
        for book, book_id in zip(self._books, self._book_ids, strict=True):
            yield BookRow(
                id=book_id,
                title=book.title,
                author=book.author,
                isbn=book.isbn,
                description=book.description,
                cover_image_url=None,
                publication_date=dt.date(book.year, 1, 1) if book.year else None,
                series=book.series,
                series_position=book.position,
                language=book.language,
                genre_ids=tuple(sample_id("genre", name) for name in book.genres),
                created_at=OPENED,
            )

    def readers(self) -> Iterator[ReaderRow]:
        for reader in self._readers:
            email = f"reader-{reader.number:04}@sample.invalid"
            reader_id = self._reader_ids[reader.number]
            yield ReaderRow(reader_id, email, reader.first_name, reader.last_name, _at(reader.joined))

    def reviews(self) -> Iterator[ReviewRow]:
        for rating in self._ratings:
            yield ReviewRow(
                id=sample_id("review", f"{rating.reader}/{self._books[rating.book].key}"),
                user_id=self._reader_ids[rating.reader],
                book_id=self._book_ids[rating.book],
                rating=rating.stars,
                review_text=self._texts.get((rating.reader, rating.book)),
                created_at=_at(rating.minute),
            )

    def favorites(self) -> Iterator[FavoriteRow]:
        for rating in self._ratings:
            if rating.favourite:
                yield FavoriteRow(self._reader_ids[rating.reader], self._book_ids[rating.book], _at(rating.minute))

    def _check(self, _: Path) -> None:
        """Every rating is of a known reader and book. The stars are the database's business."""
        for line, rating in enumerate(self._ratings, start=2):
            if rating.reader not in self._reader_ids or not 0 <= rating.book < len(self._books):
                raise ValueError(f"line {line} names an unknown reader or book")


def _at(minutes: int) -> dt.datetime:
    return OPENED + dt.timedelta(minutes=minutes)


def _intact(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(path)
    except DAMAGE as exc:
        what = "is missing" if isinstance(exc, FileNotFoundError) else f"is damaged ({exc})"
        raise SourceError(f"the sample's file {path} {what}: check the project out again or reinstall it") from exc


def _readers(path: Path) -> list[Reader]:
    lines = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
    next(lines)
    return [Reader(int(number), first, last, int(joined)) for number, first, last, joined in lines]


def _ratings(path: Path) -> list[Rating]:
    return [Rating(*map(int, line)) for line in _unpacked(path)]


def _texts(path: Path) -> dict[tuple[int, int], str]:
    return {(int(reader), int(book)): text for reader, book, text in _unpacked(path)}


def _unpacked(path: Path) -> Iterator[list[str]]:
    """The lines after the header."""
    lines = csv.reader(io.StringIO(gzip.decompress(path.read_bytes()).decode(), newline=""))
    next(lines)
    return lines
