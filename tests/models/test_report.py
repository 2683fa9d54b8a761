from collections.abc import Callable
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from models.evaluation.rankers import PopularRanker, Top
from models.evaluation.report import evaluate
from models.evaluation.splits import Split, leave_last
from models.training.interactions import Interactions, interactions


class Told:
    """A ranker that answers with what it was given, reader by reader."""

    def __init__(self, *lists: list[int]) -> None:
        self._lists = lists

    def top(self, history: Interactions, readers: NDArray[np.integer], depth: int) -> Top:  # noqa: ARG002 - told, not asked
        found = np.full((len(readers), depth), -1, dtype=np.int32)
        for row, reader in enumerate(readers):
            found[row, : len(self._lists[reader])] = self._lists[reader]
        return found


@pytest.fixture
def split(book: Callable[[int], UUID]) -> Split:
    """Three readers of five books, oldest first; the last of each is the future, and reader 2 does not like theirs."""
    shelves = [[(0, 5), (1, 5), (2, 4)], [(0, 4), (2, 5), (3, 5)], [(1, 5), (4, 3), (0, 2)]]
    rows = [(reader, number, stars) for reader, shelf in enumerate(shelves) for number, stars in shelf]
    return leave_last(
        interactions(
            [reader for reader, *_ in rows],
            [book(number) for _, number, _ in rows],
            [stars for *_, stars in rows],
            np.arange(len(rows)),
        )
    )


def test_every_reader_with_a_liked_future_book_counts_and_no_other(split: Split) -> None:
    report = evaluate(split, Told([2], [1, 3], [0]), PopularRanker(split.train))
    assert report.readers.tolist() == [0, 1]
    assert report.metrics["readers"] == 2
    assert report.champion.per_reader["ndcg_at_10"].tolist() == pytest.approx([1, 1 / np.log2(3)])
    assert report.champion.per_reader["recall_at_20"].tolist() == [1, 1]
    assert report.champion.coverage == 3 / 5


def test_the_gain_is_over_the_same_readers(split: Split) -> None:
    same = evaluate(split, PopularRanker(split.train), PopularRanker(split.train))
    assert all(gain == (0, 0, 0) for gain in same.gains.values())
    better = evaluate(split, Told([2], [3], []), Told([], [3], []))
    assert better.gains["ndcg_at_10"].mean == 0.5


def test_an_empty_list_is_a_miss_not_a_reader_less(split: Split) -> None:
    report = evaluate(split, Told([], [3], []), PopularRanker(split.train))
    assert report.champion.intervals["hit_rate_at_10"].mean == 0.5


def test_metric_names_are_ones_that_mlflow_takes_and_values_are_finite(split: Split) -> None:
    told = evaluate(split, Told([2], [3], [0]), PopularRanker(split.train)).metrics
    assert all("@" not in name for name in told)
    assert all(np.isfinite(value) for value in told.values())
    for name in ("ndcg_at_10", "ndcg_at_20", "recall_at_20", "map_at_10", "hit_rate_at_10"):
        for prefix in ("", "popularity_", "gain_"):
            assert told[f"{prefix}{name}_low"] <= told[f"{prefix}{name}"] <= told[f"{prefix}{name}_high"]


def test_the_table_names_protocol_and_every_metric(split: Split) -> None:
    table = evaluate(split, Told([2], [3], [0]), PopularRanker(split.train)).table()
    assert table.startswith("| P1, 2 readers |")
    assert all(name in table for name in ("ndcg_at_10", "recall_at_20", "coverage_at_10"))
    assert "1.0000 [1.0000, 1.0000]" in table


def test_without_a_liked_future_book_there_is_nothing_to_judge_by(book: Callable[[int], UUID]) -> None:
    bored = leave_last(interactions([0, 0], [book(0), book(1)], [5, 1], np.arange(2)))
    with pytest.raises(ValueError, match="nothing to judge by"):
        evaluate(bored, Told([]), Told([]))
