"""What the re-ranker looks at: one reader's candidates, and a row of numbers for each."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.catalogue import Catalogue
from models.linear import Factors, Linear

NEWEST: Final = 300
"""Ratings of a reader that count; what is older weighs next to nothing in the query."""

FROM_TASTE: Final = 150
FROM_FACTORS: Final = 50
ASKED_OF_FACTORS: Final = 2000
"""Only so many, the best by the linear score, are looked at by their factors: who is behind them is not among the best
by both, and reading the factors of 100,000 books would take most of the time of an answer."""
DISLIKED: Final = 2
NEVER: Final = -1.0
FAR: Final = -20.0
"""Stands for the distance to a series of which the reader knows nothing."""

FEATURES: Final = (
    *("taste", "taste_of_best", "taste_rank", "taste_without_time", "taste_of_late", "taste_of_last", "taste_of_four"),
    *("factors", "factors_of_best", "factors_rank", "largest_part", "parts", "disliked"),
    *("author_books", "author_weight", "author_back", "author_stars"),
    *("series_books", "series_back", "series_gap", "position"),
    *("genres", "genres_of_late"),
    *("likes", "mean", "raters", "year", "years_apart", "ratings", "mean_stars", "same_language"),
    *("nearest_of_three", "nearest_of_ten"),
)
"""The columns, in order: a re-ranker is of use only with the columns it was trained on."""


@dataclass(frozen=True)
class Known:
    """What a reader has rated, oldest first, as rows of the bundle.

    Attributes:
        rows: (n,).
        stars: (n,), 1 to 5.
        evidence: (n,) ≥ 0: what the stars say of liking, without time.
        weights: (n,) ≥ 0: the same, decayed with every later rating.
    """

    rows: NDArray[np.intp]
    stars: NDArray[np.intp]
    evidence: NDArray[np.float32]
    weights: NDArray[np.float32]

    @cached_property
    def back(self) -> NDArray[np.float32]:
        """(n,): how many ratings came after it."""
        return np.arange(len(self.rows) - 1, -1, -1, dtype=np.float32)

    def newest(self) -> "Known":
        if len(self.rows) <= NEWEST:
            return self
        last = slice(-NEWEST, None)
        return Known(self.rows[last], self.stars[last], self.evidence[last], self.weights[last])


@dataclass(frozen=True)
class Candidates:
    """What may be recommended to one reader.

    Attributes:
        rows: (c,), never one that is barred.
        taste: (c,) > 0: the linear score.
        parts: (c, n): what each of the reader's books contributes to it.
        features: (c, len(FEATURES)) float32, finite.
    """

    rows: NDArray[np.intp]
    taste: NDArray[np.float32]
    parts: NDArray[np.float32]
    features: NDArray[np.float32]


def candidates(
    known: Known, linear: Linear, factors: Factors, catalogue: Catalogue, eligible: NDArray[np.bool_]
) -> Candidates:
    """The books worth a closer look, with their features.

    They are the best by the linear score, of the ``ASKED_OF_FACTORS`` best of them the best by the factors, and the
    volumes of series that the reader has begun; all with a positive linear score, so that every pick has reasons.

    Args:
        known: At least one rating with a positive weight.
        linear: The taste that reasons come from.
        factors: The second opinion.
        catalogue: Of the same books.
        eligible: (books,): what may be shown.
    """
    known = known.newest()
    taste = linear.scores(known.rows, known.weights)
    allowed = eligible & (taste > 0) & np.isfinite(taste)
    near = _largest(taste, allowed, ASKED_OF_FACTORS)
    second = factors.scores_of(known.rows, known.weights, near)
    chosen = np.zeros(len(taste), dtype=np.bool_)
    chosen[near[_largest(taste[near], np.ones(len(near), dtype=np.bool_), FROM_TASTE)]] = True
    chosen[near[_largest(second, second > 0, FROM_FACTORS)]] = True
    for code in np.unique(catalogue.series[known.rows]):
        chosen[catalogue.in_series(int(code))] = True
    rows = np.flatnonzero(chosen & allowed)
    each = linear.contributions(known.rows, np.ones_like(known.weights), rows)
    parts = each * known.weights
    columns = [
        *_of_taste(known, taste[rows], each),
        *_of_factors(factors.scores_of(known.rows, known.weights, rows)),
        parts.max(axis=1, initial=0.0) / np.maximum(taste[rows], 1e-9),
        (parts > 0).sum(axis=1),
        _disliked(known, each),
        *_of_author(known, catalogue, rows),
        *_of_series(known, catalogue, rows),
        *_of_genres(known, catalogue, rows),
        *_of_book(known, catalogue, rows),
        *_nearest(known, factors, rows),
    ]
    return Candidates(rows, taste[rows], parts, np.stack(columns, axis=1).astype(np.float32))


def _largest(scores: NDArray[np.float32], allowed: NDArray[np.bool_], n: int) -> NDArray[np.intp]:
    rows = np.flatnonzero(allowed)
    if len(rows) <= n:
        return rows
    least = np.partition(scores[rows], len(rows) - n)[len(rows) - n]
    return np.asarray(rows[scores[rows] >= least])  # ties included: the same list whatever the order of the books


def _of_best(scores: NDArray[np.floating]) -> NDArray[np.floating]:
    """Relative to the tenth best: comparable between readers."""
    if not len(scores):
        return scores
    tenth = np.sort(scores)[-min(10, len(scores))]
    return np.asarray(scores / max(float(tenth), 1e-9))


def _ranks(scores: NDArray[np.floating]) -> NDArray[np.intp]:
    ranks = np.empty(len(scores), dtype=np.intp)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    return ranks


def _of_taste(known: Known, taste: NDArray[np.float32], each: NDArray[np.float32]) -> list[NDArray[np.generic]]:
    """The same score looked at through other windows of time.

    Args:
        known: Of the reader.
        taste: (c,), the linear score of each candidate.
        each: (c, n), what each of the reader's books would contribute with weight 1.
    """
    late = known.evidence * (1 + known.back) ** -1.5
    four = slice(-4, None)
    return [
        taste,
        _of_best(taste),
        _ranks(taste),
        _of_best(each @ known.evidence),
        _of_best(each @ late),
        each[:, -1],
        each[:, four] @ known.evidence[four],
    ]


def _of_factors(second: NDArray[np.float32]) -> list[NDArray[np.generic]]:
    return [second, _of_best(second), _ranks(second)]


def _disliked(known: Known, each: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much it resembles what the reader did not like."""
    bad = known.stars <= DISLIKED
    if not bad.any():
        return np.zeros(len(each), dtype=np.float32)
    return np.asarray(each[:, bad] @ (1 + known.back[bad]) ** -0.5)


