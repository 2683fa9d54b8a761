"""A champion beside popularity, on the same readers and the same later ratings."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation import metrics
from models.evaluation.bootstrap import Interval, interval, paired_gain
from models.evaluation.rankers import LIKED_FROM, Ranker, Top
from models.evaluation.splits import Split
from models.training.interactions import Interactions

DEPTH = 20
HEADLINE = "ndcg_at_10"


@dataclass(frozen=True)
class Quality:
    """How good one model's lists are.

    Attributes:
        per_reader: Metric name to (readers,), the readers in the order of ``Report.readers``.
        intervals: Of their means.
        coverage: Share of the library among all first tens.
    """

    per_reader: Mapping[str, NDArray[np.float64]]
    intervals: Mapping[str, Interval]
    coverage: float


@dataclass(frozen=True)
class Report:
    """What is known of a model before anybody is served by it.

    Attributes:
        protocol: Of the split.
        readers: (r,) numbers of the readers judged: every one with a book in the future that they came to like.
        champion: What would be served.
        popularity: The yardstick.
        gains: Champion minus popularity, paired, by metric.
    """

    protocol: str
    readers: NDArray[np.int64]
    champion: Quality
    popularity: Quality
    gains: Mapping[str, Interval]

    @property
    def metrics(self) -> dict[str, float]:
        """Flat, for MLflow: ``ndcg_at_10``, ``ndcg_at_10_low``, ``popularity_ndcg_at_10``, ``gain_ndcg_at_10_low`` …"""
        flat = {"readers": float(len(self.readers))}
        told = {"": self.champion.intervals, "popularity_": self.popularity.intervals, "gain_": self.gains}
        for prefix, intervals in told.items():
            for name, (mean, low, high) in intervals.items():
                flat |= {f"{prefix}{name}": mean, f"{prefix}{name}_low": low, f"{prefix}{name}_high": high}
        return flat | {
            "coverage_at_10": self.champion.coverage,
            "popularity_coverage_at_10": self.popularity.coverage,
        }

    def table(self) -> str:
        """Markdown, for people: one row a metric, means with 95 % intervals."""
        rows = [f"| {self.protocol}, {len(self.readers)} readers | champion | popularity | gain |", "|---|---|---|---|"]
        for name, gain in self.gains.items():
            cells = (self.champion.intervals[name], self.popularity.intervals[name], gain)
            rows.append(
                f"| {name} | " + " | ".join(f"{m:.4f} [{low:.4f}, {high:.4f}]" for m, low, high in cells) + " |"
            )
        rows.append(f"| coverage_at_10 | {self.champion.coverage:.4f} | {self.popularity.coverage:.4f} | |")
        return "\n".join(rows)


def evaluate(split: Split, champion: Ranker, popularity: Ranker, *, seed: int = 0) -> Report:
    """Ranks all books that a reader has not rated before, for every reader with a book that they came to like.

    Args:
        split: What was known and what came.
        champion: Learned from ``split.train`` alone.
        popularity: Likewise.
        seed: Of the bootstrap.

    Raises:
        ValueError: No reader came to like anything.
    """
    liked = split.future.only(split.future.stars >= LIKED_FROM)
    relevant = np.bincount(liked.reader, minlength=liked.reader_count)
    readers = np.flatnonzero(relevant)
    if not len(readers):
        raise ValueError("no reader has a later rating of four stars or more: nothing to judge by")
    judged = {
        name: _quality(ranker.top(split.history, readers, DEPTH), readers, liked, split, seed)
        for name, ranker in (("champion", champion), ("popularity", popularity))
    }
    ours, yardstick = judged["champion"], judged["popularity"]
    gains = {
        name: paired_gain(values, yardstick.per_reader[name], seed=seed) for name, values in ours.per_reader.items()
    }
    return Report(split.protocol, readers, ours, yardstick, gains)


def _quality(top: Top, readers: NDArray[np.int64], liked: Interactions, split: Split, seed: int) -> Quality:
    relevant = np.bincount(liked.reader, minlength=liked.reader_count)[readers]
    hits = _hits(top, readers, liked)
    raters = np.bincount(split.train.book, minlength=split.train.book_count)
    per_reader = {
        HEADLINE: metrics.ndcg(hits, relevant, 10),
        "ndcg_at_20": metrics.ndcg(hits, relevant, 20),
        "recall_at_20": metrics.recall(hits, relevant, 20),
        "map_at_10": metrics.average_precision(hits, relevant, 10),
        "hit_rate_at_10": metrics.hit_rate(hits, 10),
        "novelty_at_10": metrics.novelty(top, raters, len(np.unique(split.train.reader)), 10),
    }
    return Quality(
        per_reader=per_reader,
        intervals={name: interval(values, seed=seed) for name, values in per_reader.items()},
        coverage=metrics.coverage(top, split.train.book_count, 10),
    )


def _hits(top: Top, readers: NDArray[np.int64], liked: Interactions) -> NDArray[np.bool_]:
    """Which places of the lists hold a book that the reader came to like: (readers, depth)."""
    pairs = liked.reader.astype(np.int64) * liked.book_count + liked.book
    shown = readers[:, None] * liked.book_count + top
    found: NDArray[np.bool_] = np.isin(shown, pairs) & (top >= 0)
    return found
