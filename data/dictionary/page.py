"""The descriptions as a page of Markdown."""

from collections.abc import Iterable, Iterator

from data.dictionary.tables import TABLES
from data.dictionary.views import VIEWS

_HEAD = """# Data dictionary

What `brs export` writes: `brs.duckdb`, and each table (not the views) as a Parquet file of its name in `brs-parquet/`.
In DuckDB the same words are comments: `SELECT table_name, column_name, comment FROM duckdb_columns()`. In Parquet, ids
are text instead of UUID. Readers are pseudonyms; there is no e-mail address, no name and no text of a review.

This page is made from the code: `make dictionary`. How to ask: [analysts.md](analysts.md).
"""


def page() -> str:
    """The whole page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    yield "## Tables\n"
    for name, table in TABLES.items():
        yield f"### {name}\n\n{table.meaning}\n\n| column | type | |\n|---|---|---|"
        yield _rows((f"`{column}`", told.kind, told.meaning) for column, told in table.columns.items())
    yield "## Views\n"
    for name, view in VIEWS.items():
        yield f"### {name}\n\n{view.meaning}\n\n| column | |\n|---|---|"
        yield _rows((f"`{column}`", meaning) for column, meaning in view.columns.items())


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
