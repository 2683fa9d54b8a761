"""Everything one bundle answers, asked by thousands of arbitrary readers."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import isfinite
from time import process_time
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from models.catalogue import NONE, Catalogue
from models.chain import Page, page
from models.engine import Engine
from models.features import FEATURES
from models.ids import pack
from models.popular import Popular
from models.reader import Pick, Rating, Reader
from models.reasons import LEAST_SHARE, because, shares
from models.taste import Taste

BOOKS, UNKNOWN = 120, 20
PARTS, READERS = 4, 10_000  # the readers come in parts, so that processes can share them
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
Arrays = dict[str, NDArray[np.generic]]


def made_up(books: int, factors: int, neighbours: int, trees: int, seed: int = 3) -> Arrays:
    """A bundle as training makes them: works of two editions, series with gaps, cold books, a re-ranker of depth 6."""
    rng = np.random.default_rng(seed)
    place = np.arange(books)
    raters = (rng.pareto(1.0, books) * 5).astype(np.int32) * (place % 7 > 0)
    in_series = place % 10 < 6
    catalogue = Catalogue(
        author=(place // 10).astype(np.int32),
        series=np.where(in_series, place // 10, NONE).astype(np.int32),
        position=np.where(in_series & (place % 10 != 5), place % 10 + 1, NONE).astype(np.float32),
        work=np.where(place % 10 == 8, place - 1, place).astype(np.int32),
        language=(place % 3).astype(np.int32) + NONE,
        year=rng.choice([0, 1950, 2000, 2020], books).astype(np.float32),
        genres=(rng.random((books, 12)) < 0.2).astype(np.uint8),
        genre_ids=np.asarray(pack(UUID(int=10**6 + genre) for genre in range(12))),
        raters=raters.astype(np.int32),
        likes=(raters // 2).astype(np.int32),
        mean=rng.uniform(2.5, 4.5, books).astype(np.float32),
    )
    inner = 2**6 - 1
    return {
        "book_ids": np.asarray(pack(UUID(int=row + 1) for row in range(books))),
        "item_factors": rng.normal(0, 0.3, (books, factors)).astype(np.float32),
        "star_weights": np.array([0.0, 0.0, 0.4, 1.0, 1.5]),
        "recency": np.array(0.7),
        "neighbour_index": np.argsort(rng.random((books, min(books, 2 * neighbours))), axis=1)[:, :neighbours].astype(
            np.int32
        ),
        "neighbour_weight": rng.normal(0.05, 0.1, (books, neighbours)).astype(np.float32),
        "tree_feature": rng.integers(0, len(FEATURES), (trees, inner)).astype(np.int16),
        "tree_threshold": rng.normal(1, 2, (trees, inner)).astype(np.float32),
        "tree_value": rng.normal(-0.02, 0.2, (trees, inner + 1)),
        "tree_bias": np.array(-1.0),
        **{name: np.asarray(array) for name, array in catalogue.arrays().items()},
    }


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine(Taste(made_up(BOOKS, 8, 30, 20)))


@pytest.fixture(scope="session")
def popular() -> Popular:
    return Popular([(UUID(int=row + 1), 1 - row / BOOKS) for row in range(BOOKS)])


def books(rng: np.random.Generator, most: int) -> list[UUID]:
    """Some that the engine knows, and some that it does not."""
    return [UUID(int=int(row) + 1) for row in rng.choice(BOOKS + UNKNOWN, rng.integers(0, most + 1), replace=False)]


def readers(part: int) -> Iterator[tuple[np.random.Generator, Reader]]:
    rng = np.random.default_rng(part)
    for _ in range(READERS // PARTS):
        stars = rng.integers(1, rng.choice([2, 5, 5, 5]), endpoint=True, size=BOOKS)
        rated = books(rng, int(rng.choice([3, 15, 60])))
        ratings = tuple(
            Rating(book, int(given), NOON + timedelta(days=int(rng.integers(0, 40))))
            for book, given in zip(rated, stars, strict=False)
        )
        muted = frozenset(book for book in rated if rng.random() < 0.2)
        yield rng, Reader(ratings, muted, frozenset(books(rng, int(rng.choice([0, 5, 40])))))


def fail(source: str, failure: Exception) -> None:
    raise AssertionError(f"{source} failed") from failure


def answered(engine: Engine, popular: Popular, reader: Reader, n: int, diversity: float | None) -> Page:
    return page((*engine.personal(diversity), popular), reader, n, shelf=engine, on_failure=fail)


def sound(picks: Sequence[Pick], reader: Reader, n: int) -> bool:
    scores = [pick.score for pick in picks]
    picked = [pick.book_id for pick in picks]
    return (
        len(picked) <= n
        and len(set(picked)) == len(picked)
        and not set(picked) & reader.barred
        and all(isfinite(score) and 0 <= score <= 1 for score in scores)
        and all(after <= before for before, after in pairwise(scores))
        and not {reason.book_id for pick in picks for reason in pick.because} - (reader.rated - reader.muted)
    )


def one_edition_a_work_and_volumes_in_order(engine: Engine, picks: Sequence[Pick], reader: Reader) -> bool:
    catalogue = engine.taste.catalogue
    assert catalogue is not None
    rows = [engine.taste.rows[pick.book_id] for pick in picks]
    works = catalogue.work[rows].tolist()
    barred = {int(catalogue.work[row]) for book in reader.barred if (row := engine.taste.rows.get(book)) is not None}
    last: dict[int, float] = {}
    in_order = True
    for row in rows:
        series, position = int(catalogue.series[row]), float(catalogue.position[row])
        if series >= 0 and position >= 0:
            in_order &= position > last.get(series, -1.0)
            last[series] = position
    return len(set(works)) == len(works) and not barred & set(works) and in_order


@pytest.mark.parametrize("part", range(PARTS))
def test_ten_thousand_readers_get_a_sound_list_of_their_own(engine: Engine, popular: Popular, part: int) -> None:
    sources = set()
    for rng, reader in readers(part):
        n, diversity = int(rng.integers(0, 51)), rng.choice([None, 0.0, 0.1, 1.0, rng.random()])
        picks = answered(engine, popular, reader, n, diversity).picks
        assert sound(picks, reader, n)
        assert one_edition_a_work_and_volumes_in_order(engine, picks, reader)
        stars = [rating.stars for rating in reader.ratings if rating.book_id not in reader.muted]
        chosen_by = {pick.source for pick in picks}
        assert "taste" not in chosen_by or max(stars, default=0) > 2
        sources |= chosen_by
    assert sources == {"taste", "next_in_series", "genres", "popular"}


@pytest.mark.parametrize("part", range(PARTS))
def test_the_shares_of_all_the_reader_s_books_are_the_parts_of_the_score(engine: Engine, part: int) -> None:
    taste, checked = engine.taste, 0
    for rng, reader in readers(part):
        known = taste.of(reader).newest()
        ranking = taste.ranking(known, 20, taste.eligible(reader), float(rng.choice([0, 0.1, 1])))
        if not len(ranking.rows) or rng.random() < 0.7:
            continue
        linear = taste.candidates(known, taste.eligible(reader))
        score = dict(zip(linear.rows.tolist(), linear.taste.tolist(), strict=True))
        own = [taste.books[row] for row in known.rows]
        for row, parts in zip(ranking.rows.tolist(), ranking.parts, strict=True):
            assert parts.sum() == pytest.approx(score[row], rel=1e-4, abs=1e-5)
            positive = np.maximum(parts.astype(np.float64), 0)
            assert shares(parts) == pytest.approx(positive / positive.sum(), abs=1e-12)
            told = because(own, parts, most=len(own))
            unsaid = sum(share for share in shares(parts) if share < LEAST_SHARE)
            assert sum(reason.share or 0 for reason in told) + unsaid == pytest.approx(1)
            assert because(own, parts) == told[:3]
            checked += 1
    assert checked > READERS // PARTS


def test_the_same_reader_gets_the_same_list_again_and_from_another_copy_of_the_bundle(
    engine: Engine, popular: Popular
) -> None:
    other = Engine(Taste(made_up(BOOKS, 8, 30, 20)))
    for rng, reader in list(readers(99))[:300]:
        diversity = float(rng.random())
        again = Reader(reader.ratings, reader.muted, reader.hidden)
        first = answered(engine, popular, reader, 20, diversity)
        assert answered(engine, popular, again, 20, diversity) == first
        assert answered(other, popular, again, 20, diversity) == first


def test_a_reader_with_only_dislikes_gets_popular_books_alone(
    engine: Engine, popular: Popular, someone: Callable[..., Reader]
) -> None:
    for stars in (1, 2):
        picks = answered(engine, popular, someone(*[(row, stars) for row in range(0, 50, 3)]), 20, None).picks
        assert {pick.source for pick in picks} == {"popular"}
        assert len(picks) == 20


def test_similar_books_starters_and_a_list_across_genres_are_sound_for_anybody(engine: Engine) -> None:
    for rng, reader in list(readers(7))[:600]:
        n, book = int(rng.integers(0, 31)), UUID(int=int(rng.integers(1, BOOKS + UNKNOWN)))
        within = frozenset(books(rng, BOOKS)) if rng.random() < 0.3 else None
        similar = engine.similar_to(book, n, reader, within)
        assert sound(similar, reader, n)
        assert book not in {pick.book_id for pick in similar}
        assert within is None or {pick.book_id for pick in similar} <= within
        assert sound(engine.starting(n, reader), reader, n)
        across = page(engine.across(int(rng.integers(2, 11))), reader, n, within=within, shelf=engine, on_failure=fail)
        assert sound(across.picks, reader, n)
        assert one_edition_a_work_and_volumes_in_order(engine, across.picks, reader)


def test_a_list_across_genres_takes_turns_among_those_that_the_reader_likes(
    engine: Engine, someone: Callable[..., Reader]
) -> None:
    catalogue = engine.taste.catalogue
    assert catalogue is not None
    reader = someone(*[(row, 5) for row in range(0, 60, 5)])
    (source,) = engine.across(3)
    picks = source.picks(reader, 6)
    liked = source.liked(reader)  # type: ignore[attr-defined]  # an Across, as the engine has a catalogue
    assert len(liked) == 3
    rows = [engine.taste.rows[pick.book_id] for pick in picks]
    assert all(catalogue.genres[row, genre] for row, genre in zip(rows, [*liked, *liked], strict=True))
    assert source.picks(someone((0, 1)), 6) == []


def test_a_book_that_the_bundle_does_not_know_has_nothing_like_it(engine: Engine) -> None:
    assert engine.similar_to(UUID(int=BOOKS + 1), 5, Reader()) == []


def test_a_bundle_without_a_catalogue_has_taste_alone(
    some_world: dict[str, Any], someone: Callable[..., Reader], book: Callable[[int], UUID]
) -> None:
    bare = Engine(Taste(some_world))
    assert [source.name for source in bare.personal()] == ["taste"]
    assert [source.name for source in bare.across(3)] == ["taste"]
    assert bare.similar_to(book(0), 5, Reader()) == bare.starting(5, Reader()) == []
    reader = someone((0, 5))
    picks = page(bare.personal(0.5), reader, 5, shelf=bare, on_failure=fail).picks
    assert [pick.book_id for pick in picks] == [pick.book_id for pick in bare.taste.picks(reader, 5)]


@pytest.mark.parametrize(("size", "milliseconds"), [(10_000, 8), (100_000, 25)])
def test_a_personal_list_with_reasons_costs_milliseconds(size: int, milliseconds: float) -> None:
    """On one thread of a machine that does nothing else; five times that is what a busy one may take here."""
    large = Engine(Taste(made_up(size, 64, 50, 150)))
    rng = np.random.default_rng(1)
    asked = [
        Reader(
            tuple(
                Rating(UUID(int=int(row) + 1), int(stars), NOON + timedelta(days=day))
                for day, (row, stars) in enumerate(zip(rng.choice(size, 100), rng.integers(2, 6, 100), strict=True))
            )
        )
        for _ in range(5)
    ]
    spent = []
    for reader in asked * 2:
        before = process_time()
        assert len(page(large.personal(), reader, 20, shelf=large, on_failure=fail).picks) == 20
        spent.append(process_time() - before)
    assert min(spent) * 1000 < 5 * milliseconds
