import datetime as dt
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data import lake
from models.ids import unpack
from models.training.recipe import Recipe
from pipelines.gate import Decision, Showing, decide
from pipelines.resources import PipelineBusy, exclusive
from pipelines.training import Evaluation, EvaluationMissing, emptied, facts_of, genre_files, keep, kept, library_of

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
BOOKS = [f"00000000-0000-0000-0000-00000000000{digit}" for digit in "abc"]
GENRES = [f"10000000-0000-0000-0000-00000000000{digit}" for digit in "ab"]


def table(rows: list[tuple[int, str, int, dt.datetime]]) -> pl.DataFrame:
    reader, book, stars, at = zip(*rows, strict=True)
    columns = {"reader": reader, "book_id": book, "rating": pl.Series(stars, dtype=pl.Int8)}
    return pl.DataFrame({**columns, "created_at": pl.Series(at, dtype=lake.MOMENT)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A lake of three books, one of which nobody has rated and nothing is known of."""
    micro = dt.timedelta(microseconds=1)
    lake.store(tmp_path, "ratings", table([(7, BOOKS[1], 5, AT + micro), (-3, BOOKS[1], 2, AT), (7, BOOKS[0], 1, AT)]))
    books = pl.DataFrame(
        {
            "id": [BOOKS[2], BOOKS[0], BOOKS[1]],
            "title": ["Nothing Known", "Volume One", "Volume Two"],
            "author": ["", "Ann Author, Other Hand", "ann  author"],
            "series": [None, "The Series", "the series"],
            "series_position": [None, 1.0, 2.0],
            "language": [None, "en", "en"],
            "publication_date": pl.Series([None, dt.date(1999, 5, 1), dt.date(2001, 1, 1)], dtype=pl.Date),
        }
    )
    lake.store(tmp_path, "books", books)
    lake.store(tmp_path, "genres", pl.DataFrame({"id": GENRES, "name": ["Poetry", "Crime"]}))
    of_book = pl.DataFrame({"book_id": [BOOKS[0], BOOKS[1], BOOKS[0]], "genre_id": [GENRES[1], GENRES[0], GENRES[0]]})
    lake.store(tmp_path, "book_genres", of_book)
    return tmp_path


def test_ratings_are_numbered_oldest_first_within_a_reader(folder: Path) -> None:
    found = library_of(folder).interactions

    assert found.reader.tolist() == [0, 1, 1]
    assert found.book.tolist() == [1, 0, 1]
    assert found.stars.tolist() == [2, 1, 5]
    assert found.at.tolist() == [1767225600000000, 1767225600000000, 1767225600000001]


def test_books_that_nobody_has_rated_are_in_the_library_with_what_is_known_of_them(folder: Path) -> None:
    known = library_of(folder)

    assert [str(book) for book in unpack(known.interactions.book_ids)] == BOOKS
    catalogue = known.catalogue
    assert catalogue.raters.tolist() == [1, 2, 0]
    assert catalogue.author[0] == catalogue.author[1] != catalogue.author[2]
    assert catalogue.series[0] == catalogue.series[1] != catalogue.series[2]
    assert catalogue.position.tolist()[:2] == [1, 2]
    assert catalogue.year.tolist() == [1999, 2001, 0]
    names = {str(genre): place for place, genre in enumerate(unpack(catalogue.genre_ids))}
    assert catalogue.genres[:, names[GENRES[0]]].tolist() == [1, 1, 0]
    assert catalogue.genres[:, names[GENRES[1]]].tolist() == [1, 0, 0]


def test_facts_have_the_numbering_of_the_library(folder: Path) -> None:
    facts = facts_of(folder, library_of(folder))

    assert facts.titles == ["Volume One", "Volume Two", "Nothing Known"]
    assert dict(zip(facts.genre_names, facts.genres.T.tolist(), strict=True)) == {
        "Poetry": [True, True, False],
        "Crime": [True, False, False],
    }
    assert facts.year.tolist()[:2] == [1999, 2001]
    assert np.isnan(facts.year[2])


def test_an_evaluation_counts_for_its_own_extract_and_recipe_alone(tmp_path: Path) -> None:
    params = Recipe().to_json()
    with pytest.raises(EvaluationMissing, match=r"select \+champion"):
        kept(tmp_path, snapshot="one", params=params)
    verdict = decide(Showing(np.full(9, 0.2), 1.0, 1.0), np.full(9, 0.1)).to_json()
    keep(tmp_path, Evaluation("one", params, {"ndcg_at_10": 0.1}, params, [verdict]))

    found = kept(tmp_path, snapshot="one", params=params)
    assert found.metrics == {"ndcg_at_10": 0.1}
    assert Decision.from_json(found.verdicts[0]).promote
    with pytest.raises(EvaluationMissing, match="another extract or recipe"):
        kept(tmp_path, snapshot="two", params=params)
    with pytest.raises(EvaluationMissing, match="another extract or recipe"):
        kept(tmp_path, snapshot="one", params=Recipe(recency=0.1).to_json())


def test_an_evaluation_of_an_earlier_release_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text('{"snapshot": "one", "params": {}, "metrics": {}}')
    with pytest.raises(EvaluationMissing, match="nothing was evaluated"):
        kept(tmp_path, snapshot="one", params={})


def test_a_library_without_a_genre_model_adds_no_files_to_the_bundle(tmp_path: Path) -> None:
    emptied(tmp_path / "genres")

    assert genre_files(tmp_path) == ([], {})


def test_a_run_of_the_dagster_page_waits_for_the_one_under_way_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    order: list[str] = []

    def from_the_page() -> None:
        with exclusive(tmp_path, wait=True, waiting=said.append):
            order.append("second")

    with exclusive(tmp_path, wait=False):
        with pytest.raises(PipelineBusy), exclusive(tmp_path, wait=False):
            pass
        waiting = threading.Thread(target=from_the_page)
        waiting.start()
        waiting.join(timeout=0.3)
        assert waiting.is_alive()
        order.append("first")
    waiting.join()

    assert order == ["first", "second"]
    assert "another pipeline run is under way" in said[0]
