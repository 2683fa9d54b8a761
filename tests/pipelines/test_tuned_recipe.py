"""The asset that looks for a better recipe, on a lake of its own."""

import datetime as dt
import json
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import dagster as dg
import numpy as np
import polars as pl
import pytest

from data import lake
from data.database import Databases
from models.training.als import AlsParams
from models.training.itemitem import ItemItemParams
from models.training.recipe import Recipe
from models.training.tuning import Tuned
from pipelines.assets.report import quality_report
from pipelines.assets.tuning import tuned_recipe
from pipelines.judging import RECIPE, stored_recipe
from pipelines.resources import State
from pipelines.settings import PipelineSettings

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
BOOKS = [str(UUID(int=number + 1)) for number in range(24)]
BAD = Recipe(recency=0.0, taste=ItemItemParams(ridge=1000.0, ridge_share=1.0, exponent=1.5, neighbours=50))


@pytest.fixture
def state(tmp_path: Path) -> State:
    """Twenty-four books of three tastes, forty readers, each of one taste."""
    settings = PipelineSettings(home=tmp_path, tune_trials=4, tune_seconds=300)
    rng = np.random.default_rng(1)
    rows = [
        (reader, BOOKS[3 * book + reader % 3], int(rng.integers(3, 6)), START + dt.timedelta(days=day))
        for reader in range(40)
        for day, book in enumerate(rng.permutation(8)[:6])
    ]
    ratings = {"reader": pl.Int64, "book_id": pl.String, "rating": pl.Int8, "created_at": lake.MOMENT}
    books = {
        "id": BOOKS,
        "title": [f"Title {number}" for number in range(24)],
        "author": [f"Author {number % 6}" for number in range(24)],
        "description": pl.Series([None] * 24, dtype=pl.String),
        "series": pl.Series([None] * 24, dtype=pl.String),
        "series_position": pl.Series([None] * 24, dtype=pl.Float64),
        "language": ["en"] * 24,
        "publication_date": [dt.date(2001, 1, 1)] * 24,
    }
    genre = str(UUID(int=99))
    lake.store(settings.lake, "ratings", pl.DataFrame(rows, schema=ratings, orient="row"))
    lake.store(settings.lake, "books", pl.DataFrame(books))
    lake.store(settings.lake, "genres", pl.DataFrame({"id": [genre], "name": ["Any"]}))
    lake.store(settings.lake, "book_genres", pl.DataFrame({"book_id": BOOKS[:5], "genre_id": [genre] * 5}))
    return State(settings, Databases("unused", "unused", "unused"))


def tuned(state: State) -> dict[str, dg.MetadataValue]:
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([tuned_recipe], instance=instance, resources={"state": state})
    (done,) = result.asset_materializations_for_node("tuned_recipe")
    return dict(done.metadata)


def store(state: State, text: str) -> Path:
    state.work.mkdir(parents=True)
    (state.work / RECIPE).write_text(text)
    return state.work / RECIPE


def test_a_better_recipe_takes_the_place_of_the_stored_one_and_tells_why(state: State) -> None:
    file = store(state, json.dumps(BAD.to_json()))
    told = tuned(state)

    found = stored_recipe(state.work)
    assert found != BAD
    assert told["recipe"].value == found.to_json()
    assert str(told["decision"].value).startswith("Better than what there was")
    assert float(str(told["ndcg_at_10"].value)) > float(str(told["ndcg_at_10 before"].value))
    assert "| linear | 0 |" in str(told["trials"].value)
    assert "data:image/png;base64," in str(told["history"].value)
    assert [path.name for path in state.work.iterdir() if path.is_file()] == [file.name]


def test_what_cannot_be_bettered_is_not_written_again(state: State) -> None:
    file = store(state, json.dumps(BAD.to_json()))
    tuned(state)
    before = file.stat()
    settings = state.settings.model_copy(update={"tune_trials": 2})  # what there is, and nothing else
    told = tuned(State(settings, state.databases))

    assert str(told["decision"].value).startswith("Kept what there was")
    assert file.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("text", ['{"recency": 1, "dimensions": 300}', "no JSON"])
def test_a_recipe_of_another_version_is_replaced_even_where_the_default_is_kept(
    state: State, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "models.training.tuning.tune",
        lambda *_, start, **__: Tuned(start, None, None, (), {}, "Kept what there was: nothing to judge by."),
    )
    store(state, text)
    assert tuned(state)["trials"].value

    assert stored_recipe(state.work) == Recipe()


def test_the_defaults_are_not_frozen_in_a_file_when_they_are_kept(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "models.training.tuning.tune",
        lambda *_, start, **__: Tuned(start, 0.1, 0.1, (), {}, "Kept what there was."),
    )
    tuned(state)

    assert not (state.work / RECIPE).exists()


def test_the_report_is_made_though_the_stored_recipe_is_of_another_release(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own:
        """The program's own recipe, which is quick to learn."""

        from_json = Recipe.from_json

        def __new__(cls) -> Recipe:  # type: ignore[misc]  # in its place
            return Recipe(taste=None, blend=None, factors=AlsParams(factors=8, iterations=2))

    monkeypatch.setattr("pipelines.judging.Recipe", Own)
    monkeypatch.setattr(lake, "last_snapshot", lambda _: SimpleNamespace(fingerprint="of this extract"))
    store(state, '{"recency": 1, "dimensions": 300}')
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([quality_report], instance=instance, resources={"state": state})
    (done,) = result.asset_materializations_for_node("quality_report")

    assert (state.settings.exports / "report.html").exists()
    told = done.metadata
    assert "data:image/png;base64," in str(told["learning curve"].value)
    assert "data:image/png;base64," in str(told["picture 3"].value)
    assert float(str(told["ndcg_at_10"].value)) > 0