def _of_author(known: Known, catalogue: Catalogue, rows: NDArray[np.intp]) -> list[NDArray[np.generic]]:
    same = catalogue.author[rows][:, None] == catalogue.author[known.rows]
    books = same.sum(axis=1)
    back = np.where(same, known.back, np.inf).min(axis=1)
    counted = same.astype(np.float32)  # a product of numbers that are not floats is a slow one
    stars = np.where(books > 0, counted @ known.stars.astype(np.float32) / np.maximum(books, 1), 0.0)
    return [books, counted @ known.weights, np.where(books > 0, back, NEVER), stars]


def _of_series(known: Known, catalogue: Catalogue, rows: NDArray[np.intp]) -> list[NDArray[np.generic]]:
    """``series_gap`` is 1 for the volume after the furthest that the reader knows."""
    code, position = catalogue.series[rows], catalogue.position[rows]
    same = (code[:, None] == catalogue.series[known.rows]) & (code >= 0)[:, None]
    books = same.sum(axis=1)
    back = np.where(same, known.back, np.inf).min(axis=1)
    furthest = np.where(same, catalogue.position[known.rows], NEVER).max(axis=1)
    told = (books > 0) & (position >= 0) & (furthest >= 0)
    gap = np.where(told, np.clip(position - furthest, -10, 10), FAR)
    return [books, np.where(books > 0, back, NEVER), gap, position]


def _of_genres(known: Known, catalogue: Catalogue, rows: NDArray[np.intp]) -> list[NDArray[np.generic]]:
    vectors, own = catalogue.genre_vectors[rows], catalogue.genre_vectors[known.rows]
    late = known.evidence * (1 + known.back) ** -1.5
    profiles = np.stack([known.weights @ own, late @ own], axis=1)
    cosines = vectors @ (profiles / np.maximum(np.linalg.norm(profiles, axis=0), 1e-9))
    return [cosines[:, 0], cosines[:, 1]]


def _of_book(known: Known, catalogue: Catalogue, rows: NDArray[np.intp]) -> list[NDArray[np.generic]]:
    year = catalogue.year[rows]
    dated = catalogue.year[known.rows] > 0
    weights = known.evidence * dated
    own_year = np.average(catalogue.year[known.rows], weights=weights) if weights.sum() > 0 else 0.0
    language = np.bincount(catalogue.language[known.rows] + 1).argmax() - 1
    count = len(rows)
    return [
        np.log1p(catalogue.likes[rows]),
        catalogue.mean[rows],
        np.log1p(catalogue.raters[rows]),
        year,
        np.where((year > 0) & (own_year > 0), np.abs(year - own_year), NEVER),
        np.full(count, len(known.rows)),
        np.full(count, known.stars.mean()),
        catalogue.language[rows] == language,
    ]


def _nearest(known: Known, factors: Factors, rows: NDArray[np.intp]) -> list[NDArray[np.generic]]:
    ten = factors.factors[rows] @ factors.factors[known.rows[-10:]].T
    return [ten[:, -3:].max(axis=1), ten.max(axis=1)]
