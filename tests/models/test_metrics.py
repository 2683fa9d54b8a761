"""Every metric against a table worked out by hand."""

import numpy as np
import pytest

from models.evaluation import metrics

# Four readers' first four places, and how many books each came to like.
HITS = np.array(
    [
        [True, False, True, False],
        [False, False, False, True],
        [False, False, False, False],
        [True, True, True, True],
    ]
)
RELEVANT = np.array([2, 1, 3, 6])

LOG3, LOG5 = np.log2(3), np.log2(5)


def test_ndcg() -> None:
    found = metrics.ndcg(HITS, RELEVANT, 4)
    assert found == pytest.approx([(1 + 1 / 2) / (1 + 1 / LOG3), 1 / LOG5, 0, 1])
    # At two places the reader who liked two has one hit of two, the one who liked six a perfect list.
    assert metrics.ndcg(HITS, RELEVANT, 2) == pytest.approx([1 / (1 + 1 / LOG3), 0, 0, 1])


def test_recall_is_of_all_that_was_liked() -> None:
    assert metrics.recall(HITS, RELEVANT, 4) == pytest.approx([1, 1, 0, 4 / 6])
    assert metrics.recall(HITS, RELEVANT, 1) == pytest.approx([1 / 2, 0, 0, 1 / 6])


def test_hit_rate() -> None:
    assert metrics.hit_rate(HITS, 4).tolist() == [1, 1, 0, 1]
    assert metrics.hit_rate(HITS, 3).tolist() == [1, 0, 0, 1]


def test_average_precision() -> None:
    expected = [(1 / 1 + 2 / 3) / 2, 1 / 4, 0, 1]
    assert metrics.average_precision(HITS, RELEVANT, 4) == pytest.approx(expected)
    assert metrics.average_precision(HITS, RELEVANT, 2) == pytest.approx([1 / 2, 0, 0, 1])


TOP = np.array([[0, 1, -1], [0, 2, 3], [-1, -1, -1]], dtype=np.int32)


def test_coverage_counts_books_not_gaps() -> None:
    assert metrics.coverage(TOP, 8, 3) == 4 / 8
    assert metrics.coverage(TOP, 8, 1) == 1 / 8
    assert metrics.coverage(TOP[2:], 8, 3) == 0


def test_novelty_is_the_mean_surprise_of_what_is_shown() -> None:
    raters = np.array([8, 4, 2, 0])
    assert metrics.novelty(TOP, raters, 8, 3) == pytest.approx([(0 + 1) / 2, (0 + 2 + 3) / 3, 0])
