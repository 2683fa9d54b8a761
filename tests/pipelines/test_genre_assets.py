"""The genre model's assets on a lake made by hand, published to real Postgres."""

import datetime as dt
import json
from pathlib import Path
from uuid import UUID, uuid5

import dagster as dg
import polars as pl
import psycopg
import pytest

from data import lake
from data.database import Databases
from models.training.genres import load
from pipelines.assets.genres import PROPOSALS, genre_model, genre_proposals
from pipelines.resources import State
from pipelines.settings import PipelineSettings

SPACE = UUID(int=0)
AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
WORDS = ("dragon", "murder", "kiss")
BOOKS, WITHOUT = 90, 6  # the last six have no genre


def named(kind: str, number: int) -> str:
    return str(uuid5(SPACE, f"{kind} {number}"))


@pytest.fixture
def state(database_url: str, tmp_path: Path) -> State:
    return State(PipelineSettings(home=tmp_path), Databases(database_url, database_url, database_url))


def store(state: State, *, labelled: int) -> None:
    """Books of three genres in turn, told by their titles and by who reads them; so many of them have their genre."""
    books = {
        "id": [named("book", row) for row in range(BOOKS)],
        "title": [f"The {WORDS[row % 3]}" for row in range(BOOKS)],
        "author": [f"Author {row // 6}" for row in range(BOOKS)],
        "description": [None] * BOOKS,
        "series": [None] * BOOKS,
        "series_position": [None] * BOOKS,
        "language": ["en"] * BOOKS,
        "publication_date": [dt.date(2000, 1, 1), None] * (BOOKS // 2),
    }
    kinds = {"description": pl.String, "series": pl.String, "series_position": pl.Float64}
    lake.store(state.lake, "books", pl.DataFrame(books, schema_overrides=kinds))
    pairs = [(row % 40, row) for row in range(BOOKS - 1)] + [(row % 3, row) for row in range(BOOKS - 1)]
    ratings = {
        "reader": [reader for reader, _ in pairs],
        "book_id": [named("book", row) for _, row in pairs],
        "rating": pl.Series([4] * len(pairs), dtype=pl.Int8),
        "created_at": pl.Series([AT] * len(pairs), dtype=lake.MOMENT),
    }
    lake.store(state.lake, "ratings", pl.DataFrame(ratings))
    genres = {"id": [named("genre", number) for number in range(3)], "name": ["Fantasy", "Crime", "Romance"]}
    lake.store(state.lake, "genres", pl.DataFrame(genres))
    of_books = {
        "book_id": [named("book", row) for row in range(labelled)],
        "genre_id": [named("genre", row % 3) for row in range(labelled)],
    }
    lake.store(state.lake, "book_genres", pl.DataFrame(of_books, schema={"book_id": pl.String, "genre_id": pl.String}))


def fill(db: psycopg.Connection) -> None:
    for row in range(BOOKS):
        db.execute(
            "INSERT INTO books (id, title, author, title_key, author_key) VALUES (%s, 't', 'a', 't', 'a')",
            (named("book", row),),
        )
    for number in range(3):
        db.execute(
            "INSERT INTO genres (id, name, name_key) VALUES (%s, %s, 'g')", (named("genre", number), f"G{number}")
        )


def told(state: State, asset: dg.AssetsDefinition) -> dict[str, object]:
    result = dg.materialize([asset], resources={"state": state}, selection=[asset])
    [event] = result.asset_materializations_for_node(asset.op.name)
    return {name: value.value for name, value in event.metadata.items()}


def test_books_without_genres_get_proposals_that_the_service_can_read(state: State, db: psycopg.Connection) -> None:
    store(state, labelled=BOOKS - WITHOUT)
    fill(db)

    learned = told(state, genre_model)
    published = told(state, genre_proposals)

    assert (learned["learned"], learned["books without genres"], learned["books with proposals"]) == (True, 6, 6)
    assert learned["proposals"] == published["dagster/row_count"]
    rows = db.execute(
        "SELECT DISTINCT ON (book_id) book_id, genre_id FROM genre_proposals ORDER BY 1, probability DESC"
    )
    assert {str(book): str(genre) for book, genre in rows} == {
        named("book", row): named("genre", row % 3) for row in range(BOOKS - WITHOUT, BOOKS)
    }
    metrics = json.loads((state.work / "genres" / "metrics.json").read_text())
    assert metrics["genres_micro_f1"] > 0.9
    assert {"genres_calibration_error", "genres_micro_f1", "genres_macro_f1"} < set(metrics)
    assert load(state.work / "genres").genres == ("Crime", "Fantasy", "Romance")
    assert str(learned["per genre"]).count("\n") == 4


def test_where_nothing_can_be_learned_old_proposals_go_away(state: State, db: psycopg.Connection) -> None:
    store(state, labelled=2)
    fill(db)
    db.execute("INSERT INTO genre_proposals VALUES (%s, %s, 0.5)", (named("book", 0), named("genre", 0)))

    learned = told(state, genre_model)

    assert learned["learned"] is False
    assert lake.scan(state.lake, PROPOSALS).collect().is_empty()
    assert told(state, genre_proposals)["dagster/row_count"] == 0
    assert db.execute("SELECT count(*) FROM genre_proposals").fetchone() == (0,)
