import datetime as dt
import threading
from pathlib import Path

import polars as pl
import pytest

from data import lake
from models.training.als import AlsParams
from pipelines.resources import PipelineBusy, exclusive
from pipelines.training import Evaluation, EvaluationMissing, emptied, genre_files, keep, kept, ratings_of, recipe

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
BOOKS = ["00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"]


def test_ratings_are_numbered_oldest_first_within_a_reader(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "reader": [7, -3, 7],
            "book_id": [BOOKS[1], BOOKS[1], BOOKS[0]],
            "rating": pl.Series([5, 2, 1], dtype=pl.Int8),
            "created_at": pl.Series([AT + dt.timedelta(microseconds=1), AT, AT], dtype=lake.MOMENT),
        }
    )
    lake.store(tmp_path, "ratings", table)

    found = ratings_of(tmp_path)

    assert found.reader.tolist() == [0, 1, 1]
    assert found.book.tolist() == [1, 0, 1]
    assert found.stars.tolist() == [2, 1, 5]
    assert found.at.tolist() == [1767225600000000, 1767225600000000, 1767225600000001]


def test_an_evaluation_counts_for_its_own_extract_and_recipe_alone(tmp_path: Path) -> None:
    params = recipe(AlsParams())
    with pytest.raises(EvaluationMissing, match=r"select \+champion"):
        kept(tmp_path, snapshot="one", params=params)
    keep(tmp_path, Evaluation("one", params, {"ndcg_at_10": 0.1}))

    assert kept(tmp_path, snapshot="one", params=params).metrics == {"ndcg_at_10": 0.1}
    with pytest.raises(EvaluationMissing, match="another extract or recipe"):
        kept(tmp_path, snapshot="two", params=params)
    with pytest.raises(EvaluationMissing, match="another extract or recipe"):
        kept(tmp_path, snapshot="one", params=recipe(AlsParams(alpha=1)))


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
