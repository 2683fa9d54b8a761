"""Many models beside each other, on the same readers and the same later ratings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.evaluation import metrics, slices
from models.evaluation.bootstrap import Interval, intervals
from models.evaluation.facts import BookFacts
from models.evaluation.rankers import Ranker, Top, refuse_wrong
from models.evaluation.slices import Lists, Slice
from models.evaluation.splits import Split
from models.reader import LIKED_FROM
from models.training.interactions import Interactions

DEPTH = 50
"""Of every list: as far as the coverage curve goes."""
HEADLINE = "ndcg_at_10"
YARDSTICK = "popularity"

PerReader = Mapping[str, NDArray[np.float64]]


class NothingToJudge(ValueError):
    """Nobody has later ratings by which a list could be right or wrong."""


@dataclass(frozen=True)
class Quality:
    """How good one model's lists are.

    Attributes:
        per_reader: Metric name to (readers,), the readers in the order of the comparison.
        intervals: Of their means.
        coverage: Share of the library among all first tens.
        coverage_curve: (50,): among all first k, for k = 1 … 50.
        top: (readers, 50): the lists themselves, book numbers, -1 where one is shorter.
    """

    per_reader: PerReader
    intervals: Mapping[str, Interval]
    coverage: float
    coverage_curve: NDArray[np.float64]
    top: Top


@dataclass(frozen=True)
class Comparison:
    """What is known of some models before anybody is served by one of them.

    Attributes:
        protocol: Of the split.
        readers: (r,) numbers of the readers judged: every one with a book in the future that they came to like, those
            without a history only where the split does not keep them apart.
        models: Name to quality; the first is ours.
        gains: Ours minus each other, paired: name to metric to interval.
        slices: Parts of the readers and of the books.
        newcomers: The readers without a history, where the split keeps them apart and there are any.
        counts: Of the split, for people.
        variants: Names of models that are ours without one of its parts: beside ours in every table, and no rivals.
    """

    protocol: str
    readers: NDArray[np.int64]
    models: Mapping[str, Quality]
    gains: Mapping[str, Mapping[str, Interval]]
    slices: tuple[Slice, ...]
    newcomers: "Comparison | None"
    counts: Mapping[str, int]
    variants: frozenset[str] = frozenset()

    @property
    def ours(self) -> str:
        return next(iter(self.models))

    @property
    def rivals(self) -> tuple[str, ...]:
        return tuple(name for name in self.models if name != self.ours and name not in self.variants)

    @property
    def strongest_rival(self) -> str | None:
        """The best of the others by the headline; None when ours is alone."""
        return max(self.rivals, key=lambda name: self.models[name].intervals[HEADLINE].mean, default=None)

    @property
    def metrics(self) -> dict[str, float]:
        """Flat, for MLflow: ``ndcg_at_10``, ``ndcg_at_10_low``, ``popularity_ndcg_at_10``, ``gain_ndcg_at_10_low`` …

        ``gain_`` is over the model named ``popularity``, ``gain_over_als_`` over the one named ``ALS``.
        """
        told: dict[str, Mapping[str, Interval]] = {}
        flat = {"readers": float(len(self.readers))}
        for name, quality in self.models.items():
            prefix = "" if name == self.ours else f"{_slug(name)}_"
            told[prefix] = quality.intervals
            flat[f"{prefix}coverage_at_10"] = quality.coverage
        for rival, gain in self.gains.items():
            told["gain_" if rival == YARDSTICK else f"gain_over_{_slug(rival)}_"] = gain
        for prefix, of_model in told.items():
            for name, (mean, low, high) in of_model.items():
                flat |= {f"{prefix}{name}": mean, f"{prefix}{name}_low": low, f"{prefix}{name}_high": high}
        return flat

    def table(self) -> str:
        """Markdown, for people: one row a metric, one column a model, then the gains; means with 95 % intervals."""
        head = [f"{self.protocol}, {len(self.readers)} readers", *self.models, *(f"gain over {n}" for n in self.gains)]
        rows = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        columns = [*(quality.intervals for quality in self.models.values()), *self.gains.values()]
        for metric in columns[0]:
            cells = " | ".join("{:.4f} [{:.4f}, {:.4f}]".format(*of_model[metric]) for of_model in columns)
            rows.append(f"| {metric} | {cells} |")
        covered = " | ".join(f"{quality.coverage:.4f}" for quality in self.models.values())
        return "\n".join([*rows, f"| coverage_at_10 | {covered} |" + " |" * len(self.gains)])


@dataclass(frozen=True)
class Report:
    """Two models, the second the yardstick: the short form of a comparison."""

    comparison: Comparison

    @property
    def protocol(self) -> str:
        return self.comparison.protocol

    @property
    def readers(self) -> NDArray[np.int64]:
        return self.comparison.readers

    @property
    def champion(self) -> Quality:
        return self.comparison.models["champion"]

    @property
    def popularity(self) -> Quality:
        return self.comparison.models[YARDSTICK]

    @property
    def gains(self) -> Mapping[str, Interval]:
        """Champion minus popularity, paired, by metric."""
        return self.comparison.gains[YARDSTICK]

    @property
    def metrics(self) -> dict[str, float]:
        return self.comparison.metrics

    def table(self) -> str:
        return self.comparison.table()


def evaluate(split: Split, champion: Ranker, popularity: Ranker, *, seed: int = 0) -> Report:
    """``compare`` of two.

    Raises:
        NothingToJudge: No reader came to like anything.
    """
    return Report(compare(split, {"champion": champion, YARDSTICK: popularity}, seed=seed))


def compare(split: Split, models: Mapping[str, Ranker], facts: BookFacts | None = None, *, seed: int = 0) -> Comparison:
    """Ranks all books that a reader has not rated before, for every reader with a book that they came to like.

    Args:
        split: What was known and what came.
        models: Name to ranker, learned from ``split.train`` alone; the first is ours, at least one.
        facts: Without them there are no metrics of authors and genres, and no slices by genre.
        seed: Of the bootstrap.

    Raises:
        NothingToJudge: No reader, or none with a history where the split keeps the others apart, came to like anything.
        ValueError: A ranker's list repeats a book or holds one that its reader had rated.
    """
    liked, readers, newcomers = _judged(split)
    comparison = _compared(split, liked, readers, models, facts, seed)
    if not len(newcomers):
        return comparison
    return replace(comparison, newcomers=_compared(split, liked, newcomers, models, facts, seed))


def headline(split: Split, ranker: Ranker) -> NDArray[np.float64]:
    """NDCG@10 of one model and nothing else, (readers,) as in ``compare``: quick, for tuning.

    Raises:
        NothingToJudge: As ``compare``.
    """
    liked, readers, _ = _judged(split)
    mine = liked.only(np.isin(liked.reader, readers))
    relevant = np.bincount(mine.reader, minlength=liked.reader_count)[readers]
    return metrics.ndcg(_lists(ranker, split, readers, mine, depth=10).hits, relevant, 10)


def _judged(split: Split) -> tuple[Interactions, NDArray[np.int64], NDArray[np.int64]]:
    """What readers came to like, and who is judged by it: together, and apart for having no history."""
    liked = split.future.only(split.future.stars >= LIKED_FROM)
    judged = np.unique(liked.reader).astype(np.int64)
    known = split.known_readers[judged] if split.apart else np.ones(len(judged), dtype=np.bool_)
    if not known.any():
        who = "reader known before" if split.apart else "reader"
        raise NothingToJudge(f"no {who} has a later rating of four stars or more: nothing to judge by")
    return liked, judged[known], judged[~known]


def _compared(
    split: Split,
    liked: Interactions,
    readers: NDArray[np.int64],
    models: Mapping[str, Ranker],
    facts: BookFacts | None,
    seed: int,
) -> Comparison:
    place = np.full(liked.reader_count, -1)
    place[readers] = np.arange(len(readers))
    mine = liked.only(place[liked.reader] >= 0)
    pairs = (place[mine.reader], mine.book)
    relevant = np.bincount(pairs[0], minlength=len(readers))
    lists = {name: _lists(ranker, split, readers, mine) for name, ranker in models.items()}
    values = {name: _per_reader(shown, relevant, split, facts) for name, shown in lists.items()}
    ours = next(iter(values))
    told = _bounded(values, seed)
    gains = {
        name: {metric: column - found[metric] for metric, column in values[ours].items()}
        for name, found in values.items()
        if name != ours
    }
    curves = {name: metrics.coverage_curve(shown.top, split.train.book_count) for name, shown in lists.items()}
    return Comparison(
        protocol=split.protocol,
        readers=readers,
        models={
            name: Quality(values[name], told[name], float(curves[name][9]), curves[name], lists[name].top)
            for name in models
        },
        gains=_bounded(gains, seed),
        slices=(
            *slices.by_history(split, readers, _short(values), seed),
            *slices.by_books(slices.book_parts(split, facts), pairs, lists, seed),
        ),
        newcomers=None,
        counts={"readers judged": len(readers), **split.counts},
    )


def _per_reader(shown: Lists, relevant: NDArray[np.int64], split: Split, facts: BookFacts | None) -> PerReader:
    top, hits = shown.top, shown.hits
    raters = np.bincount(split.train.book, minlength=split.train.book_count)
    found = {
        HEADLINE: metrics.ndcg(hits, relevant, 10),
        "ndcg_at_20": metrics.ndcg(hits, relevant, 20),
        "recall_at_20": metrics.recall(hits, relevant, 20),
        "map_at_10": metrics.average_precision(hits, relevant, 10),
        "hit_rate_at_10": metrics.hit_rate(hits, 10),
        "novelty_at_10": metrics.novelty(top, raters, len(np.unique(split.train.reader)), 10),
    }
    if facts is None:
        return found
    return found | {
        "authors_at_10": metrics.distinct_authors(top, facts.author, 10),
        "genre_entropy_at_10": metrics.genre_entropy(top, facts.genres, 10),
    }


def _short(values: Mapping[str, PerReader]) -> Mapping[str, PerReader]:
    told = (HEADLINE, "recall_at_20")
    return {name: {metric: found[metric] for metric in told} for name, found in values.items()}


def _bounded(values: Mapping[str, PerReader], seed: int) -> dict[str, dict[str, Interval]]:
    """Mean and interval of every column, all from the same resamples."""
    keys = [(name, metric) for name, found in values.items() for metric in found]
    if not keys:
        return {}
    bounds = intervals(np.column_stack([values[name][metric] for name, metric in keys]), seed=seed)
    told = dict(zip(keys, bounds, strict=True))
    return {name: {metric: told[name, metric] for metric in found} for name, found in values.items()}


def _lists(ranker: Ranker, split: Split, readers: NDArray[np.int64], liked: Interactions, depth: int = DEPTH) -> Lists:
    """With the places that hold a book which the reader came to like."""
    top = ranker.top(split.history, readers, depth)
    refuse_wrong(top, split.history, readers)
    pairs = liked.reader.astype(np.int64) * liked.book_count + liked.book
    shown = readers[:, None] * liked.book_count + top
    return Lists(top, np.isin(shown, pairs) & (top >= 0))


def _slug(name: str) -> str:
    """As MLflow takes it: letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
