from collections.abc import Callable

import numpy as np
import pytest

from models.bundle import BundleRefused
from models.catalogue import NONE, Catalogue
from models.sources import Stock


def test_a_catalogue_comes_back_from_a_bundles_arrays_as_it_went_in(some_stock: Stock) -> None:
    arrays = {"book_ids": np.zeros((40, 16), np.uint8), **some_stock.catalogue.arrays()}
    found = Catalogue.from_arrays(arrays)
    assert len(found) == 40
    for name, array in some_stock.catalogue.arrays().items():
        assert np.array_equal(found.arrays()[name], array), name


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"catalogue_year": None}, "catalogue_year is missing"),
        ({"catalogue_likes": np.zeros(39, np.int32)}, "39 rows for 40 books"),
        ({"catalogue_genre_ids": np.zeros((1, 16), np.uint8)}, "genres are"),
        ({"catalogue_author": np.full(40, NONE, np.int32)}, "negative code"),
        ({"catalogue_work": np.full(40, NONE, np.int32)}, "negative code"),
    ],
)
def test_what_is_no_catalogue_is_refused(some_stock: Stock, change: dict[str, object], reason: str) -> None:
    arrays = {"book_ids": np.zeros((40, 16), np.uint8), **some_stock.catalogue.arrays(), **change}
    with pytest.raises(BundleRefused, match=reason):
        Catalogue.from_arrays({name: array for name, array in arrays.items() if isinstance(array, np.ndarray)})


def test_series_and_authors_name_their_books(stocked: Callable[..., Stock]) -> None:
    catalogue = stocked({"series": 2, "author": 1}, {"author": 0}, {"series": 2, "author": 1}, {"author": 1}).catalogue
    assert sorted(catalogue.in_series(2)) == [0, 2]
    for nobody in (NONE, 0, 1, 3, 10**6):
        assert not len(catalogue.in_series(nobody))


def test_genre_vectors_have_length_one_or_nothing(stocked: Callable[..., Stock]) -> None:
    catalogue = stocked({"genres": (0, 3)}, {}, {"genres": (2,)}).catalogue
    assert np.linalg.norm(catalogue.genre_vectors, axis=1) == pytest.approx([1, 0, 1])
    assert catalogue.genre_vectors[0] @ catalogue.genre_vectors[2] == 0
