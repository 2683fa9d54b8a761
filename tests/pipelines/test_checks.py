import datetime as dt
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from data import lake
from data.database import Databases
from pipelines import drift
from pipelines.checks import AGE_RULES, DRIFT_RULES, EXTRACT_RULES, STATISTICS_RULES, drift_checks, extract_checks
from pipelines.resources import State
from pipelines.settings import PipelineSettings
from pipelines.statistics import book_statistics

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
Change = Callable[[pl.DataFrame], pl.DataFrame]


def tables() -> dict[str, pl.DataFrame]:
    return {
        "ratings": pl.DataFrame(
            {
                "reader": [1, 1, 2],
                "book_id": ["a", "b", "a"],
                "rating": pl.Series([5, 1, 3], dtype=pl.Int8),
                "created_at": pl.Series([AT] * 3, dtype=lake.MOMENT),
            }
        ),
        "favorites": pl.DataFrame({"reader": [1, 1], "book_id": ["a", "b"]}),
        "shown": pl.DataFrame({"page_id": ["p", "p"], "rank": [1, 2], "book_id": ["a", "b"]}),
        "feedback": pl.DataFrame({"event_id": [1, 2], "book_id": ["b", "b"]}),
        "books": pl.DataFrame({"id": ["a", "b", "c"]}),
        "genres": pl.DataFrame({"id": ["g", "h"]}),
        "book_genres": pl.DataFrame({"book_id": ["a", "a"], "genre_id": ["g", "h"]}),
    }


