"""A few nights of a small generated library."""

import datetime as dt
from collections.abc import Iterator

import numpy as np
import pytest

from data.loading import BookRow, ReviewRow
from data.sources.generator import Generator
from data.sources.sample import sample_library
from models.training.als import AlsParams
from models.training.recipe import Recipe
from pipelines.simulation import DAY, Night, World, nights, summary, table, world_of

QUICK = Recipe(taste=None, blend=None, factors=AlsParams(factors=24, iterations=4))


@pytest.fixture(scope="module")
def world() -> World:
    return world_of(Generator(300, 120, 9_000, seed=3), nights=60)


@pytest.fixture(scope="module")
def sample() -> World:
    """All late books come in three nights."""
    return world_of(sample_library(), nights=3)


def test_a_night_knows_nothing_of_what_comes_after_it(world: World) -> None:
    for night in (0, 30, 60):
        known = world.known(night)
        now = world.start + night * DAY
        assert known.interactions.at.max() <= now
        there = {key.tobytes() for key in known.interactions.book_ids}
        assert there == {book.bytes for book, came in zip(world.books.ids, world.arrival, strict=True) if came <= now}


def test_a_book_has_no_rating_from_before_it_came(world: World) -> None:
    known = world.known(60)
    came = {book.bytes: moment for book, moment in zip(world.books.ids, world.arrival, strict=True)}
    arrival = np.array([came[key.tobytes()] for key in known.interactions.book_ids])
    assert (known.interactions.at >= arrival[known.interactions.book]).all()
    assert len(known.interactions) < 9_000


def test_books_arrive_and_the_champion_of_every_morning_knows_them(sample: World) -> None:
    told = list(nights(sample, 3, {0: QUICK}, readers=150))
    assert [night.number for night in told] == [0, 1, 2]
    assert told[0].new_books == 0
    assert told[2].new_books > 0
    assert all(night.promoted and night.age == 0 and not night.proposed for night in told)
    assert told[2].known == 1.0
    assert 0 <= told[2].by_taste <= 1
    assert len(table(told).splitlines()) == 4
    assert summary(told).startswith("3 nights: the champion was renewed or replaced in 3")


def test_a_worse_recipe_is_refused_and_the_champion_s_own_renewed_meanwhile(sample: World) -> None:
    useless = Recipe(recency=8.0, taste=None, blend=None, factors=AlsParams(factors=1, iterations=1))
    told = list(nights(sample, 2, {0: QUICK, 1: useless}, readers=150))
    assert (told[1].proposed, told[1].refused, told[1].promoted, told[1].age) == (True, True, True, 0)
    assert told[1].score < told[0].score
    assert "other recipes before the gate in 1, refused in 1" in summary(told)


def test_where_nothing_is_better_than_popularity_there_is_no_champion_and_no_new_book_is_known() -> None:
    told: list[Night] = list(nights(world_of(_Noise(), nights=60), 2, {0: QUICK}, readers=150))
    assert [(night.promoted, night.refused) for night in told] == [(False, True)] * 2
    assert told[1].new_books == 0 or told[1].known == 0.0


class _Noise(Generator):
    """A library whose readers rate what they come across."""

    def __init__(self) -> None:
        super().__init__(200, 60, 3_000, seed=4)

    def reviews(self) -> Iterator[ReviewRow]:
        rng = np.random.default_rng(0)
        books: list[BookRow] = list(self.books())
        for number, reader in enumerate(self.readers()):
            for book in rng.choice(len(books), 15, replace=False):
                at = dt.datetime(2025, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=360 * float(rng.random()))
                stars = int(rng.integers(1, 6))
                yield ReviewRow(self._id("noise", f"{number}/{book}"), reader.id, books[book].id, stars, None, at)
