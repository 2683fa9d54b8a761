from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ids import pack, unpack
from models.training.interactions import Numbered, interactions

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

rows = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 6), st.integers(1, 5), st.integers(0, 3)), max_size=40
)


@given(rows)
def test_ratings_are_always_grouped_by_reader_oldest_first_each_book_once(
    rows: list[tuple[str, int, int, int]],
) -> None:
    """Against the plainest possible way to say it."""
    made = interactions(
        [reader for reader, *_ in rows],
        [UUID(int=book) for _, book, *_ in rows],
        [stars for _, _, stars, _ in rows],
        [NOON + timedelta(minutes=minute) for *_, minute in rows],
    )
    names = sorted({reader for reader, *_ in rows})
    expected = []
    for reader in names:
        newest: dict[int, int] = {}
        for _, book, stars, _ in sorted((row for row in rows if row[0] == reader), key=lambda row: row[3]):
            newest.pop(book, None)
            newest[book] = stars
        expected += [(names.index(reader), UUID(int=book), stars) for book, stars in newest.items()]
    books = unpack(made.book_ids)
    assert [
        (reader, books[book], stars) for reader, book, stars in zip(made.reader, made.book, made.stars, strict=True)
    ] == expected
    assert books == sorted({UUID(int=book) for _, book, *_ in rows})
    assert made.reader_count == len(names)
    assert made.bounds is made.bounds, "found anew for each reader, learning would take the square of the readers"
    assert [made.bounds[r + 1] - made.bounds[r] for r in range(len(names))] == [
        sum(1 for reader, *_ in expected if reader == r) for r in range(len(names))
    ]


@pytest.mark.parametrize(
    "form",
    [
        lambda ids: ids,
        lambda ids: [str(one) for one in ids],
        lambda ids: [one.bytes for one in ids],
        lambda ids: np.array([list(one.bytes) for one in ids], dtype=np.uint8),
        lambda ids: Numbered(pack([ids[1], ids[0]]), np.array([1, 0, 1], dtype=np.uint32)),
    ],
)
def test_book_ids_may_come_in_any_form(form: Callable[[list[UUID]], Any], book: Callable[[int], UUID]) -> None:
    made = interactions([7, 7, 3], form([book(2), book(0), book(2)]), [5, 4, 3], np.array([2, 1, 3]))
    assert unpack(made.book_ids) == [book(0), book(2)]
    assert made.reader.tolist() == [0, 1, 1]
    assert made.book.tolist() == [1, 0, 1]
    assert made.stars.tolist() == [3, 4, 5]
    assert [str(column.dtype) for column in (made.reader, made.book, made.stars, made.at)] == [
        "int32",
        "int32",
        "int8",
        "int64",
    ]


@pytest.mark.parametrize(
    "at",
    [
        np.array([1_767_268_800_000_000]),
        np.array(["2026-01-01T12:00:00"], dtype="datetime64[s]"),
        [NOON],
    ],
)
def test_times_may_come_in_any_form(at: Any, book: Callable[[int], UUID]) -> None:  # noqa: ANN401 - that is the point
    made = interactions(["x"], [book(0)], [5], at)
    assert made.window == (NOON, NOON)


def test_without_ratings_there_is_no_window() -> None:
    empty = interactions([], [], [], [])
    assert (len(empty), empty.book_count, empty.reader_count, empty.window) == (0, 0, 0, None)


def test_splitting_off_ratings_keeps_the_numbers(book: Callable[[int], UUID]) -> None:
    made = interactions(["a", "b"], [book(0), book(1)], [5, 4], np.array([1, 2]))
    second = made.only(np.array([False, True]))
    assert (second.reader.tolist(), second.book.tolist()) == ([1], [1])
    assert (second.reader_count, second.book_count) == (2, 2)
    assert second.bounds.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ((["a", "b"], [UUID(int=0)], [5], np.array([1])), "2 readers, 1 books"),
        ((["a"], [UUID(int=0)], [9], np.array([1])), "1 to 5 stars"),
        ((["a"], [UUID(int=0)], [0], np.array([1])), "1 to 5 stars"),
        ((["a"], ["no uuid"], [5], np.array([1])), "UUID"),
        ((["a"], [UUID(int=0)], [5], np.array(["NaT"], dtype="datetime64[us]")), "no time"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns: tuple[Any, Any, Any, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        interactions(*columns)
