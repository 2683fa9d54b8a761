"""A reader's own library as Goodreads exports it: one CSV file."""

import csv
import datetime as dt
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from data.sources.isbn import isbn13
from data.sources.titles import split_title
from data.text import sort_key

# The export has more columns; these are the ones without which it is not one.
NEEDED: Final = ("Title", "Author", "ISBN", "ISBN13", "My Rating")
_DATES: Final = ("Date Read", "Date Added")
_READ: Final = frozenset({*NEEDED, *_DATES})
MOST_ROWS: Final = 50_000
_EARLIEST: Final = dt.date(1970, 1, 1)  # before that a date is a slip of the keyboard
_STARS: Final = re.compile(r"[0-5]")


class ExportRefused(ValueError):
    """The file is no library export; says so in one sentence that repeats nothing of it."""


class ExportRow(NamedTuple):
    """One book of the shelf.

    ``row`` counts from 1 below the header. ``stars`` is 1..5, 0 when the book was not rated, ``None`` when the row
    cannot be read. ``isbns`` are ISBN-13, ``titles`` sort keys with and without the series behind, ``author`` is an
    ``author_key``. ``rated_on`` is ``None`` where the file has no plausible date.
    """

    row: int
    title: str
    stars: int | None
    isbns: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    author: str = ""
    rated_on: dt.date | None = None


def author_key(name: str) -> str:
    """Letters and digits of the first author alone: "J.K. Rowling" is "J. K. Rowling", also with an illustrator."""
    return "".join(c for c in sort_key(name.partition(",")[0]) if c.isalnum())


def read_export(content: bytes, today: dt.date) -> list[ExportRow]:
    """All rows of the file in its order. A row that cannot be read spoils only itself.

    Raises:
        ExportRefused: the header is not that of a library export, or there are more than ``MOST_ROWS``.
    """
    # A wrong byte spoils one letter of one row, which may still be found by its ISBN.
    records = _records(io.StringIO(content.decode("utf-8-sig", errors="replace"), newline=""))
    names = [name.strip() for name in next(records, None) or ()]
    if not set(NEEDED) <= set(names):
        raise ExportRefused("This is not a Goodreads library export: its columns are missing")
    rows: list[ExportRow] = []
    for record in records:
        if record == []:
            continue  # an empty line
        if len(rows) == MOST_ROWS:
            raise ExportRefused(f"A library of more than {MOST_ROWS} books must be split")
        rows.append(_row(len(rows) + 1, names, record, today))
    return rows


def _records(text: io.StringIO) -> Iterator[list[str] | None]:
    """Records, ``None`` for one that is not CSV."""
    reader = csv.reader(text)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield None


def _row(number: int, names: Sequence[str], record: Sequence[str] | None, today: dt.date) -> ExportRow:
    told = {name: _plain(cell) for name, cell in zip(names, record or (), strict=False) if name in _READ}
    title = told.get("Title", "")
    stars = told.get("My Rating", "")
    if not title or not _STARS.fullmatch(stars):
        return ExportRow(number, title, None)
    found = (isbn13(told.get("ISBN13")), isbn13(told.get("ISBN")))
    return ExportRow(
        number,
        title,
        int(stars),
        isbns=tuple(dict.fromkeys(isbn for isbn in found if isbn is not None)),
        titles=tuple(dict.fromkeys(sort_key(name) for name in (title, split_title(title).title))),
        author=author_key(told.get("Author", "")),
        rated_on=_rated_on(told, today),
    )


def _plain(cell: str) -> str:
    """A cell without the ``="…"`` that keeps spreadsheets from turning ISBNs into numbers, on one line."""
    if cell.startswith('="') and cell.endswith('"') and len(cell) > 2:  # noqa: PLR2004  the two characters in front
        cell = cell[2:-1]
    return " ".join("".join(c if c.isprintable() else " " for c in cell).split())


def _rated_on(told: Mapping[str, str], today: dt.date) -> dt.date | None:
    """When the book was read, else when it was put on the shelf: the export does not say when it was rated."""
    for column in _DATES:
        try:
            day = dt.date.fromisoformat(told.get(column, "").replace("/", "-"))
        except ValueError:
            continue
        if _EARLIEST <= day <= today:
            return day
    return None
