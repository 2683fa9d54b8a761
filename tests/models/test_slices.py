from collections.abc import Callable
from uuid import UUID

import numpy as np
import pytest

from models.evaluation.facts import BookFacts
from models.evaluation.slices import Lists, Slice, book_parts, by_books, by_history, measured
from models.evaluation.splits import Split
from models.training.interactions import Interactions, interactions

LOG3 = np.log2(3)
Values = dict[str, dict[str, np.ndarray]]


def histories(lengths: list[int]) -> Split:
    """Reader r has lengths[r] ratings before the request and one after."""
    rows = [(reader, book) for reader, length in enumerate(lengths) for book in range(length + 1)]
    everything = interactions(
        [reader for reader, _ in rows], [UUID(int=book) for _, book in rows], [5] * len(rows), np.arange(len(rows))
    )
    last = np.append(np.diff(everything.reader) > 0, True)
    past = everything.only(~last)
    return Split("own", past, past, everything.only(last))


def values(*ours: float, other: float = 0.0) -> Values:
    return {"ours": {"m": np.array(ours)}, "other": {"m": np.full(len(ours), other)}}


def test_readers_are_apart_by_what_was_known_of_them_with_the_bounds_inside() -> None:
    lengths = [1, 5, 6, 20, 21, 100, 101]
    found = by_history(histories(lengths), np.arange(7), values(0.1, 0.3, 0.5, 0.7, 0.2, 0.4, 1.0, other=0.1))
    assert [(part.name, part.n) for part in found] == [
        ("1 to 5", 2),
        ("6 to 20", 2),
        ("21 to 100", 2),
        ("over 100", 1),
    ]
    assert [part.intervals["ours"]["m"].mean for part in found] == pytest.approx([0.2, 0.6, 0.3, 1.0])
    assert [part.gains["other"]["m"].mean for part in found] == pytest.approx([0.1, 0.5, 0.2, 0.9])
    assert found[0].intervals["ours"]["m"][1:] == pytest.approx((0.1, 0.3))
    assert found[0].gains["other"]["m"][1:] == pytest.approx((0.0, 0.2))


def test_readers_without_a_history_are_a_part_of_their_own_and_an_empty_part_is_still_told() -> None:
    found = by_history(histories([0, 3]), np.arange(2), values(0.5, 0.1))
    assert [(part.name, part.n) for part in found[:3]] == [("none", 1), ("1 to 5", 1), ("6 to 20", 0)]
    assert np.isnan(found[2].intervals["ours"]["m"]).all()
    assert np.isnan(found[2].gains["other"]["m"]).all()


def test_only_the_readers_judged_count() -> None:
    found = by_history(histories([3, 30, 3]), np.array([2, 1]), values(0.5, 0.1))
    assert [(part.name, part.n) for part in found if part.n] == [("1 to 5", 1), ("21 to 100", 1)]
    assert found[0].intervals["ours"]["m"].mean == 0.5


def test_a_slice_of_one_model_has_no_gains() -> None:
    alone = measured("genre", "crime", {"ours": {"m": np.array([0.25, 0.25])}})
    assert alone == Slice("genre", "crime", 2, {"ours": {"m": (0.25, 0.25, 0.25)}}, {})


def test_books_of_other_parts_are_neither_found_nor_missed_but_keep_their_places() -> None:
    """Reader 0 liked books 0 and 1, reader 1 book 1, reader 2 book 4; books 0 and 4 are crime."""
    top = np.full((3, 20), -1, dtype=np.int32)
    top[:, :2] = [[1, 0], [0, 1], [3, 2]]
    hits = np.zeros((3, 20), dtype=bool)
    hits[:2, :2] = [[True, True], [False, True]]
    liked = (np.array([0, 0, 1, 2]), np.array([0, 1, 1, 4], dtype=np.int32))
    crime = np.array([True, False, False, False, True])
    parts = {("genre", "crime"): crime, ("genre", "poetry"): ~crime, ("genre", "none"): np.zeros(5, dtype=bool)}
    found = by_books(parts, liked, {"ours": Lists(top, hits)})
    told = {part.name: (part.n, part.intervals["ours"]["ndcg_at_10"].mean) for part in found}
    assert told["crime"] == (2, pytest.approx((1 / LOG3 + 0) / 2))
    assert told["poetry"] == (2, pytest.approx((1 + 1 / LOG3) / 2))
    assert told["none"][0] == 0
    assert [part.intervals["ours"]["recall_at_20"].mean for part in found[:2]] == [0.5, 1.0]


def a_split(train: Interactions) -> Split:
    return Split("own", train, train, train)


@pytest.fixture
def six(book: Callable[[int], UUID]) -> Interactions:
    """Six books; the last is rated after all others, by the second reader alone."""
    order = [3, 0, 4, 1, 2, 5]
    return interactions([0] * 5 + [1], [book(number) for number in order], [5] * 6, np.arange(6))


def facts_of(year: list[float]) -> BookFacts:
    n = len(year)
    genres = np.zeros((n, 2), dtype=bool)
    genres[0, 0] = genres[1, 1] = True
    return BookFacts(np.arange(n), genres, ["crime", "poetry"], np.array(year), ["title"] * n)


def test_ages_are_quarters_of_the_known_years_and_equal_years_stay_together(six: Interactions) -> None:
    parts = book_parts(a_split(six), facts_of([1900, 1950, 1950, 1990, 2010, np.nan]))
    ages = {name: np.flatnonzero(inside).tolist() for (kind, name), inside in parts.items() if kind == "age"}
    assert ages == {
        "oldest quarter, 1900 to 1950": [0, 1, 2],
        "second quarter": [],
        "third quarter, 1990": [3],
        "newest quarter, 2010": [4],
        "unknown": [5],
    }


def test_without_years_age_is_that_of_the_first_rating(six: Interactions) -> None:
    train = six.only(six.reader == 0)
    for facts in (None, facts_of([np.nan] * 6)):
        parts = book_parts(a_split(train), facts)
        ages = {name: np.flatnonzero(inside).tolist() for (kind, name), inside in parts.items() if kind == "age"}
        assert [found for name, found in ages.items() if name.startswith("oldest")] == [[0, 3]]
        assert ages["unknown"] == [5]
        assert sorted(number for found in ages.values() for number in found) == list(range(6))


def test_every_genre_is_a_part_and_so_are_new_books(six: Interactions) -> None:
    parts = book_parts(a_split(six.only(six.reader == 0)), facts_of([2000.0] * 6))
    assert parts["genre", "crime"].tolist() == [True, False, False, False, False, False]
    assert parts["genre", "poetry"].tolist() == [False, True, False, False, False, False]
    assert parts["newness", "new: nobody had rated it"].tolist() == [False] * 5 + [True]
    assert parts["newness", "rated before"].tolist() == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("author", "names", "titles", "why"),
    [
        ([0, 1], ["a"], ["t"] * 3, "2 authors"),
        ([0, 1, 2], ["a", "b"], ["t"] * 3, "2 names"),
        ([0, -1, 2], ["a"], ["t"] * 3, "negative"),
    ],
)
def test_facts_that_do_not_belong_together_are_refused(
    author: list[int], names: list[str], titles: list[str], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        BookFacts(np.array(author), np.zeros((3, 1), dtype=bool), names, np.zeros(3), titles)
