"""Libraries of any size for load tests. Nothing in them is real: words from syllables, readers from a random model.

The same sizes and seed give the same library (with one version of numpy). Rows are made as they are asked for: what
stays in memory is a few numbers for each book and reader, however many ratings there are.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from functools import cached_property
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np

from data.loading import BookRow, FavoriteRow, GenreRow, ReaderRow, ReviewRow, SourceError
from data.sources.generator_draws import ERAS, Draws, Floats, Ints, Shelf, activity, joined, shelf
from data.sources.generator_words import Words

GENRES = 24
YEARS = dt.timedelta(days=5 * 365)  # the time that the ratings span
OLDEST_BOOK = 1950
UNTIL = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Generator:
    """A library with exactly so many readers, books and ratings, each pair of reader and book at most once.

    The ratings lie in the five years before ``until``. Raises SourceError when there cannot be such a library.
    """

    origin = "generated"

    def __init__(self, readers: int, books: int, ratings: int, seed: int, until: dt.datetime = UNTIL) -> None:
        if readers < 1 or books < 1 or ratings < 0 or seed < 0:
            raise SourceError("a library needs at least 1 reader and 1 book; ratings and seed may not be below 0")
        if ratings > readers * books:
            raise SourceError(
                f"{readers:,} readers can rate {books:,} books {readers * books:,} times at most, not {ratings:,}:"
                " ask for fewer ratings, or for more readers or books"
            )
        self.reader_count, self.book_count, self.rating_count = readers, books, ratings
        self.seed, self._start = seed, until - YEARS

    @property
    def expected(self) -> Mapping[str, int]:
        return {
            "genres": GENRES,
            "books": self.book_count,
            "readers": self.reader_count,
            "reviews": self.rating_count,
            "favorites": 0,
        }

    def genres(self) -> Iterator[GenreRow]:
        for number in range(GENRES):
            yield GenreRow(self._id("genre", number), self._words.genre(number), "A genre of a generated library.")

    def books(self) -> Iterator[BookRow]:
        rng = np.random.default_rng([self.seed, 6])
        genres = [self._id("genre", number) for number in range(GENRES)]
        for number in range(self.book_count):
            second, born = rng.integers(2 * GENRES), rng.random()
            yield self._book(number, genres, int(second), float(born))

    def _book(self, number: int, genres: list[UUID], second: int, born: float) -> BookRow:
        """``second`` is another genre when there is one of that number; ``born`` (0..1) says when in its time."""
        books, words = self._shelf, self._words
        run, flavour = int(books.run[number]), int(books.flavour[number])
        author = words.author(int(books.author[number]))
        first = genres[flavour % GENRES]
        in_series = books.length[number] > 1
        return BookRow(
            id=self._id("book", number),
            title=words.title(number),
            author=author,
            isbn=None,  # any number with a right check digit could be a real book's
            description=f"{words.genre(flavour % GENRES)} by {author}, set in {words.title(number + 1)}.",
            cover_image_url=None,
            publication_date=self._published(int(books.birth[number]), born),
            series=words.series(run) if in_series else None,
            series_position=float(books.place[number]) if in_series else None,
            language="en",
            genre_ids=tuple(dict.fromkeys([first, *genres[second : second + 1]])),
            created_at=self._start,
        )

    def _published(self, birth: int, born: float) -> dt.date:
        if birth > 0:
            return (self._start + (birth - born) / ERAS * YEARS).date()  # in the era before: people know it in this one
        return dt.date(OLDEST_BOOK, 1, 1) + born * (self._start.date() - dt.date(OLDEST_BOOK, 1, 1))

    def readers(self) -> Iterator[ReaderRow]:
        for number, came in enumerate(self._joined):
            email = f"reader-{number + 1}@seed-{self.seed}.generated.invalid"
            created_at = self._start + float(came) * YEARS
            yield ReaderRow(self._id("user", number), email, "Reader", str(number + 1), created_at)

    def reviews(self) -> Iterator[ReviewRow]:
        books = [self._id("book", number) for number in range(self.book_count)]
        start, latest, reader = self._start, -1, UUID(int=0)
        for chunk in Draws(self._shelf, self._counts, self._joined, self.seed).chunks():
            for user, book, stars, at in zip(*(column.tolist() for column in chunk), strict=True):
                if user != latest:
                    latest, reader = user, self._id("user", user)
                own = self._id("review", f"{user}/{book}")
                yield ReviewRow(own, reader, books[book], stars, None, start + at * YEARS)

    def favorites(self) -> Iterator[FavoriteRow]:
        return iter(())

    def _id(self, kind: str, key: object) -> UUID:
        return uuid5(NAMESPACE_URL, f"brs-generated/{self.seed}/{kind}/{key}")

    @cached_property
    def _words(self) -> Words:
        return Words(self.seed)

    @cached_property
    def _shelf(self) -> Shelf:
        return shelf(self.book_count, self.seed)

    @cached_property
    def _counts(self) -> Ints:
        return activity(self.reader_count, self.book_count, self.rating_count, self.seed)

    @cached_property
    def _joined(self) -> Floats:
        return joined(self.reader_count, self.seed)
