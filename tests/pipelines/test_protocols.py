"""The report's comparisons, on the sample with models that are quick to learn."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from data import lake
from data.sources.sample import sample_library
from models.evaluation.facts import BookFacts
from models.evaluation.rankers import ServedRanker
from models.training.als import AlsParams
from models.training.blender import BlendParams
from models.training.library import Library
from models.training.recipe import Recipe
from pipelines.judging import OURS
from pipelines.protocols import UNVARIED, Compared, baskets, compared, foretold, overall
from pipelines.report_page import Content, render
from pipelines.simulation import world_of

QUICK = Recipe(blend=BlendParams(iterations=10, fewest_likes=50), factors=AlsParams(factors=16, iterations=2))


@pytest.fixture(scope="module")
def known() -> Library:
    """A fifth of the sample's readers."""
    whole = world_of(sample_library(), nights=1).known(1)
    return whole.of(whole.interactions.only(whole.interactions.reader % 5 == 0))


@pytest.fixture(scope="module")
def found(known: Library) -> list[Compared]:
    catalogue = known.catalogue
    names = [str(number) for number in range(len(catalogue.genre_ids))]
    titles = ["A Title"] * known.interactions.book_count
    facts = BookFacts(catalogue.author, catalogue.genres > 0, names, catalogue.year, titles)
    return list(compared(known, QUICK, facts))


def test_every_protocol_is_told_with_ours_first_and_its_parts_beside_it(found: list[Compared]) -> None:
    assert [one.comparison.protocol for one in found] == ["P1", "P2", "P2, 1 to 5 ratings", "P3"]
    for one in found:
        assert one.comparison.ours == OURS
        assert one.comparison.metrics["gain_ndcg_at_10"] > 0
        assert one.comparison.strongest_rival == "popularity"
    assert set(found[0].comparison.models) == {OURS, UNVARIED, "nor re-ranker", "nor item-item weights", "popularity"}
    assert set(found[2].comparison.models) == {OURS, UNVARIED, "popularity"}


def test_the_scores_are_held_against_what_was_liked(found: list[Compared]) -> None:
    told = foretold(found[0])
    assert told is not None
    future, readers = found[0].split.future, found[0].comparison.readers
    liked = set(zip(future.reader[future.stars >= 4].tolist(), future.book[future.stars >= 4].tolist(), strict=True))
    lists = ServedRanker(found[0].taste).top(found[0].split.history, readers, 50)
    hits = sum(
        (reader, book) in liked
        for reader, shown in zip(readers.tolist(), lists.tolist(), strict=True)
        for book in shown
    )
    assert hits > 50
    assert (told.n * told.observed).sum() == pytest.approx(hits)
    assert told.n.sum() == (lists >= 0).sum()
    assert told.observed[-1] > told.observed[0]


def test_baskets_are_books_with_picks_that_name_their_reasons(
    known: Library, found: list[Compared], tmp_path: Path
) -> None:
    source = sample_library()
    books = list(source.books())
    columns = {"id": [str(b.id) for b in books], "title": [b.title for b in books], "author": [b.author for b in books]}
    lake.store(tmp_path, "books", pl.DataFrame(columns))
    genres = list(source.genres())
    lake.store(tmp_path, "genres", pl.DataFrame({"id": [str(g.id) for g in genres], "name": [g.name for g in genres]}))

    made = baskets(known, found[0].taste, tmp_path)

    assert len(made) == 5
    rated = [title for basket in made for title, _ in basket.books]
    assert len(rated) == 15
    for basket in made:
        assert len(basket.picks) == 10
        own = {title for title, _ in basket.books}
        assert all({title for title, _ in pick.because} <= own and pick.because for pick in basket.picks)
    facts = overall(known)
    assert facts["books"] == known.interactions.book_count
    made_at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    page = render(Content(made_at, [one.comparison for one in found], made, QUICK.to_json(), facts))
    assert all(basket.name in page for basket in made)
