from uuid import UUID

import numpy as np
import pytest

from models.catalogue import NONE
from models.training.library import Books, Library, counted, library

ADVENTURE, POETRY = UUID(int=70), UUID(int=60)


def books() -> Books:
    return Books(
        ids=[UUID(int=3), UUID(int=1), UUID(int=2)],
        titles=["Two  Towers", "two towers", "Emma"],
        authors=["J. R. R. Tolkien, Alan Lee", "j. r. r. tolkien", "Jane Austen"],
        series=["The Ring", "the ring", None],
        positions=[2.0, 2.0, None],
        languages=["en", "de", None],
        years=[1954, None, 1815],
        genres=[[ADVENTURE], [ADVENTURE, POETRY], []],
    )


def made() -> Library:
    return library([7, 7, 8], [UUID(int=3), UUID(int=2), UUID(int=3)], [5, 2, 4], np.arange(3), books())


def test_rows_are_in_the_order_of_the_ids_whatever_order_the_books_came_in() -> None:
    found = made()
    assert [UUID(bytes=key.tobytes()) for key in found.interactions.book_ids] == [UUID(int=n) for n in (1, 2, 3)]
    assert list(found.catalogue.year) == [0, 1815, 1954]
    assert list(found.catalogue.position) == [2, NONE, 2]


def test_editions_authors_and_series_are_known_by_name_without_case_and_spaces() -> None:
    catalogue = made().catalogue
    assert catalogue.work[0] == catalogue.work[2] != catalogue.work[1]
    assert catalogue.author[0] == catalogue.author[2] != catalogue.author[1]
    assert catalogue.series[0] == catalogue.series[2] != NONE
    assert catalogue.series[1] == NONE
    assert catalogue.language[0] != catalogue.language[2]
    assert catalogue.language[1] == NONE


def test_genres_are_columns_in_the_order_of_their_ids() -> None:
    catalogue = made().catalogue
    assert [UUID(bytes=key.tobytes()) for key in catalogue.genre_ids] == [POETRY, ADVENTURE]
    assert catalogue.genres.tolist() == [[1, 1], [0, 0], [0, 1]]


def test_a_book_that_nobody_rated_is_there_and_counts_nothing() -> None:
    catalogue = made().catalogue
    assert list(catalogue.raters) == [0, 1, 2]
    assert list(catalogue.likes) == [0, 0, 2]
    assert catalogue.mean[0] == pytest.approx(np.mean([5, 2, 4]))
    assert catalogue.mean[1] < catalogue.mean[0] < catalogue.mean[2]


def test_counting_a_part_knows_nothing_of_the_rest() -> None:
    whole = made()
    first = whole.interactions.only(whole.interactions.at < 1)
    assert list(whole.of(first).catalogue.raters) == [0, 0, 1]
    nothing = whole.interactions.only(np.zeros(3, dtype=np.bool_))
    assert list(counted(whole.catalogue, nothing).raters) == [0, 0, 0]


def test_a_rating_of_a_book_that_the_library_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="1 books are rated that the library does not have"):
        library([7], [UUID(int=9)], [5], np.arange(1), books())
