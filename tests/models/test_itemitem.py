import resource
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.training.interactions import Interactions
from models.training.itemitem import Fitted, ItemItemParams, NothingToLearn, core_size, fit

Matrix = NDArray[np.float64]
Codes = NDArray[np.int32]
# So small a ridge lets a handful of ratings speak; every book is kept.
SMALL = ItemItemParams(ridge=2.0, ridge_share=0.1, neighbours=1_000, author_weight=0.7, series_weight=0.3, threads=1)


def ratings(readers: Sequence[Sequence[tuple[int, int]]], books: int) -> Interactions:
    """``ratings([[(3, 5), (0, 2)], []], 4)``: one reader gave book 3 five stars, then book 0 two; one has none."""
    flat = [(reader, book, stars) for reader, own in enumerate(readers) for book, stars in own]
    ids = np.zeros((books, 16), dtype=np.uint8)
    ids[:, 12:] = np.arange(books, dtype=">u4").view(np.uint8).reshape(-1, 4)
    reader, book, stars = np.array(flat, dtype=np.int64).reshape(-1, 3).T
    return Interactions(
        ids,
        len(readers),
        reader.astype(np.int32),
        book.astype(np.int32),
        stars.astype(np.int8),
        np.arange(len(flat)),
    )


def nobody(books: int) -> Codes:
    return np.full(books, -1, dtype=np.int32)


