from collections.abc import Callable
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from models.reasons import LEAST_SHARE, because, shares

contributions = arrays(np.float32, st.integers(0, 30), elements=st.floats(-100, 100, width=32))


@given(contributions)
def test_shares_always_add_up_to_one_where_anything_is_positive(parts: NDArray[np.float32]) -> None:
    found = shares(parts)
    assert found.shape == parts.shape
    assert ((found >= 0) & (found <= 1)).all()
    assert (found[parts <= 0] == 0).all()
    assert found.sum() == pytest.approx(1.0 if (parts > 0).any() else 0.0)


def test_a_share_is_the_part_of_the_positive_contributions_whatever_the_negative_ones() -> None:
    assert shares(np.array([3.0, -5.0, 1.0])).tolist() == [0.75, 0.0, 0.25]


@given(contributions)
def test_reasons_are_at_most_three_positive_largest_first(parts: NDArray[np.float32]) -> None:
    books = [UUID(int=row) for row in range(len(parts))]
    found = because(books, parts)
    told = [reason.share or 0.0 for reason in found]
    assert len(found) == min(3, max(int((shares(parts) >= LEAST_SHARE).sum()), int((parts > 0).any())))
    assert told == sorted(told, reverse=True)
    assert all(share > 0 for share in told)
    assert told == sorted(shares(parts), reverse=True)[: len(told)]


def test_of_equal_reasons_the_newer_book_comes_first(book: Callable[[int], UUID]) -> None:
    found = because([book(0), book(1), book(2), book(3)], np.array([1.0, 1.0, 2.0, 1.0]))
    assert [reason.book_id for reason in found] == [book(2), book(3), book(1)]
