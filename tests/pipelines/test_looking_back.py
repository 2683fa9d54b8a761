"""Weeks of the past as partitions, on a part of the sample with a recipe that is quick to learn."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from data import lake
from data.database import Databases
from data.sources.sample import sample_library
from models.training.als import AlsParams
from models.training.recipe import Recipe
from pipelines.assets.looking_back import WEEKS, library_weeks, past_evaluation
from pipelines.judging import RECIPE
from pipelines.looking_back import judgeable, look_back, weeks_of
from pipelines.resources import State
from pipelines.settings import PipelineSettings
from pipelines.training import library_of

QUICK = Recipe(taste=None, blend=None, factors=AlsParams(factors=16, iterations=3))
EMPTY = "1999-01-04"


def fill(folder: Path) -> None:
    """Every fifth reader of the sample."""
    source = sample_library()
    books = list(source.books())
    columns = ("id", "title", "author", "series", "series_position", "language", "publication_date")
    kinds = {"series": pl.String, "series_position": pl.Float64, "language": pl.String}
    table = {column: [getattr(book, column) for book in books] for column in columns} | {
        "id": [str(b.id) for b in books]
    }
    lake.store(folder, "books", pl.DataFrame(table, schema_overrides=kinds))
    genres = list(source.genres())
    lake.store(folder, "genres", pl.DataFrame({"id": [str(g.id) for g in genres], "name": [g.name for g in genres]}))
    of = [(str(book.id), str(genre)) for book in books for genre in book.genre_ids]
    lake.store(folder, "book_genres", pl.DataFrame(of, schema=["book_id", "genre_id"], orient="row"))
    number: dict[object, int] = {}
    rows = [
        (reader, str(one.book_id), one.rating, one.created_at)
        for one in source.reviews()
        if (reader := number.setdefault(one.user_id, len(number))) % 5 == 0
    ]
    kinds_of = {"reader": pl.Int64, "book_id": pl.String, "rating": pl.Int8, "created_at": lake.MOMENT}
    lake.store(folder, "ratings", pl.DataFrame(rows, schema=kinds_of, orient="row").sort("reader", "created_at"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = PipelineSettings(home=tmp_path_factory.mktemp("looking back"))
    fill(settings.lake)
    (settings.home / "training").mkdir()
    (settings.home / "training" / RECIPE).write_text(json.dumps(QUICK.to_json()))
    return settings.home


@pytest.fixture
def state(home: Path) -> State:
    return State(PipelineSettings(home=home), Databases("unused", "unused", "unused"))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as opened:
        yield opened


def told(instance: dg.DagsterInstance, state: State, week: str) -> dict[str, object]:
    result = dg.materialize([past_evaluation], instance=instance, resources={"state": state}, partition_key=week)
    (done,) = result.asset_materializations_for_node("past_evaluation")
    return {name: value.value for name, value in done.metadata.items()}


def test_weeks_of_the_past_are_judged_one_by_one_and_stand_in_one_table(
    instance: dg.DagsterInstance, state: State
) -> None:
    weeks = weeks_of(state.lake)
    assert all(dt.date.fromisoformat(week).weekday() == 0 for week in weeks)
    assert judgeable(state.lake, 2) == weeks[-5:-3]
    instance.add_dynamic_partitions(str(WEEKS.name), [*weeks, EMPTY])
    early, late = weeks[len(weeks) // 2], weeks[-5]

    first, second = told(instance, state, late), told(instance, state, early)

    for found in (first, second):
        assert float(str(found["ndcg_at_10"])) > float(str(found["popularity"])) > 0
        assert (
            float(str(found["ndcg_at_10_low"])) < float(str(found["ndcg_at_10"])) < float(str(found["ndcg_at_10_high"]))
        )
        assert "NDCG@10 0." in str(found["decision"])
        assert found["recipe"] == QUICK.to_json()
        assert "data:image/png;base64," in str(found["picture"])
    rows = str(second["weeks"]).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [f"| {early}", f"| {late}"]
    assert int(str(second["ratings"])) < int(str(first["ratings"]))


def test_a_week_with_nothing_before_it_says_so_in_one_line(instance: dg.DagsterInstance, state: State) -> None:
    instance.add_dynamic_partitions(str(WEEKS.name), [EMPTY])
    found = told(instance, state, EMPTY)
    assert (found["judged"], found["ratings"]) == (False, 0)
    assert found["why not"] == f"no rating is older than {EMPTY}: there is nothing to learn from"
    assert f"| {EMPTY} | 0 | 0 | {found['why not']}" in str(found["weeks"])


def test_nothing_of_the_week_and_after_is_learned_from(home: Path) -> None:
    """What was rated later, by anybody, changes no figure; what is rated after the weeks that judge changes none."""
    known, week = library_of(home / "lake"), weeks_of(home / "lake")[-8]
    monday = dt.datetime.combine(dt.date.fromisoformat(week), dt.time(), dt.UTC)
    end = int((monday + dt.timedelta(weeks=4)).timestamp() * 1_000_000)
    until_then = known.of(known.interactions.only(known.interactions.at < end))
    assert len(until_then.interactions) < len(known.interactions)
    assert look_back(until_then, QUICK, week) == look_back(known, QUICK, week)


def test_weeks_after_the_last_rating_have_nobody_to_judge(home: Path) -> None:
    known = library_of(home / "lake")
    found = look_back(known, QUICK, "2099-01-05")
    assert found.why_not == "nobody rated anything in the 4 weeks from 2099-01-05 on"


def test_the_weeks_of_an_extract_are_offered_once(
    instance: dg.DagsterInstance, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Snapshot:
        fingerprint = "one"

    monkeypatch.setattr(lake, "last_snapshot", lambda _: Snapshot)
    weeks = weeks_of(state.lake)
    instance.add_dynamic_partitions(str(WEEKS.name), weeks[:3])
    with dg.build_sensor_context(instance, resources={"onlooker": state}) as context:
        ticked = library_weeks.evaluate_tick(context)
    (request,) = ticked.dynamic_partitions_requests
    assert list(request.partition_keys) == weeks[3:]
    with dg.build_sensor_context(instance, ticked.cursor, resources={"onlooker": state}) as context:
        assert library_weeks.evaluate_tick(context).skip_message
