"""On real readers: what the defaults are worth, and how long they take. Skipped where the slice is not at hand."""

import time
from collections.abc import Callable
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np
import polars as pl
import pytest

from models.evaluation.rankers import ChainRanker, PopularRanker, TasteRanker
from models.evaluation.report import Report, evaluate
from models.evaluation.splits import Split, leave_last, new_readers
from models.reader import Rating, Reader
from models.taste import Taste
from models.training.als import AlsParams, fit
from models.training.interactions import Interactions, interactions

pytestmark = pytest.mark.xdist_group("goodbooks")


def book_id(number: int) -> UUID:
    return uuid5(NAMESPACE_URL, f"goodbooks-10k/book/{number}")


@pytest.fixture(scope="module")
def ratings(goodbooks: Path) -> Interactions:
    table = pl.read_csv(goodbooks / "ratings.csv.gz")
    ids = {number: book_id(number) for number in table["book_id"].unique()}
    return interactions(
        table["user_id"].to_numpy(),
        [ids[number] for number in table["book_id"]],
        table["rating"].to_numpy(),
        np.arange(len(table)) * 60_000_000,
    )


def judged(split: Split) -> Report:
    popularity = PopularRanker(split.train)
    return evaluate(split, ChainRanker(TasteRanker(Taste(fit(split.train, AlsParams()))), popularity), popularity)


def test_the_champion_is_at_least_twice_as_good_as_popularity(ratings: Interactions) -> None:
    report = judged(leave_last(ratings))
    champion, popularity = report.champion.intervals["ndcg_at_10"], report.popularity.intervals["ndcg_at_10"]
    assert popularity.mean == pytest.approx(0.0466, abs=0.0005)
    assert champion.mean >= 2 * popularity.mean
    assert champion.mean > 0.118
    assert report.gains["ndcg_at_10"].low > popularity.mean
    assert len(report.readers) == 2298


def test_new_readers_are_served_as_well_without_retraining(ratings: Interactions) -> None:
    report = judged(new_readers(ratings))
    assert report.champion.intervals["ndcg_at_10"].mean >= 2 * report.popularity.intervals["ndcg_at_10"].mean


def test_fit_and_evaluation_are_quick(ratings: Interactions) -> None:
    """Bounds many times what it takes on two cores, so that they hold on a busy machine."""
    split = leave_last(ratings)
    start = time.perf_counter()
    model = TasteRanker(Taste(fit(split.train, AlsParams())))
    fitted = time.perf_counter()
    evaluate(split, model, PopularRanker(split.train))
    assert fitted - start < 60
    assert time.perf_counter() - fitted < 30


def test_who_liked_the_hunger_games_and_divergent_gets_their_sequels(
    ratings: Interactions, someone: Callable[..., Reader]
) -> None:
    hunger_games, divergent = 1, 12
    sequels = {book_id(number) for number in (17, 20, 69, 105)}  # Catching Fire, Mockingjay, Insurgent, Allegiant
    first = someone((0, 5), (1, 5)).ratings
    reader = Reader((Rating(book_id(hunger_games), 5, first[0].at), Rating(book_id(divergent), 5, first[1].at)))
    picks = Taste(fit(ratings, AlsParams())).picks(reader, 10)
    assert sequels <= {pick.book_id for pick in picks[:5]}
    assert all(pick.because and sum(reason.share or 0 for reason in pick.because) == pytest.approx(1) for pick in picks)
