"""The library as the simulated readers see it: what each book is like, how well known it is, what comes before it."""

import tomllib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from data.sample.catalogue import HERE, Book, read_genres

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAYS = 1096  # three years from OPENED, one of them a leap year
WEEKS = -(-DAYS // 7)
STYLES = 8  # what readers share a taste for although no genre names it
GENRE_WEIGHTS = (1.0, 0.75, 0.6, 0.5)  # most fitting genre first; then scaled to GENRE_NORM, however many they are
GENRE_NORM = 1.2
ERAS = ((1800, "era:old"), (1914, "era:industrial"), (1960, "era:modern"), (2000, "era:late"), (9999, "era:recent"))
ZIPF = 1.0
ZIPF_SHIFT = 8
KINSHIP = 2.5
REVIVALS = 48  # a film, a prize, an anniversary: an author is in every window for a few weeks


@dataclass(frozen=True)
class Shelf:
    """B books, F features, A authors, K kinds of reader. Rows are those of books.csv."""

    features: Floats  # (B, F) genres, eras, languages, then STYLES hidden columns
    likeness: Floats  # (B, B) features @ features.T
    author: Ints  # (B,) 0..A-1; the first named author of two
    volume_before: Ints  # (B,) row of the volume before it in this library, -1 where there is none
    volume_after: Ints  # (B,)
    quality: Floats  # (B,) stars that everybody gives it more or less
    exposure: Floats  # (WEEKS, B) how likely it is to be met in that week, rows sum to 1
    kinds: Floats  # (K, F) what each kind of reader likes
    kind_shares: Floats  # (K,) sums to 1
    kin: Floats  # (K, K) what goes with a kind in one reader: shares · exp(KINSHIP · cosine), rows sum to 1


def build(books: list[Book], seed: int) -> Shelf:
    taste = tomllib.loads((HERE / "taste.toml").read_text(encoding="utf-8"))
    rng = np.random.default_rng([seed, 1])
    author_names = sorted({_first_author(book) for book in books})
    author = np.array([author_names.index(_first_author(book)) for book in books], dtype=np.int64)
    names = _feature_names(books)
    features = np.hstack([_stated(books, names), _styles(rng, author)])
    before = _volumes_before(books)
    after = np.full(len(books), -1, dtype=np.int64)
    after[before[before >= 0]] = np.flatnonzero(before >= 0)
    kinds, shares = _kinds(taste["kinds"], names)
    return Shelf(
        features=features,
        likeness=features @ features.T,
        author=author,
        volume_before=before,
        volume_after=after,
        quality=0.27 * rng.standard_normal(len(books)),
        exposure=_exposure(rng, _fame(rng, books, taste), author),
        kinds=kinds,
        kind_shares=shares,
        kin=_kin(kinds, shares),
    )


def _first_author(book: Book) -> str:
    return book.author.split(",")[0]


def _era(year: int | None) -> str:
    return next(name for before, name in ERAS if (year or 0) < before)


def _feature_names(books: list[Book]) -> dict[str, int]:
    languages = sorted({f"in:{book.language}" for book in books} | {"in:translation"})
    return {name: column for column, name in enumerate([*read_genres(), *(name for _, name in ERAS), *languages])}


def _stated(books: list[Book], names: dict[str, int]) -> Floats:
    """(B, F - STYLES) what the catalogue says of a book, as numbers."""
    stated = np.zeros((len(books), len(names)))
    for row, book in enumerate(books):
        weights = np.array(GENRE_WEIGHTS[: len(book.genres)])
        stated[row, [names[genre] for genre in book.genres]] = GENRE_NORM * weights / np.sqrt(weights @ weights)
        stated[row, names[_era(book.year)]] = 0.5
        if book.language != "en":
            stated[row, names[f"in:{book.language}"]] = 0.6
            stated[row, names["in:translation"]] = 0.6
    return stated


def _styles(rng: np.random.Generator, author: Ints) -> Floats:
    """(B, STYLES) an author's manner, and each book's own turn of it."""
    manner = rng.standard_normal((int(author.max()) + 1, STYLES))
    own = rng.standard_normal((len(author), STYLES))
    return 0.36 * manner[author] + 0.20 * own


def _volumes_before(books: list[Book]) -> Ints:
    before = np.full(len(books), -1, dtype=np.int64)
    in_series = [row for row, book in enumerate(books) if book.series]
    in_series.sort(key=lambda row: (books[row].series or "", books[row].position or 0))
    for earlier, later in pairwise(in_series):
        if books[earlier].series == books[later].series:
            before[later] = earlier
    return before


def _fame(rng: np.random.Generator, books: list[Book], taste: dict[str, Any]) -> Floats:
    """(B,) Zipf: the r-th best known book weighs (r + ZIPF_SHIFT) ** -ZIPF. Sums to 1."""
    household = {key: place / len(taste["household"]) for place, key in enumerate(taste["household"])}
    place = household | dict.fromkeys(taste["well_known"], 1.5)
    order = np.array([place.get(book.key, 2.5) for book in books]) + 0.25 * rng.standard_normal(len(books))
    rank = np.argsort(np.argsort(order, kind="stable"), kind="stable")
    weight = (rank + ZIPF_SHIFT) ** -ZIPF
    return np.asarray(weight / weight.sum())


def _exposure(rng: np.random.Generator, fame: Floats, author: Ints) -> Floats:
    """(WEEKS, B) fame week by week: during a revival an author's books are met up to seven times as often."""
    weeks = np.tile(fame, (WEEKS, 1))
    authors = (rng.random(REVIVALS) * (author.max() + 1)).astype(np.int64)
    # Evenly spread, and the last one begins in the last weeks: there is always something that trends.
    starts = (np.arange(REVIVALS) + 0.6) * (WEEKS - 2) / REVIVALS
    for who, start in zip(authors, starts.astype(np.int64), strict=True):
        for week in range(int(start), min(int(start) + 5, WEEKS)):
            weeks[week, author == who] *= 7.0 - (week - start)
    return np.asarray(weeks / weeks.sum(axis=1, keepdims=True))


def _kinds(kinds: dict[str, Any], names: dict[str, int]) -> tuple[Floats, Floats]:
    table = np.zeros((len(kinds), len(names) + STYLES))
    for row, kind in enumerate(kinds.values()):
        for name, weight in kind["likes"].items():
            table[row, names[name]] = weight
    shares = np.array([kind["share"] for kind in kinds.values()], dtype=np.float64)
    return table, shares / shares.sum()


def _kin(kinds: Floats, shares: Floats) -> Floats:
    lengths = np.sqrt((kinds * kinds).sum(axis=1))
    kin = shares * np.exp(KINSHIP * (kinds @ kinds.T) / np.outer(lengths, lengths))
    return np.asarray(kin / kin.sum(axis=1, keepdims=True))