def library(books: int, readers: int, longest: int, seed: int = 0) -> tuple[Interactions, Codes, Codes]:
    """Popular and rare books of ten genres, of which every reader likes two; authors and series within a genre."""
    rng = np.random.default_rng(seed)
    genre = np.arange(books) % 10
    popularity = 1 / (5.0 + rng.permutation(books))
    shelves = [np.flatnonzero(genre == one) for one in range(10)]
    chances = [np.cumsum(popularity[shelf]) / popularity[shelf].sum() for shelf in shelves]
    own = []
    for _ in range(readers):
        drawn = [(taste, rng.random(rng.integers(0, longest // 2 + 1))) for taste in rng.integers(0, 10, 2)]
        found = [shelves[taste][np.searchsorted(chances[taste][:-1], chance)] for taste, chance in drawn]
        picks = rng.permutation(np.unique(np.concatenate(found))).tolist()
        own.append(list(zip(picks, rng.integers(1, 6, len(picks)).tolist(), strict=True)))
    author = (genre * books + np.arange(books) // 10 // 3).astype(np.int32)
    return ratings(own, books), author, np.where(rng.random(books) < 0.5, author, -1).astype(np.int32)


def matrix(fitted: Fitted) -> Matrix:
    """The kept weights, (m, m)."""
    whole = np.zeros((len(fitted.index), len(fitted.index)))
    np.add.at(whole, (np.arange(len(whole))[:, None], fitted.index), fitted.weight)
    return whole


def gram_and_target(data: Interactions, author: Codes, series: Codes, params: ItemItemParams) -> tuple[Matrix, Matrix]:
    """G and T as the formulas say, a pair at a time."""
    gram, target = np.zeros((data.book_count, data.book_count)), np.zeros((data.book_count, data.book_count))
    for reader in range(data.reader_count):
        own = np.flatnonzero(data.reader == reader)
        for i, one in enumerate(own):
            for j, other in enumerate(own):
                kernel = ((abs(i - j) + params.offset) / params.offset) ** -params.exponent
                value = kernel * params.star_weights[data.stars[one] - 1] * params.star_weights[data.stars[other] - 1]
                gram[data.book[one], data.book[other]] += value
                target[data.book[one], data.book[other]] += value if i <= j else params.backward * value
    for code, weight in ((author, params.author_weight), (series, params.series_weight)):
        same = (code[:, None] == code[None, :]) & (code >= 0)
        same &= same.sum(axis=1)[:, None] > 1
        gram += weight * same
        target += weight * same
    return gram, target


@pytest.fixture(scope="module")
def small() -> tuple[Interactions, Codes, Codes]:
    return library(books=30, readers=60, longest=12)


def test_every_column_is_the_ridge_regression_on_all_other_books(small: tuple[Interactions, Codes, Codes]) -> None:
    data, author, series = small
    gram, target = gram_and_target(data, author, series, SMALL)
    gram += np.diag(SMALL.ridge + SMALL.ridge_share * np.diag(gram))
    expected = np.zeros_like(gram)
    for column in range(len(gram)):
        others = np.flatnonzero(np.arange(len(gram)) != column)
        expected[others, column] = np.linalg.solve(gram[np.ix_(others, others)], target[others, column])
    found = matrix(fit(data, author, series, SMALL))
    assert np.allclose(found, np.maximum(expected, 0), atol=1e-5)
    assert (found > 0).sum() > 200


def test_of_two_readers_by_hand_the_order_and_the_distance_count() -> None:
    # One reads 0 and then 1; the other 2, something that says nothing, and then 3.
    data = ratings([[(0, 4), (1, 4)], [(2, 4), (4, 1), (3, 4)]], 5)
    params = replace(SMALL, ridge=1.0, ridge_share=0.0)
    found = matrix(fit(data, nobody(5), nobody(5), params))
    near, far = (3 / 2) ** -0.5, (4 / 2) ** -0.5
    # With one other book to explain it the regression is T_ij / (G_ii + ridge).
    assert found[0, 1] == pytest.approx(near / 2)
    assert found[1, 0] == pytest.approx(0.4 * near / 2)
    assert found[2, 3] == pytest.approx(far / 2)
    assert found[3, 2] == pytest.approx(0.4 * far / 2)
    assert np.count_nonzero(found) == 4


def test_without_direction_and_kernel_both_ways_and_all_distances_count_the_same() -> None:
    data = ratings([[(0, 4), (1, 4)], [(2, 4), (4, 1), (3, 4)]], 5)
    found = matrix(fit(data, nobody(5), nobody(5), replace(SMALL, exponent=0.0, backward=1.0)))
    assert found[[0, 1, 2, 3], [1, 0, 3, 2]] == pytest.approx(1 / (1.1 + 2))


def test_only_the_newest_ratings_of_a_reader_count() -> None:
    data = ratings([[(0, 5), (1, 5), (2, 5), (3, 1)]], 4)
    found = matrix(fit(data, nobody(4), nobody(4), replace(SMALL, newest=2)))
    assert np.argwhere(found).tolist() == [[1, 2], [2, 1]]


@pytest.mark.parametrize("core", [None, 3])
def test_books_that_nobody_rated_speak_and_are_spoken_for_through_author_and_series(core: int | None) -> None:
    data = ratings([[(0, 5), (1, 5)], [(0, 4), (2, 5)]], 7)
    author, series = nobody(7), nobody(7)
    author[[0, 3]] = 8
    series[[1, 4]] = 0
    found = matrix(fit(data, author, series, replace(SMALL, core=core)))
    assert found[0, 3] > 0
    assert found[3, 0] > 0
    assert found[1, 4] > 0
    assert found[4, 1] > 0
    assert not found[5:].any()
    assert not found[:, 5:].any()


@pytest.mark.parametrize("core", [None, 3])
def test_an_author_of_too_many_books_is_nobody(monkeypatch: pytest.MonkeyPatch, core: int | None) -> None:
    monkeypatch.setattr("models.training.itempairs.LARGEST_GROUP", 4)
    author = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1], dtype=np.int32)
    fitted = fit(ratings([[(0, 5), (4, 5)]], 9), author, nobody(9), replace(SMALL, core=core))
    assert (fitted.weight > 0).sum(axis=1)[1:4].tolist() == [3, 3, 3]
    assert not fitted.weight[5:].any()


def test_pruning_keeps_the_largest_of_every_row_in_order(small: tuple[Interactions, Codes, Codes]) -> None:
    whole = fit(*small, SMALL)
    pruned = fit(*small, replace(SMALL, neighbours=5))
    assert whole.index.shape == (30, 30)
    assert pruned.index.shape == pruned.weight.shape == (30, 5)
    assert np.array_equal(pruned.index, whole.index[:, :5])
    assert np.array_equal(pruned.weight, whole.weight[:, :5])
    assert (np.diff(whole.weight, axis=1) <= 0).all()
    assert not whole.index[whole.weight == 0].any()
    assert not (whole.index[whole.weight > 0] == np.nonzero(whole.weight)[0]).any()


@pytest.mark.parametrize("core", [30, 31, None])
def test_a_core_as_large_as_the_library_is_the_dense_solution(
    small: tuple[Interactions, Codes, Codes], core: int | None
) -> None:
    told: list[str] = []
    fitted = fit(*small, replace(SMALL, core=core), told.append)
    assert fitted.core == 30
    assert np.array_equal(matrix(fitted), matrix(fit(*small, SMALL)))
    assert told == []


def test_tail_books_are_regressed_on_the_core_and_speak_alone(small: tuple[Interactions, Codes, Codes]) -> None:
    data, author, series = small
    params = replace(SMALL, core=20, tail_damping=0.5)
    told: list[str] = []
    fitted = fit(data, author, series, params, told.append)
    gram, target = gram_and_target(data, author, series, params)
    gram += np.diag(params.ridge + params.ridge_share * np.diag(gram))
    speaking = np.array(params.star_weights)[data.stars - 1] > 0
    order = np.argsort(-np.bincount(data.book[speaking], minlength=30), kind="stable")
    core, tail = np.sort(order[:20]), np.sort(order[20:])
    expected = np.zeros_like(gram)
    expected[tail] = 0.5 * target[tail] / np.diag(gram)[tail, None]
    expected[np.ix_(core, tail)] = np.linalg.solve(gram[np.ix_(core, core)], target[np.ix_(core, tail)])
    np.fill_diagonal(expected, 0)
    found = matrix(fitted)
    assert np.allclose(found[tail], np.maximum(expected[tail], 0), atol=1e-5)
    assert np.allclose(found[np.ix_(core, tail)], np.maximum(expected[np.ix_(core, tail)], 0), atol=1e-5)
    assert fitted.core == 20
    assert told == ["item-item: 20 of 30 books solved densely, the others one by one, x 0.50"]


def test_measured_damping_gives_the_tail_about_the_rows_of_the_dense_solution() -> None:
    data, author, series = library(books=200, readers=400, longest=80)
    params = ItemItemParams(ridge=20.0, threads=1)
    dense, mixed = fit(data, author, series, params), fit(data, author, series, replace(params, core=120))
    alone = fit(data, author, series, replace(params, core=120, tail_damping=1.0))
    tail = np.argsort(-np.bincount(data.book, minlength=200), kind="stable")[140:]
    true = dense.weight[tail].sum()
    assert mixed.weight[tail].sum() == pytest.approx(true, rel=0.25)
    assert alone.weight[tail].sum() > 1.5 * true


@pytest.mark.parametrize("core", [None, 20])
def test_the_same_ratings_give_the_same_weights(small: tuple[Interactions, Codes, Codes], core: int | None) -> None:
    one, two = (fit(*small, replace(SMALL, core=core, neighbours=7)) for _ in range(2))
    assert np.array_equal(one.index, two.index)
    assert np.array_equal(one.weight, two.weight)


@pytest.mark.parametrize("core", [None, 20])
def test_work_in_small_pieces_gives_what_work_in_one_gives(
    small: tuple[Interactions, Codes, Codes], monkeypatch: pytest.MonkeyPatch, core: int | None
) -> None:
    whole = matrix(fit(*small, replace(SMALL, core=core)))
    monkeypatch.setattr("models.training.itemitem.BLOCK", 7)
    monkeypatch.setattr("models.training.itemtail.BLOCK", 3)
    monkeypatch.setattr("models.training.itempairs.PAIRS", 10)
    assert np.allclose(matrix(fit(*small, replace(SMALL, core=core))), whole, atol=1e-6)


@pytest.mark.parametrize("core", [None, 1])
@pytest.mark.parametrize(
    "readers", [[[(1, 5)]], [[], [(0, 5), (2, 3)], []], [[(0, 1), (1, 2)], [], [(1, 4)]]], ids=["one", "empty", "low"]
)
def test_few_ratings_give_few_weights_and_no_nonsense(
    readers: Sequence[Sequence[tuple[int, int]]], core: int | None
) -> None:
    fitted = fit(ratings(readers, 4), nobody(4), nobody(4), replace(SMALL, core=core))
    assert np.isfinite(fitted.weight).all()
    assert (fitted.weight >= 0).all()
    assert fitted.index.dtype == np.int32
    assert fitted.weight.dtype == np.float32


@pytest.mark.parametrize("readers", [[], [[]], [[(0, 1), (1, 1)]]])
def test_without_evidence_there_is_nothing_to_learn(readers: Sequence[Sequence[tuple[int, int]]]) -> None:
    with pytest.raises(NothingToLearn, match="no rating speaks for any book"):
        fit(ratings(readers, 2), np.zeros(2, np.int32), nobody(2), SMALL)


def test_a_catalogue_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="3 authors, 2 series, 2 books"):
        fit(ratings([[(0, 5)]], 2), nobody(3), nobody(2), SMALL)


@pytest.mark.parametrize(
    "nonsense",
    [{"ridge": 0.0}, {"offset": 0.0}, {"core": 0}, {"newest": 0}, {"backward": -1.0}, {"author_weight": -1.0}],
)
def test_a_recipe_that_means_nothing_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(nonsense))):
        replace(SMALL, **nonsense)


def test_the_core_is_no_larger_than_the_library_or_half_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert core_size(10, 20) == 10
    assert core_size(30, 20) == 20
    pages: Callable[[str], int] = {"SC_PHYS_PAGES": 6_000_000, "SC_PAGE_SIZE": 4_000}.__getitem__
    monkeypatch.setattr("os.sysconf", pages)
    assert core_size(50_000, None) == 31_622
    assert core_size(1_000, None) == 1_000


@pytest.mark.slow
def test_a_hundred_thousand_books_are_fitted_in_bounded_memory() -> None:
    data, author, series = library(books=100_000, readers=4_000, longest=60)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fitted = fit(data, author, series, ItemItemParams(core=500, neighbours=50, threads=1))
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert fitted.index.shape == (100_000, 50)
    assert np.isfinite(fitted.weight).all()
    # One matrix of all books would be 40 GB.
    assert kilobytes < 1_000_000
    unrated = np.bincount(data.book, minlength=100_000) == 0
    assert unrated.sum() > 30_000
    assert np.array_equal(fitted.weight[unrated, 0] > 0, np.bincount(author)[author[unrated]] > 1)
