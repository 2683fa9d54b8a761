"""On real readers: what is served with the settings that BRS comes with. Skipped where the slice is not at hand."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest

from deploy.yardsticks.compare import goodbooks as library_of
from models.diversity import DEFAULT
from models.evaluation import metrics
from models.evaluation.rankers import ChainRanker, PopularRanker, ServedRanker
from models.evaluation.report import HEADLINE, YARDSTICK, compare
from models.evaluation.splits import leave_last
from models.reader import Rating, Reader
from models.taste import Taste
from models.training.itemitem import ItemItemParams
from models.training.recipe import Recipe, learn

QUICKER = replace(Recipe(), taste=ItemItemParams(core=3000))
"""Three books in ten are solved for exactly instead of eight: half of the time, for as good a list."""

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("goodbooks")]


def test_the_recipe_that_ships_is_as_good_as_is_said_of_it(goodbooks: Path) -> None:
    """One model for all that is asked of it: learning it is the long part."""
    known = library_of(goodbooks)
    split = leave_last(known.interactions)
    before = time.process_time()
    taste = Taste(learn(known.of(split.train), QUICKER))
    spent = time.process_time() - before
    popularity = PopularRanker(split.train)
    served = ChainRanker(ServedRanker(taste, DEFAULT), popularity)
    found = compare(split, {"served": served, YARDSTICK: popularity})
    ours, theirs = found.models["served"], found.models[YARDSTICK]
    authors = float(metrics.distinct_authors(ours.top, known.catalogue.author, 10).mean())
    assert len(found.readers) == 2298
    assert theirs.intervals[HEADLINE].mean == pytest.approx(0.0466, abs=0.0005)
    assert ours.intervals[HEADLINE].mean >= 0.158
    assert ours.intervals["recall_at_20"].mean >= 0.135
    assert authors >= 7.4
    assert spent < 400
    _sequels_come_first(taste)


def _books(*numbers: int) -> list[UUID]:
    return [uuid5(NAMESPACE_URL, f"goodbooks-10k/book/{number}") for number in numbers]


def _sequels_come_first(taste: Taste) -> None:
    """Who liked The Hunger Games and Divergent is shown Catching Fire, Mockingjay, Insurgent and Allegiant."""
    liked, sequels = (_books(1, 12), _books(17, 20, 69, 105))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    reader = Reader(tuple(Rating(book, 5, start + timedelta(days=day)) for day, book in enumerate(liked)))
    picks = taste.picks(reader, 10)
    assert set(sequels) <= {pick.book_id for pick in picks}
    assert all(pick.because and sum(reason.share or 0 for reason in pick.because) == pytest.approx(1) for pick in picks)
