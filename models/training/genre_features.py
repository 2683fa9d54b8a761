"""What a book's genres are guessed from beside its words: who reads it, its author's and its series' other books."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from sklearn.decomposition import TruncatedSVD

from models.ids import BookIds
from models.training.interactions import Interactions

NEIGHBOURS = (8, 25)  # few tell rare genres, many common ones
PRIOR_WEIGHT = 1.0  # of the library's frequencies against an author's or a series' other books, in books
NEIGHBOURLESS = 0.1  # the same against neighbours, in squared cosines
SMOOTHING = 1e-3  # keeps log-odds of 0 and 1 finite
LANGUAGE_BOOKS = 10  # languages of fewer are as unknown ones
YEAR_BENDS = (1950, 1990, 2005)  # where the year's effect may change
BLOCK = 1000  # books whose neighbours are looked for at once: bounds the memory
Floats = NDArray[np.float32]
Truth = NDArray[np.bool_]


@dataclass(frozen=True)
class Books:
    """What is known of n books, column by column.

    Attributes:
        titles: Of each.
        authors: Several are separated by commas.
        descriptions: Where there are any.
        series: Names.
        years: (n,) float32, 0 where unknown.
        languages: Codes, None where unknown.
        taste: (n, k) float32, rows of length 1, or of zeros for what nobody has read: ``taste_vectors``.
        readers: (n,) how many have rated it.
    """

    titles: Sequence[str]
    authors: Sequence[str]
    descriptions: Sequence[str | None]
    series: Sequence[str | None]
    years: Floats
    languages: Sequence[str | None]
    taste: Floats
    readers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.titles)

    def rows(self, chosen: Sequence[int] | NDArray[np.integer]) -> "Books":
        """Those books, in that order."""
        rows = np.asarray(chosen, dtype=np.intp)
        return Books(
            titles=[self.titles[row] for row in rows],
            authors=[self.authors[row] for row in rows],
            descriptions=[self.descriptions[row] for row in rows],
            series=[self.series[row] for row in rows],
            years=self.years[rows],
            languages=[self.languages[row] for row in rows],
            taste=self.taste[rows],
            readers=self.readers[rows],
        )


def author_names(authors: str) -> list[str]:
    """The names between the commas, each once."""
    return list(dict.fromkeys(name for part in authors.split(",") if (name := part.strip())))


def taste_vectors(
    ratings: Interactions, book_ids: BookIds, dimensions: int = 128, seed: int = 0
) -> tuple[Floats, NDArray[np.int64]]:
    """Where books stand among the readers of the library, and how many have read each.

    The leading left singular vectors, times their singular values, of the table of books and readers, a reader weighted
    by the logarithm of how much of the library they leave out. That somebody has read a book tells its genre, whether
    they liked it or not: stars do not matter here.

    Args:
        ratings: All of them.
        book_ids: (n, 16), in any order.
        dimensions: At most; fewer in a library of few books or readers.
        seed: Same seed, same vectors.

    Returns:
        (n, k) float32, rows of length 1 or of zeros, comparable with those of the same call alone; (n,) readers.
    """
    there = {row.tobytes(): number for number, row in enumerate(ratings.book_ids)}
    place = np.array([there.get(row.tobytes(), -1) for row in book_ids], dtype=np.intp)
    shape = ratings.book_count, ratings.reader_count
    rank = min(dimensions, ratings.book_count // 8, ratings.reader_count // 2)
    if rank < 1 or not len(ratings):
        return np.zeros((len(book_ids), 1), np.float32), np.zeros(len(book_ids), np.int64)
    table = csr_matrix((np.ones(len(ratings), np.float32), (ratings.book, ratings.reader)), shape=shape)
    of_book, of_reader = (np.asarray(table.sum(axis=axis)).ravel() for axis in (1, 0))
    weight = np.log((1 + shape[0]) / (1 + of_reader)).astype(np.float32)
    weighted = diags(1 / np.sqrt(np.maximum(of_book, 1))) @ table @ diags(weight)
    vectors = TruncatedSVD(rank, n_iter=4, random_state=seed).fit_transform(weighted)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0).astype(np.float32)
    unknown = place < 0
    return np.where(unknown[:, None], np.float32(0), unit[place]), np.where(unknown, 0, of_book[place]).astype(np.int64)


def common_languages(books: Books) -> list[str]:
    """Those of enough books, sorted."""
    spoken = Counter(language for language in books.languages if language)
    return sorted(language for language, count in spoken.items() if count >= LANGUAGE_BOOKS)


@dataclass(frozen=True)
class Groups:
    """How often the books of one author, or series, are of each genre: sums (groups, g) and counts (groups,)."""

    names: Sequence[str]
    sums: Floats
    counts: Floats

    @classmethod
    def learn(cls, keys: Sequence[Sequence[str]], truth: Truth) -> Self:
        names = sorted({key for own in keys for key in own})
        member = _membership(keys, names)
        return cls(names, np.asarray(member.T @ truth.astype(np.float32)), np.asarray(member.sum(axis=0)).ravel())

    def frequency(self, keys: Sequence[Sequence[str]], prior: Floats) -> tuple[Floats, Floats]:
        """Of the groups of each book: frequencies (n, g), shrunken to the prior (g,), and log(1 + books) (n, 1)."""
        member = _membership(keys, self.names)
        counts = np.asarray(member @ self.counts)[:, None]
        shrunken = (np.asarray(member @ self.sums) + PRIOR_WEIGHT * prior) / (counts + PRIOR_WEIGHT)
        return shrunken.astype(np.float32), np.log1p(counts).astype(np.float32)


@dataclass(frozen=True)
class Shelf:
    """The books whose genres are known, as tables to look others up in.

    Attributes:
        truth: (t, g), which of them is of what genre.
        taste: (t, k), their taste vectors.
        authors: Their authors.
        series: Their series.
        languages: Those that have a column.
        year: The median.
    """

    truth: Truth
    taste: Floats
    authors: Groups
    series: Groups
    languages: Sequence[str]
    year: float

    @classmethod
    def learn(cls, books: Books, truth: Truth, languages: Sequence[str]) -> Self:
        """Counts; for the languages see ``common_languages``."""
        known = books.years[books.years > 0]
        return cls(
            truth,
            books.taste,
            Groups.learn(_authors(books), truth),
            Groups.learn(_series(books), truth),
            languages,
            float(np.median(known)) if len(known) else 0.0,
        )

    def features(self, books: Books, words: Floats) -> Floats:
        """Shape (n, f), in plain units; the last k columns are the taste vector.

        Of books that are on the shelf themselves these columns hold the answer: what learns from them wants those of
        other books (``models.training.genre_stages.out_of_fold``). Leaving out each book alone would not do: what is
        missing from a group's total then tells the book's own genres.

        Args:
            books: Any n.
            words: (n, g), log-odds of the genres by the words alone.
        """
        prior = self.truth.mean(axis=0).astype(np.float32)
        columns = [words - _log_odds(prior)]
        for groups, keys in ((self.authors, _authors(books)), (self.series, _series(books))):
            frequency, count = groups.frequency(keys, prior)
            columns += [_log_odds(frequency) - _log_odds(prior), count]
        for frequency, closeness in self._neighbours(books.taste, prior):
            columns += [_log_odds(frequency) - _log_odds(prior), closeness]
        readers = books.readers[:, None]
        columns += [self._year(books.years), self._language(books.languages), np.log1p(readers), readers == 0]
        return np.hstack([*columns, books.taste]).astype(np.float32)

    def _neighbours(self, taste: Floats, prior: Floats) -> list[tuple[Floats, Floats]]:
        """For each of NEIGHBOURS the genres (n, g) of so many nearest books in taste, and how near they are (n, 1)."""
        truth, n = self.truth.astype(np.float32), len(taste)
        numbers = [min(number, len(truth)) for number in NEIGHBOURS]
        found = [(np.empty((n, truth.shape[1]), np.float32), np.empty((n, 1), np.float32)) for _ in numbers]
        for start in range(0, n, BLOCK):
            rows = slice(start, start + BLOCK)
            cosine = taste[rows] @ self.taste.T
            for number, (frequency, closeness) in zip(numbers, found, strict=True):
                nearest = np.argpartition(-cosine, number - 1, axis=1)[:, :number]
                near = np.maximum(np.take_along_axis(cosine, nearest, axis=1), 0)
                weight = near**2
                of_genre = np.einsum("nk,nkg->ng", weight, truth[nearest]) + NEIGHBOURLESS * prior
                frequency[rows] = of_genre / (weight.sum(axis=1, keepdims=True) + NEIGHBOURLESS)
                closeness[rows] = near.mean(axis=1, keepdims=True)
        return found

    def _year(self, years: Floats) -> Floats:
        known = years > 0
        year = np.where(known, np.clip(years, 1800, None), self.year)[:, None]
        return np.hstack([year, *(np.maximum(year - bend, 0) for bend in YEAR_BENDS), ~known[:, None]])

    def _language(self, languages: Sequence[str | None]) -> Floats:
        return np.array([[own == one for one in self.languages] for own in languages], np.float32).reshape(
            len(languages), len(self.languages)
        )

    def to_parts(self) -> dict[str, Any]:
        """As dictionaries, lists and arrays."""
        return {
            **{name: getattr(self, name) for name in ("truth", "taste", "languages", "year")},
            "authors": vars(self.authors),
            "series": vars(self.series),
        }

    @classmethod
    def from_parts(cls, parts: Mapping[str, Any], genres: int) -> Self:
        """Raises KeyError, TypeError or ValueError when these are not what ``to_parts`` gave for so many genres."""
        shelf = cls(**{**parts, "authors": Groups(**parts["authors"]), "series": Groups(**parts["series"])})
        groups = (shelf.authors, shelf.series)
        if shelf.truth.shape != (len(shelf.taste), genres) or any(
            own.sums.shape != (len(own.names), genres) or own.counts.shape != (len(own.names),) for own in groups
        ):
            raise ValueError("the tables of books, authors, series and genres do not fit together")
        return shelf


def _authors(books: Books) -> list[list[str]]:
    return [author_names(authors) for authors in books.authors]


def _series(books: Books) -> list[list[str]]:
    return [[series] if series else [] for series in books.series]


def _membership(keys: Sequence[Sequence[str]], names: Sequence[str]) -> csr_matrix:
    """(books, names), 1 where a book has the name; names that are not among them are left out."""
    place = {name: column for column, name in enumerate(names)}
    pairs = [(row, place[key]) for row, own in enumerate(keys) for key in own if key in place]
    rows, columns = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    return csr_matrix((np.ones(len(pairs), np.float32), (rows, columns)), shape=(len(keys), len(names)))


def _log_odds(frequency: Floats) -> Floats:
    return np.log((frequency + SMOOTHING) / (1 - frequency + SMOOTHING))
