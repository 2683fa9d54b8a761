"""Generated libraries: exact sizes, the same for the same seed, shaped like real ones, and with tastes to learn."""

import datetime as dt
import tracemalloc
from collections import Counter

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.loading import ReviewRow, SourceError, load
from data.sources.generator import UNTIL, YEARS, Generator
from data.sources.generator_draws import Draws, activity, joined, shelf


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 2**32), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_a_library_always_has_exactly_the_asked_sizes_and_no_pair_twice(
    readers: int, books: int, seed: int, share: float
) -> None:
    ratings = round(share * readers * books)
    library = Generator(readers, books, ratings, seed)
    rows = list(library.reviews())
    assert len(rows) == ratings
    assert len({(row.user_id, row.book_id) for row in rows}) == ratings
    assert {row.book_id for row in rows} <= {row.id for row in library.books()}
    assert {row.user_id for row in rows} <= {row.id for row in library.readers()}
    assert all(1 <= row.rating <= 5 and UNTIL - YEARS <= row.created_at < UNTIL for row in rows)
    assert (len(list(library.books())), len(list(library.readers()))) == (books, readers)


def test_the_same_seed_gives_the_same_library_and_another_seed_another() -> None:
    first, again, other = (Generator(30, 200, 900, seed) for seed in (5, 5, 6))
    assert list(first.reviews()) == list(again.reviews()) == list(first.reviews())
    assert list(first.books()) == list(again.books())
    assert {row.title for row in first.books()} != {row.title for row in other.books()}
    assert not {row.id for row in first.books()} & {row.id for row in other.books()}


@pytest.mark.parametrize("sizes", [(2, 3, 7, 0), (0, 3, 0, 0), (3, 0, 0, 0), (3, 3, -1, 0), (3, 3, 3, -1)])
def test_an_impossible_library_is_refused_in_one_line(sizes: tuple[int, int, int, int]) -> None:
    with pytest.raises(SourceError) as caught:
        Generator(*sizes)
    assert "\n" not in str(caught.value)


def test_an_impossible_number_of_ratings_says_how_many_are_possible() -> None:
    with pytest.raises(SourceError, match="2 readers can rate 3 books 6 times at most"):
        Generator(2, 3, 7, 0)


def test_books_are_plausible_and_fit_the_contract() -> None:
    library = Generator(1, 3000, 0, 1)
    genres = {row.id for row in library.genres()}
    books = list(library.books())
    assert len({row.title for row in books}) == 3000
    for row in books:
        assert 1 <= len(row.title) <= 500
        assert 1 <= len(row.author) <= 300
        assert 1 <= len(row.genre_ids) <= 10
        assert genres.issuperset(row.genre_ids)
        assert row.publication_date is not None
        assert dt.date(1000, 1, 1) <= row.publication_date < UNTIL.date()
        assert (row.series is None) == (row.series_position is None)
    assert 0.2 < sum(row.series is not None for row in books) / 3000 < 0.8
    assert max(Counter(row.author for row in books).values()) > 5


def test_books_of_a_series_share_the_author_and_count_from_one() -> None:
    series: dict[str, list[tuple[str, float]]] = {}
    for row in Generator(1, 500, 0, 1).books():
        if row.series is not None and row.series_position is not None:
            series.setdefault(row.series, []).append((row.author, row.series_position))
    assert series
    for volumes in series.values():
        assert len({author for author, _ in volumes}) == 1
        assert [position for _, position in volumes] == list(range(1, len(volumes) + 1))


def _rows(library: Generator) -> list[ReviewRow]:
    return list(library.reviews())


def test_books_are_popular_and_readers_active_by_power_laws() -> None:
    rows = _rows(Generator(800, 2000, 30_000, 3))
    by_book = sorted(Counter(row.book_id for row in rows).values(), reverse=True)
    by_reader = sorted(Counter(row.user_id for row in rows).values(), reverse=True)
    assert sum(by_book[:200]) > 0.35 * 30_000  # a tenth of the books has more than a third of the ratings
    assert sum(by_reader[:80]) > 0.3 * 30_000
    assert by_reader[0] > 8 * by_reader[len(by_reader) // 2]


def test_readers_have_tastes_that_a_model_can_learn() -> None:
    books = shelf(2000, 3)
    counts = activity(400, 2000, 12_000, 3)
    shares, stars_in, stars_out = [], [], []
    for chunk in Draws(books, counts, joined(400, 3), 3).chunks():
        for reader in np.unique(chunk.reader):
            own = chunk.reader == reader
            flavours = books.flavour[chunk.book[own]]
            favourite = np.bincount(flavours).argmax()
            if own.sum() >= 20:
                shares.append((flavours == favourite).mean())
                stars_in.extend(chunk.stars[own][flavours == favourite])
                stars_out.extend(chunk.stars[own][flavours != favourite])
    chance = 1 / (books.flavour.max() + 1)
    assert np.mean(shares) > 10 * chance
    assert np.mean(stars_in) > np.mean(stars_out) + 0.3


def test_popularity_drifts_and_new_books_come_out_over_time() -> None:
    rows = _rows(Generator(600, 300, 30_000, 4))
    year = dt.timedelta(days=365)
    early = Counter(row.book_id for row in rows if row.created_at < UNTIL - YEARS + year)
    late = Counter(row.book_id for row in rows if row.created_at > UNTIL - year)
    top_early, top_late = ({book for book, _ in counts.most_common(30)} for counts in (early, late))
    assert len(top_early & top_late) < 25
    published = {row.id: row.publication_date for row in Generator(600, 300, 30_000, 4).books()}
    too_early = sum(row.created_at.date() < (published[row.book_id] or dt.date.min) for row in rows)
    assert too_early / len(rows) < 0.05


def test_ratings_are_streamed_and_do_not_pile_up_in_memory() -> None:
    tracemalloc.start()
    try:
        peaks = []
        for ratings in (110_000, 440_000):  # one chunk and a bit, four chunks and a bit
            library = Generator(4000, 2000, ratings, 1)
            tracemalloc.reset_peak()
            chunks = Draws(library._shelf, library._counts, library._joined, 1).chunks()
            assert sum(chunk.book.size for chunk in chunks) == ratings
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_it_loads_and_loading_it_twice_changes_nothing(database_url: str, db: psycopg.Connection) -> None:
    library = Generator(50, 120, 1500, 9)
    report = load(database_url, library)
    assert report.inserted == {"genres": 24, "books": 120, "readers": 50, "reviews": 1500, "favorites": 0}
    assert set(load(database_url, Generator(50, 120, 1500, 9)).inserted.values()) == {0}
    assert db.execute("SELECT DISTINCT origin FROM users").fetchall() == [("generated",)]
    assert load(database_url, Generator(50, 120, 1500, 10)).inserted["reviews"] == 1500
