"""For whom, and for which books, the lists are good: the same metrics over parts of the readers or of the books."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation import metrics
from models.evaluation.bootstrap import UNKNOWN, Interval, intervals
from models.evaluation.facts import BookFacts
from models.evaluation.splits import Split

DRAWS = 1000
DEEPEST = 20
HISTORY = ((0, "none"), (5, "1 to 5"), (20, "6 to 20"), (100, "21 to 100"), (np.inf, "over 100"))
"""The longest history of each part, in ratings of any stars, and its name."""
AGES = ("oldest quarter", "second quarter", "third quarter", "newest quarter")

Values = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Model name to metric name to (readers,)."""


@dataclass(frozen=True)
class Lists:
    """What one model showed, the readers in the order of the comparison.

    Attributes:
        top: (readers, depth) book numbers, -1 where a list is shorter.
        hits: (readers, depth) whether the reader came to like that book.
    """

    top: NDArray[np.int32]
    hits: NDArray[np.bool_]


@dataclass(frozen=True)
class Slice:
    """One part, every model on the same readers.

    Attributes:
        kind: ``history`` (readers by how many ratings were known of them), ``genre``, ``age`` or ``newness`` (books).
        name: Of the part, for people.
        n: Readers; none is left out for being few. NaN everywhere where there is none.
        intervals: Model to metric to mean and interval.
        gains: First model minus each other, paired.
    """

    kind: str
    name: str
    n: int
    intervals: Mapping[str, Mapping[str, Interval]]
    gains: Mapping[str, Mapping[str, Interval]]


def measured(kind: str, name: str, values: Values, seed: int = 0) -> Slice:
    """The slice of exactly these readers; the first model is ours."""
    ours, *rivals = values
    columns = {(model, metric): column for model, of_model in values.items() for metric, column in of_model.items()}
    paired = {
        (rival, metric): column - values[rival][metric] for rival in rivals for metric, column in values[ours].items()
    }
    n = len(next(iter(columns.values())))
    if n:
        found = intervals(np.column_stack([*columns.values(), *paired.values()]), seed=seed, draws=DRAWS)
    else:
        found = [UNKNOWN] * (len(columns) + len(paired))
    told = dict(zip(columns, found, strict=False))
    gained = dict(zip(paired, found[len(columns) :], strict=True))
    return Slice(
        kind,
        name,
        n,
        {model: {metric: told[model, metric] for metric in values[model]} for model in values},
        {rival: {metric: gained[rival, metric] for metric in values[ours]} for rival in rivals},
    )


def by_history(split: Split, readers: NDArray[np.int64], values: Values, seed: int = 0) -> list[Slice]:
    """Readers by how many ratings were known of them.

    Args:
        split: Where the history is.
        readers: (r,) those judged, in the order of the values.
        values: Of each reader.
        seed: Of the bootstrap.
    """
    known = np.bincount(split.history.reader, minlength=split.history.reader_count)[readers]
    part = np.searchsorted([longest for longest, _ in HISTORY], known)
    return [
        measured("history", name, _of(values, part == number), seed)
        for number, (_, name) in enumerate(HISTORY)
        if number or (part == 0).any()  # nobody without a history is the usual case, not a gap
    ]


def by_books(
    parts: Mapping[tuple[str, str], NDArray[np.bool_]],
    liked: tuple[NDArray[np.int64], NDArray[np.int32]],
    lists: Mapping[str, Lists],
    seed: int = 0,
) -> list[Slice]:
    """The same lists, judged as if a part of the books were all that there was to find.

    A reader counts in every part of which they came to like a book; books of other parts are neither hits nor missed,
    but keep their places in the list.

    Args:
        parts: Kind and name to (books,): which books.
        liked: Positions of readers in the lists, and numbers of the books that each came to like: (pairs,) each.
        lists: Model to what it showed.
        seed: Of the bootstrap.
    """
    reader, book = liked
    found = []
    for (kind, name), inside in parts.items():
        relevant = np.bincount(reader[inside[book]], minlength=len(next(iter(lists.values())).top))
        there = np.flatnonzero(relevant)
        values = {}
        for model, shown in lists.items():
            # As deep as is measured; where top is -1 there is no hit.
            hits = shown.hits[there, :DEEPEST] & inside[shown.top[there, :DEEPEST]]
            values[model] = of_slices(hits, relevant[there])
        found.append(measured(kind, name, values, seed))
    return found


def of_slices(hits: NDArray[np.bool_], relevant: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
    """The metrics that slices are told in."""
    return {"ndcg_at_10": metrics.ndcg(hits, relevant, 10), "recall_at_20": metrics.recall(hits, relevant, 20)}


def book_parts(split: Split, facts: BookFacts | None) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """The parts of the library: its genres, its ages, and what nobody had rated.

    Age is that of publication; without years, of the first rating in the training part. Quarters are of the books
    whose age is known, equal ages together; the books of unknown age are a part of their own.
    """
    parts: dict[tuple[str, str], NDArray[np.bool_]] = {}
    if facts is not None:
        parts |= {("genre", name): facts.genres[:, number] for number, name in enumerate(facts.genre_names)}
    parts |= _ages(_first_rated(split) if facts is None or np.isnan(facts.year).all() else facts.year.astype(float))
    known = split.known_books
    return parts | {("newness", "rated before"): known, ("newness", "new: nobody had rated it"): ~known}


def _ages(age: NDArray[np.float64]) -> dict[tuple[str, str], NDArray[np.bool_]]:
    known = ~np.isnan(age)
    if not known.any():
        return {}
    edges = np.quantile(age[known], (0.25, 0.5, 0.75), method="inverted_cdf")
    quarter = np.where(known, np.searchsorted(edges, age, side="left"), -1)
    parts = {("age", _spelt(name, age[quarter == number])): quarter == number for number, name in enumerate(AGES)}
    return parts if known.all() else parts | {("age", "unknown"): ~known}


def _spelt(name: str, age: NDArray[np.float64]) -> str:
    """With its years, where the ages are years and not moments."""
    if not len(age) or np.abs(age).max() > 1e5:  # noqa: PLR2004 - microseconds since 1970 are far beyond any year
        return name
    first, last = int(age.min()), int(age.max())
    return f"{name}, {first}" if first == last else f"{name}, {first} to {last}"


def _first_rated(split: Split) -> NDArray[np.float64]:
    first = np.full(split.train.book_count, np.inf)
    np.minimum.at(first, split.train.book, split.train.at.astype(np.float64))
    return np.where(np.isinf(first), np.nan, first)


def _of(values: Values, chosen: NDArray[np.bool_]) -> Values:
    return {model: {metric: column[chosen] for metric, column in found.items()} for model, found in values.items()}
