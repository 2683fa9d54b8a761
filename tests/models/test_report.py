import time
from collections.abc import Callable
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from models.evaluation.facts import BookFacts
from models.evaluation.rankers import PopularRanker, Top
from models.evaluation.report import NothingToJudge, compare, evaluate, headline
from models.evaluation.splits import Split, leave_last, one_clock
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


def test_every_model_is_compared_with_the_first_on_the_same_readers(split: Split) -> None:
    """Reader 0 came to like book 2, reader 1 book 3."""
    found = compare(split, {"ours": Told([2], [1, 3], []), "A/B test": Told([], [3], []), "none": Told([], [], [])})
    assert found.ours == "ours"
    assert list(found.models) == ["ours", "A/B test", "none"]
    assert found.strongest_rival == "A/B test"
    log3 = np.log2(3)
    assert {name: quality.intervals["ndcg_at_10"].mean for name, quality in found.models.items()} == pytest.approx(
        {"ours": (1 + 1 / log3) / 2, "A/B test": 0.5, "none": 0}
    )
    assert found.gains["A/B test"]["ndcg_at_10"] == pytest.approx((1 / log3 / 2, 1 / log3 - 1, 1))
    assert found.gains["none"]["hit_rate_at_10"] == (1, 1, 1)
    assert found.models["ours"].coverage_curve[[0, 1, 49]].tolist() == pytest.approx([2 / 5, 3 / 5, 3 / 5])
    assert found.models["ours"].top[1, :3].tolist() == [1, 3, -1]
    told = found.metrics
    assert told["a_b_test_ndcg_at_10"] == 0.5
    assert told["gain_over_a_b_test_ndcg_at_10_low"] == pytest.approx(1 / log3 - 1)
    assert told["coverage_at_10"] == 3 / 5
    assert "gain_ndcg_at_10" not in told
    assert {(part.name, part.n) for part in found.slices if part.kind == "history"} >= {("1 to 5", 2), ("6 to 20", 0)}


def test_one_model_alone_has_no_rival_and_no_gains(split: Split) -> None:
    alone = compare(split, {"ours": Told([2], [3], [])})
    assert alone.strongest_rival is None
    assert alone.gains == {}
    assert alone.table().splitlines()[0] == "| P1, 2 readers | ours |"


def test_facts_of_books_add_authors_genres_and_slices(split: Split) -> None:
    """Books 1 and 3 are by one author; 2 and 4 are crime."""
    facts = BookFacts(
        author=np.array([0, 1, 2, 1, 3]),
        genres=np.array([[0, 1], [0, 1], [1, 0], [0, 1], [1, 0]], dtype=bool),
        genre_names=["crime", "poetry"],
        year=np.array([1990.0, 1991, 1992, 1993, 1994]),
        titles=list("abcde"),
    )
    found = compare(split, {"ours": Told([2], [1, 3, 4], [])}, facts)
    assert found.models["ours"].per_reader["authors_at_10"].tolist() == [1, 2]
    third = np.log2(3) - 2 / 3
    assert found.models["ours"].per_reader["genre_entropy_at_10"].tolist() == pytest.approx([0, third])
    slices = {(part.kind, part.name): part for part in found.slices}
    assert slices["genre", "crime"].n == 1
    assert slices["genre", "crime"].intervals["ours"]["ndcg_at_10"].mean == 1
    assert slices["genre", "poetry"].intervals["ours"]["ndcg_at_10"].mean == pytest.approx(1 / np.log2(3))
    assert slices["newness", "new: nobody had rated it"].n == 1
    assert "authors_at_10" not in compare(split, {"ours": Told([2], [3], [])}).models["ours"].per_reader


@pytest.fixture
def clocked(book: Callable[[int], UUID]) -> Split:
    """One clock: reader 0 is known when the last two ratings are made, reader 1 is not."""
    rows = [*((0, number, number) for number in range(8)), (0, 8, 8), (1, 0, 9)]
    return one_clock(
        interactions([r for r, *_ in rows], [book(b) for _, b, _ in rows], [5] * 10, np.array([t for *_, t in rows]))
    )


def test_readers_who_came_after_the_cut_are_judged_apart(clocked: Split) -> None:
    found = compare(clocked, {"ours": Told([8], [7, 0]), "other": Told([], [0])})
    assert found.readers.tolist() == [0]
    assert found.metrics["ndcg_at_10"] == 1
    assert found.newcomers is not None
    assert found.newcomers.readers.tolist() == [1]
    assert found.newcomers.metrics["ndcg_at_10"] == pytest.approx(1 / np.log2(3))
    assert found.newcomers.gains["other"]["ndcg_at_10"].mean == pytest.approx(1 / np.log2(3) - 1)
    assert found.counts["new readers"] == 1
    assert found.counts["new books"] == 1


def test_with_newcomers_alone_there_is_nothing_to_judge_by(clocked: Split) -> None:
    theirs = Split("P3", clocked.train, clocked.history, clocked.future.only(clocked.future.reader == 1), apart=True)
    with pytest.raises(NothingToJudge, match="no reader known before"):
        compare(theirs, {"ours": Told([], [])})


class Drawn:
    """Different books for each reader, by lot."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def top(self, history: Interactions, readers: NDArray[np.integer], depth: int) -> Top:
        rng = np.random.default_rng(self._seed)
        start = rng.integers(0, history.book_count, size=(len(readers), 1))
        top = (start + np.arange(depth) * 7) % history.book_count
        rated = np.isin(readers[:, None] * history.book_count + top, history.reader * history.book_count + history.book)
        return np.where(rated, -1, top).astype(np.int32)


def test_ten_thousand_readers_and_three_models_are_compared_in_seconds() -> None:
    """About 4 s of processor time; the bound is many times that, so that it holds on a busy machine."""
    readers, books, each = 10_000, 10_000, 20
    rng = np.random.default_rng(0)
    first = rng.integers(0, books, size=(readers, 1))
    book = ((first + np.arange(each) * 11) % books).astype(np.int32)
    everything = Interactions(
        book_ids=np.arange(books * 16).reshape(books, 16).astype(np.uint8),
        reader_count=readers,
        reader=np.repeat(np.arange(readers, dtype=np.int32), each),
        book=book.ravel(),
        stars=rng.integers(1, 6, size=readers * each).astype(np.int8),
        at=np.arange(readers * each),
    )
    facts = BookFacts(
        rng.integers(0, 4000, books),
        rng.random((books, 40)) < 0.05,
        [str(n) for n in range(40)],
        rng.integers(1900, 2020, books).astype(float),
        [""] * books,
    )
    split = leave_last(everything)
    start = time.process_time()
    found = compare(split, {name: Drawn(seed) for seed, name in enumerate("abc")}, facts)
    assert time.process_time() - start < 40
    assert len(found.readers) > 8000
    # Twenty by lot of ten thousand find two in a thousand.
    assert found.metrics["recall_at_20"] == pytest.approx(20 / books, abs=0.001)


def test_a_ranker_that_is_wrong_is_refused_whatever_its_figures(split: Split) -> None:
    with pytest.raises(ValueError, match="had rated"):
        compare(split, {"ours": Told([2, 0], [3], [])})


def test_the_headline_alone_is_that_of_the_comparison(split: Split, clocked: Split) -> None:
    ranker = Told([2], [1, 3], [])
    quality = compare(split, {"ours": ranker}).models["ours"]
    assert headline(split, ranker).tolist() == quality.per_reader["ndcg_at_10"].tolist()
    assert headline(clocked, Told([8], [])).tolist() == [1]
