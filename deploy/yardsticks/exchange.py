"""A split on its way to other people's libraries, and their lists on the way back: Parquet, numbers, nothing else."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.evaluation.rankers import LIKED_FROM, Top
from models.evaluation.splits import Split
from models.training.interactions import Interactions


class ListsRefused(ValueError):
    """What came back is no set of lists for these readers."""


@dataclass(frozen=True)
class Lists:
    """Lists that are there already, as a ``Ranker``.

    Attributes:
        readers: (r,) rising.
        books: (r, depth) their books, best first, -1 where a list is shorter.
    """

    readers: NDArray[np.int64]
    books: Top

    def top(self, history: Interactions, readers: NDArray[np.integer], depth: int) -> Top:  # noqa: ARG002 - Ranker
        """Empty for a reader who has no list; the history is the one that the lists were made from."""
        found = np.full((len(readers), depth), -1, dtype=np.int32)
        if len(self.readers):
            row = np.minimum(np.searchsorted(self.readers, readers), len(self.readers) - 1)
            there = self.readers[row] == readers
            width = min(depth, self.books.shape[1])
            found[there, :width] = self.books[row[there], :width]
        return found


def judged_readers(split: Split) -> NDArray[np.int64]:
    """(r,) rising: every reader with a book in the future that they came to like."""
    return np.unique(split.future.reader[split.future.stars >= LIKED_FROM]).astype(np.int64)


def write_split(split: Split, folder: Path, depth: int) -> None:
    """Writes ``train``, ``history`` (reader, book, stars, at), ``readers`` and ``task.json``; never the future."""
    folder.mkdir(parents=True, exist_ok=True)
    _table(split.train).write_parquet(folder / "train.parquet")
    _table(split.history).write_parquet(folder / "history.parquet")
    pl.DataFrame({"reader": judged_readers(split)}).write_parquet(folder / "readers.parquet")
    (folder / "task.json").write_text(json.dumps({"depth": depth, "liked_from": LIKED_FROM}))


def read_ratings(path: Path, like: Interactions) -> Interactions:
    """What ``write_split`` wrote, in the numbering of ``like``."""
    table = pl.read_parquet(path)
    return Interactions(
        like.book_ids,
        like.reader_count,
        *(table[name].to_numpy() for name in ("reader", "book", "stars", "at")),
    )


def write_lists(lists: Lists, path: Path) -> None:
    """One row a place: reader, place from 0, book."""
    row, place = np.nonzero(lists.books >= 0)
    columns = {"reader": lists.readers[row].astype(np.int32), "place": place.astype(np.int32)}
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(columns | {"book": lists.books[row, place]}).write_parquet(path)


def read_lists(path: Path, split: Split, depth: int) -> Lists:
    """The lists in a file, checked.

    Raises:
        ListsRefused: A column is missing, a reader, book or place does not exist, a list has something twice or holds a
            book that its reader has rated.
    """
    try:
        table = pl.read_parquet(path).select(pl.col("reader", "place", "book").cast(pl.Int64)).sort("reader", "place")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ListsRefused(f"{path.name} cannot be read: {str(error).partition(chr(10))[0]}") from error
    readers = judged_readers(split)
    reader, place, book = (table[name].to_numpy() for name in ("reader", "place", "book"))
    history = split.history
    pair = reader * history.book_count + book
    told = {
        "a reader who was not asked for": ~np.isin(reader, readers),
        f"a place outside of 0 to {depth - 1}": (place < 0) | (place >= depth),
        "a book that does not exist": (book < 0) | (book >= history.book_count),
        "a book that its reader has rated": np.isin(
            pair, history.reader.astype(np.int64) * history.book_count + history.book
        ),
        "a book twice in one list": table.select(pl.struct("reader", "book").is_duplicated()).to_series().to_numpy(),
        "a place twice in one list": table.select(pl.struct("reader", "place").is_duplicated()).to_series().to_numpy(),
    }
    for what, wrong in told.items():
        if wrong.any():
            raise ListsRefused(f"{path.name} has {what} (reader {reader[wrong][0]}, book {book[wrong][0]})")
    books = np.full((len(readers), depth), -1, dtype=np.int32)
    books[np.searchsorted(readers, reader), place] = book
    return Lists(readers, books)


def _table(ratings: Interactions) -> pl.DataFrame:
    return pl.DataFrame(
        {"reader": ratings.reader, "book": ratings.book, "stars": ratings.stars, "at": ratings.at},
    )
