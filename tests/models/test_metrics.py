"""Every metric against a table worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_the_coverage_curve_counts_each_book_from_its_best_place_on() -> None:
    # Book 0 comes first for both, 1 and 2 second, 3 third; the gaps are no books.
    assert metrics.coverage_curve(TOP, 8).tolist() == [1 / 8, 3 / 8, 4 / 8]
    assert metrics.coverage_curve(np.array([[5, 6], [6, 5]]), 10).tolist() == [0.2, 0.2]
    assert metrics.coverage_curve(TOP[2:], 8).tolist() == [0, 0, 0]
    assert metrics.coverage_curve(TOP[:0], 8).tolist() == [0, 0, 0]


lists = st.integers(1, 6).flatmap(
    lambda depth: st.lists(
        st.lists(st.integers(0, 9), unique=True, max_size=depth).map(lambda found: [*found, *[-1] * depth][:depth]),
        min_size=1,
        max_size=6,
    )
)


@given(lists)
def test_the_coverage_curve_at_k_is_the_coverage_of_the_first_k(shown: list[list[int]]) -> None:
    top = np.array(shown)
    curve = metrics.coverage_curve(top, 10)
    assert curve.tolist() == pytest.approx([metrics.coverage(top, 10, k + 1) for k in range(top.shape[1])])


def test_authors_are_counted_once_each() -> None:
    author = np.array([7, 7, 2, 0])
    assert metrics.distinct_authors(TOP, author, 3).tolist() == [1, 3, 0]
    assert metrics.distinct_authors(TOP, author, 1).tolist() == [1, 1, 0]


@given(lists, st.lists(st.integers(0, 4), min_size=10, max_size=10))
def test_authors_are_those_of_a_set(shown: list[list[int]], author: list[int]) -> None:
    found = metrics.distinct_authors(np.array(shown), np.array(author), len(shown[0]))
    assert found.tolist() == [len({author[book] for book in row if book >= 0}) for row in shown]


def test_genre_entropy_is_in_bits_and_a_book_shares_itself_among_its_genres() -> None:
    genres = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]], dtype=bool)
    top = np.array([[0, 1, -1], [0, 2, 3], [3, -1, -1], [-1, -1, -1]])
    three_quarters = 0.75 * np.log2(4 / 3) + 0.25 * 2  # book 0 wholly and half of book 2, against its other half
    assert metrics.genre_entropy(top, genres, 3) == pytest.approx([1, three_quarters, 0, 0])
    assert metrics.genre_entropy(top, genres, 1).tolist() == [0, 0, 0, 0]


def test_as_many_books_of_every_genre_have_the_highest_entropy() -> None:
    genres = np.repeat(np.eye(8, dtype=bool), 2, axis=0)
    assert metrics.genre_entropy(np.arange(16)[None, :], genres, 16) == pytest.approx([3])
