"""docs/analysts.md: every query runs on an export of the sample library and answers what the page shows."""

import contextlib
import datetime as dt
import io
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest

from data import lake
from data.export import export
from data.sources.sample import sample_library
from pipelines import aggregation
from tests.data.lakes import KEY

PAGE = (Path(__file__).parents[2] / "docs" / "analysts.md").read_text()
TAKEN_AT = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)  # the sample's last rating is of the evening before
QUERIES = re.findall(r"```sql\n(.*?)```\n\n((?:\|[^\n]*\|\n)*)", PAGE, flags=re.DOTALL)
PROGRAMS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's own rows as a lake of that moment: what Postgres would give, without its ids of the day."""
    folder, sample = tmp_path_factory.mktemp("analysts"), sample_library()
    reader = {row.id: lake.pseudonym(KEY, row.id) for row in sample.readers()}
    books = list(sample.books())
    tables = {
        "books": pl.DataFrame(
            [
                {
                    **{name: getattr(book, name) for name in COPIED},
                    "id": str(book.id),
                    "created_at": book.created_at,
                }
                for book in books
            ],
            schema_overrides={"isbn": pl.String(), "created_at": lake.MOMENT},
            infer_schema_length=None,
        ),
        "genres": pl.DataFrame(
            [{"id": str(g.id), "name": g.name, "description": g.description} for g in sample.genres()]
        ),
        "book_genres": pl.DataFrame(
            [{"book_id": str(book.id), "genre_id": str(genre)} for book in books for genre in book.genre_ids]
        ),
        "ratings": pl.DataFrame(
            [(reader[r.user_id], str(r.book_id), r.rating, r.created_at, r.created_at) for r in sample.reviews()],
            schema={
                "reader": pl.Int64(),
                "book_id": pl.String(),
                "rating": pl.Int8(),
                "created_at": lake.MOMENT,
                "updated_at": lake.MOMENT,
            },
            orient="row",
        ).sort("reader", "created_at"),
        "favorites": pl.DataFrame(
            [(reader[f.user_id], str(f.book_id), f.created_at) for f in sample.favorites()],
            schema={"reader": pl.Int64(), "book_id": pl.String(), "created_at": lake.MOMENT},
            orient="row",
        ),
        "shown": pl.DataFrame(
            schema={
                "page_id": pl.String(),
                "rank": pl.Int16(),
                "reader": pl.Int64(),
                "book_id": pl.String(),
                "source": pl.String(),
                "score": pl.Float64(),
                "recommendation_type": pl.String(),
                "model_name": pl.String(),
                "model_version": pl.String(),
                "degraded": pl.Boolean(),
                "created_at": lake.MOMENT,
            }
        ),
        "feedback": pl.DataFrame(
            schema={
                "event_id": pl.Int64(),
                "page_id": pl.String(),
                "reader": pl.Int64(),
                "book_id": pl.String(),
                "event": pl.String(),
                "created_at": lake.MOMENT,
            }
        ),
    }
    for name, table in tables.items():
        lake.store(folder / "lake", name, table)
    lake._write_manifest(folder / "lake", lake.Snapshot(TAKEN_AT, "sample", {}))
    aggregation.store_book_statistics(folder / "lake")
    aggregation.store_group_statistics(folder / "lake")
    aggregation.store_activity(folder / "lake")
    export(folder / "lake", folder / "brs.duckdb")
    return folder


COPIED = ("title", "author", "isbn", "description", "publication_date", "series", "series_position", "language")


@pytest.fixture(scope="module")
def library(exported: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(exported / "brs.duckdb", read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def test_the_page_asks_a_number_of_questions() -> None:
    assert len(QUERIES) >= 10
    assert all(shown for _, shown in QUERIES), "a query without its answer"
    assert PROGRAMS


@pytest.mark.parametrize(("query", "shown"), QUERIES, ids=[query.splitlines()[0][3:] for query, _ in QUERIES])
def test_each_query_answers_what_the_page_shows(library: duckdb.DuckDBPyConnection, query: str, shown: str) -> None:
    assert as_markdown(library.execute(query)) == shown


def as_markdown(result: duckdb.DuckDBPyConnection) -> str:
    """The answer as the page shows it; ``…`` stands for nothing: all rows are there."""
    columns = [column[0] for column in result.description or ()]
    rows = [["" if value is None else str(value) for value in row] for row in result.fetchall()]
    return "".join(f"| {' | '.join(row)} |\n" for row in [columns, ["---"] * len(columns), *rows])


@pytest.mark.parametrize(("program", "printed"), PROGRAMS)
def test_each_program_prints_what_the_page_shows(
    exported: Path, monkeypatch: pytest.MonkeyPatch, program: str, printed: str
) -> None:
    monkeypatch.chdir(exported)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(program, "docs/analysts.md", "exec"), {})  # noqa: S102 - the page's own lines
    assert said.getvalue() == printed