def written(folder: Path, name: str, table: pl.DataFrame, counted: int) -> lake.Extract:
    path = lake.store(folder, name, table)
    return lake.Extract(len(table), counted, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A lake in which everything holds."""
    state = State(PipelineSettings(home=tmp_path), Databases("", "", ""))
    extracts = {name: written(state.lake, name, table, len(table)) for name, table in tables().items()}
    lake._write_manifest(state.lake, lake.Snapshot(AT, "f", extracts))
    statistics, _ = book_statistics(tables()["ratings"].lazy(), tables()["books"].lazy(), AT)
    lake.store(state.lake, "rating_aggregates", statistics)
    return state


def damage(folder: Path, name: str, change: Change) -> None:
    """Change a table as a mistake of the extraction would: the manifest fits the file; what Postgres counted stays."""
    table = change(pl.read_parquet(folder / f"{name}.parquet"))
    if name not in lake.TABLES:
        lake.store(folder, name, table)
        return
    snapshot = lake.last_snapshot(folder)
    extracts = dict(snapshot.tables) | {name: written(folder, name, table, snapshot.tables[name].counted)}
    lake._write_manifest(folder, lake.Snapshot(snapshot.taken_at, "f", extracts))


def failed(folder: Path) -> set[str]:
    rules = {**EXTRACT_RULES, **STATISTICS_RULES}
    return {f"{key.asset_key.to_user_string()}: {key.name}" for key, rule in rules.items() if rule(folder).broken}


def test_a_sound_lake_passes_every_check(state: State) -> None:
    assert failed(state.lake) == set()


@pytest.mark.parametrize(
    ("table", "change", "caught"),
    [
        pytest.param(
            "ratings",
            lambda t: t.with_columns(book_id=pl.lit("a")),
            {"ratings: keys_are_unique"},
            id="a reader rates a book twice",
        ),
        pytest.param(
            "ratings",
            lambda t: t.with_columns(reader=pl.when(pl.col("rating") > 1).then("reader")),
            {"ratings: keys_are_unique"},
            id="a rating of nobody",
        ),
        pytest.param(
            "ratings",
            lambda t: t.with_columns(rating=pl.col("rating") - 1),
            {"ratings: stars_are_1_to_5"},
            id="no stars",
        ),
        pytest.param(
            "ratings",
            lambda t: t.with_columns(rating=pl.col("rating") + 1),
            {"ratings: stars_are_1_to_5"},
            id="six stars",
        ),
        pytest.param(
            "ratings",
            lambda t: t.with_columns(rating=pl.lit(None, pl.Int8)),
            {"ratings: stars_are_1_to_5"},
            id="stars unknown",
        ),
        pytest.param(
            "ratings",
            lambda t: t.with_columns(created_at=pl.lit(None, lake.MOMENT)),
            {"ratings: stars_are_1_to_5"},
            id="time unknown",
        ),
        pytest.param(
            "ratings",
            lambda t: t.with_columns(book_id=pl.col("book_id").replace("b", "x")),
            {"ratings: references_are_whole"},
            id="a rating of no book",
        ),
        pytest.param(
            "ratings",
            lambda t: t.head(2),
            {"ratings: rows_are_those_of_postgres", "rating_aggregates: intervals_are_sound"},
            id="a rating lost",
        ),
        pytest.param(
            "books",
            lambda t: pl.concat([t, t.tail(1)]),
            {"books: keys_are_unique", "books: rows_are_those_of_postgres"},
            id="a book twice",
        ),
        pytest.param(
            "books",
            lambda t: t.filter(pl.col("id") != "a"),
            {
                "books: rows_are_those_of_postgres",
                "ratings: references_are_whole",
                "favorites: references_are_whole",
                "shown: references_are_whole",
                "book_genres: references_are_whole",
            },
            id="a book lost",
        ),
        pytest.param(
            "genres",
            lambda t: t.with_columns(id=pl.lit("g")),
            {"genres: keys_are_unique", "book_genres: references_are_whole"},
            id="a genre twice",
        ),
        pytest.param(
            "book_genres",
            lambda t: t.with_columns(genre_id=pl.lit("g")),
            {"book_genres: keys_are_unique"},
            id="a genre of a book twice",
        ),
        pytest.param(
            "book_genres",
            lambda t: t.clear(),
            {"book_genres: rows_are_those_of_postgres"},
            id="genres of books lost",
        ),
        pytest.param(
            "favorites", lambda t: t.with_columns(book_id=pl.lit("a")), {"favorites: keys_are_unique"}, id="kept twice"
        ),
        pytest.param(
            "shown",
            lambda t: t.with_columns(rank=1),
            {"shown: keys_are_unique"},
            id="two picks in one place",
        ),
        pytest.param(
            "feedback",
            lambda t: t.with_columns(event_id=pl.lit(None, pl.Int64)),
            {"feedback: keys_are_unique"},
            id="an event without a number",
        ),
        pytest.param(
            "feedback",
            lambda t: t.with_columns(book_id=pl.lit("x")),
            {"feedback: references_are_whole"},
            id="feedback on no book",
        ),
        pytest.param(
            "rating_aggregates",
            lambda t: t.with_columns(interval_low=pl.lit(0.5)),
            {"rating_aggregates: intervals_are_sound"},
            id="an interval below one star",
        ),
        pytest.param(
            "rating_aggregates",
            lambda t: t.with_columns(shrunken_mean=pl.lit(float("nan"))),
            {"rating_aggregates: intervals_are_sound"},
            id="a mean that is no number",
        ),
    ],
)
def test_each_check_catches_what_breaks_it_and_no_other_does(
    state: State, table: str, change: Change, caught: set[str]
) -> None:
    damage(state.lake, table, change)

    assert failed(state.lake) == caught


def test_a_file_of_another_extraction_is_caught(state: State) -> None:
    lake.store(state.lake, "genres", tables()["genres"].reverse())

    assert failed(state.lake) == {"genres: rows_are_those_of_postgres"}


def warned(folder: Path) -> set[str]:
    rules = {**AGE_RULES, **DRIFT_RULES}
    return {key.name for key, rule in rules.items() if rule(folder).broken}


def taken(folder: Path, at: dt.datetime, ratings: list[tuple[int, dt.datetime]]) -> None:
    """An extract of that moment with these stars and times."""
    table = pl.DataFrame(ratings, schema={"rating": pl.Int8, "created_at": lake.MOMENT}, orient="row")
    extracts = {"ratings": written(folder, "ratings", table, len(table))}
    lake._write_manifest(folder, lake.Snapshot(at, "f", extracts))


def test_an_old_extract_and_old_ratings_are_told_of_and_young_ones_are_not(tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    taken(tmp_path, now - dt.timedelta(hours=35), [(5, now - dt.timedelta(days=6))])
    assert warned(tmp_path) == set()
    taken(tmp_path, now - dt.timedelta(hours=37), [(5, now - dt.timedelta(days=6))])
    assert warned(tmp_path) == {"extract_is_fresh"}
    taken(tmp_path, now, [(5, now - dt.timedelta(days=8))])
    assert warned(tmp_path) == set()  # a data set that ended before anybody looked


def test_ratings_that_no_longer_arrive_are_told_of(tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    last = now - dt.timedelta(days=8)
    for run in (last + dt.timedelta(hours=1), now):
        taken(tmp_path, run, [(5, last)])
        drift.remember(tmp_path, run)
    assert warned(tmp_path) == {"newest_rating_is_fresh"}
    taken(tmp_path, now, [])
    assert warned(tmp_path) == set()


def test_a_night_of_many_fives_is_told_of_once_it_is_remembered(tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    ordinary = [
        (stars, now - dt.timedelta(days=day, hours=12)) for day in range(40) for stars in [1, 2, 3, 4, 4, 5] * 20
    ]
    taken(tmp_path, now, ordinary)
    assert warned(tmp_path) == set()  # nothing is remembered yet
    drift.remember(tmp_path, now)
    assert warned(tmp_path) == set()

    taken(tmp_path, now, [*ordinary, *[(5, now - dt.timedelta(hours=1))] * 120])
    drift.remember(tmp_path, now)
    assert warned(tmp_path) == {"stars_are_spread_as_before", "pace_is_as_before"}


@dg.multi_asset(specs=[dg.AssetSpec(name) for name in ("ratings", "daily_activity")])
def remembered(state: dg.ResourceParam[State]) -> Iterator[dg.MaterializeResult[None]]:
    drift.remember(state.lake, lake.last_snapshot(state.lake).taken_at)
    yield dg.MaterializeResult(asset_key="ratings")
    yield dg.MaterializeResult(asset_key="daily_activity")


@dg.asset(deps=["daily_activity"])
def learns_all_the_same() -> None:
    """Stands for what must not be stopped by a warning."""


def test_drift_warns_and_stops_nothing(state: State) -> None:
    now = dt.datetime.now(dt.UTC)
    taken(state.lake, now, [(4, now - dt.timedelta(days=day, hours=12)) for day in range(1, 40) for _ in range(60)])

    result = dg.materialize([remembered, learns_all_the_same, drift_checks], resources={"state": state})

    (pace,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "pace_is_as_before"]
    assert (pace.passed, pace.blocking, pace.severity) == (False, False, dg.AssetCheckSeverity.WARN)
    assert "0.0 ratings a day, before 60.0" in str(pace.description)
    assert len(result.asset_materializations_for_node("learns_all_the_same")) == 1


@dg.multi_asset(specs=[dg.AssetSpec(name) for name in lake.TABLES])
def already_extracted() -> Iterator[dg.MaterializeResult[None]]:
    for name in lake.TABLES:
        yield dg.MaterializeResult(asset_key=name)


@dg.asset(deps=["ratings"])
def learns_from_ratings() -> None:
    """Stands for every training asset."""


def test_a_failed_check_stops_what_would_learn_from_it(state: State) -> None:
    def run() -> tuple[bool, int]:
        result = dg.materialize(
            [already_extracted, learns_from_ratings, extract_checks],
            resources={"state": state},
            raise_on_error=False,
        )
        return result.success, len(result.asset_materializations_for_node("learns_from_ratings"))

    assert run() == (True, 1)
    damage(state.lake, "ratings", lambda t: t.with_columns(rating=pl.lit(9, pl.Int8)))
    assert run() == (False, 0)
