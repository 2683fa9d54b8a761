from collections.abc import Callable
from uuid import UUID

import numpy as np
import pytest

from models.affinity import Affinity
from models.reader import Pick, Reader
from models.sources import ByGenre, Stock

Book = Callable[[int], UUID]
Someone = Callable[..., Reader]
Stocked = Callable[..., Stock]


def by_genre(stock: Stock) -> ByGenre:
    return ByGenre(stock, Affinity(stock.catalogue))


def numbers(picks: list[Pick]) -> list[int]:
    return [pick.book_id.int - 1 for pick in picks]


@pytest.fixture(scope="session")
def two_genres(stocked: Stocked) -> ByGenre:
    """Even books are of genre 0, odd ones of genre 1, the later the less popular; books 8 and 9 nobody has rated."""
    return by_genre(
        stocked(
            *({"genres": (row % 2,), "likes": 80 - 10 * row, "raters": 90} for row in range(8)),
            {"genres": (0,)},
            {"genres": (1,)},
        )
    )


def test_books_of_the_liked_genre_come_by_popularity_cold_ones_too(two_genres: ByGenre, someone: Someone) -> None:
    assert numbers(two_genres.picks(someone((0, 5)), 10)) == [2, 4, 6, 8]
    assert numbers(two_genres.picks(someone((9, 5)), 10)) == [1, 3, 5, 7]  # what nobody else has rated speaks too


def test_the_score_is_nearness_times_popularity(two_genres: ByGenre, someone: Someone) -> None:
    picks = {pick.book_id.int - 1: pick.score for pick in two_genres.picks(someone((0, 5)), 10)}
    assert picks[8] == pytest.approx(0.2)
    assert picks[4] == pytest.approx(0.2 + 0.8 * np.log(41) / np.log(81))


def test_a_disliked_genre_is_left_out_and_dislikes_alone_say_nothing(two_genres: ByGenre, someone: Someone) -> None:
    assert {row % 2 for row in numbers(two_genres.picks(someone((0, 5), (1, 1)), 10))} == {0}
    assert two_genres.picks(someone((0, 1), (1, 2)), 10) == []


def test_muted_hidden_and_books_outside_of_within_are_left_out(
    two_genres: ByGenre, someone: Someone, book: Book
) -> None:
    assert two_genres.picks(someone((0, 5), muted=(0,)), 10) == []
    assert numbers(two_genres.picks(someone((0, 5), hidden=(2,)), 10)) == [4, 6, 8]
    assert numbers(two_genres.picks(someone((0, 5)), 10, frozenset({book(1), book(6)}))) == [6]


def test_reasons_are_the_liked_books_nearest_in_genres_the_newer_first(
    stocked: Stocked, someone: Someone, book: Book
) -> None:
    source = by_genre(
        stocked(
            {"genres": (0, 1)},
            {"genres": (0,)},
            {"genres": (0, 1)},
            {"genres": (2,)},
            {"genres": (0, 1)},
            {"genres": (1,)},
        )
    )
    reader = someone((0, 5), (1, 4), (2, 5), (3, 5), (5, 1))
    pick = next(pick for pick in source.picks(reader, 10) if pick.book_id == book(4))
    assert [(reason.book_id, reason.share) for reason in pick.because] == [
        (book(2), None),
        (book(0), None),
        (book(1), None),
    ]


def test_of_several_editions_one_is_picked_however_many_there_are(stocked: Stocked, someone: Someone) -> None:
    editions = [{"genres": (0,), "work": 1, "likes": row} for row in range(30)]
    source = by_genre(stocked({"genres": (0,), "work": 0}, *editions, {"genres": (0,), "work": 2}))
    assert numbers(source.picks(someone((0, 5)), 2)) == [30, 31]
    assert numbers(source.picks(someone((0, 5), (3, 5)), 2)) == [31]


def test_books_without_genres_are_no_evidence_and_no_picks(stocked: Stocked, someone: Someone) -> None:
    source = by_genre(stocked({}, {"genres": (0,)}, {}))
    assert source.picks(someone((0, 5)), 5) == []
    assert source.picks(someone((1, 5)), 5) == []
