"""From the lake to what models learn from, and where models wait between the steps of a run."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
import polars as pl

from data import lake
from data.loading import BookRow
from models.bundle import Json
from models.evaluation.facts import BookFacts
from models.ids import unpack
from models.training.library import Books, Library, library

EVALUATION = "evaluation.json"
GENRE_METRICS = "metrics.json"


class EvaluationMissing(RuntimeError):
    """What is to be promoted was not evaluated, or on other data; the message says what to run."""


@dataclass(frozen=True)
class Evaluation:
    """The numbers of one evaluation, and what they are numbers of.

    Attributes:
        snapshot: Of the extract.
        params: The recipe put forward.
        metrics: Its figures.
        adopted: The recipe that is to be fitted on everything: the one put forward, or the champion's where that one
            was refused.
        verdicts: What the gate said, of the recipe put forward and, where that was refused, of the champion's.
    """

    snapshot: str
    params: Mapping[str, Json]
    metrics: Mapping[str, float]
    adopted: Mapping[str, Json]
    verdicts: list[dict[str, Json]]


def library_of(folder: Path) -> Library:
    """All ratings and all books of the lake, in one numbering."""
    ratings = lake.scan(folder, "ratings").select("reader", "book_id", "rating", "created_at").collect()
    return library(
        ratings["reader"].to_numpy(),
        ratings["book_id"].to_list(),
        ratings["rating"].to_numpy(),
        ratings["created_at"].dt.epoch("us").to_numpy(),
        _books(folder),
    )


def books_of(shelf: Sequence[BookRow]) -> Books:
    """Books as a source has them, before they are in any lake."""
    return Books(
        ids=[book.id for book in shelf],
        titles=[book.title for book in shelf],
        authors=[book.author for book in shelf],
        series=[book.series for book in shelf],
        positions=[book.series_position for book in shelf],
        languages=[book.language for book in shelf],
        years=[book.publication_date.year if book.publication_date else None for book in shelf],
        genres=[book.genre_ids for book in shelf],
    )


def _books(folder: Path) -> Books:
    of_book = lake.scan(folder, "book_genres").group_by("book_id").agg(genres=pl.col("genre_id").sort())
    table = (
        lake.scan(folder, "books")
        .select(
            "id", "title", "author", "series", "series_position", "language", year=pl.col("publication_date").dt.year()
        )
        .join(of_book, left_on="id", right_on="book_id", how="left")
        .sort("id")
        .collect()
    )
    genre = {key: UUID(key) for key in lake.scan(folder, "genres").select("id").collect()["id"]}
    return Books(
        ids=[UUID(key) for key in table["id"]],
        titles=table["title"].to_list(),
        authors=table["author"].to_list(),
        series=table["series"].to_list(),
        positions=table["series_position"].to_list(),
        languages=table["language"].to_list(),
        years=table["year"].to_list(),
        genres=[[genre[key] for key in own or ()] for own in table["genres"].to_list()],
    )


def facts_of(folder: Path, known: Library) -> BookFacts:
    """What evaluation tells its slices by; ``known`` is the library of the same lake."""
    names = lake.scan(folder, "genres").select("id", "name").collect()
    name = dict(zip(names["id"], names["name"], strict=True))
    titles = lake.scan(folder, "books").select("id", "title").sort("id").collect()
    title = dict(zip(titles["id"], titles["title"], strict=True))
    catalogue = known.catalogue
    return BookFacts(
        author=catalogue.author,
        genres=catalogue.genres.astype(np.bool_),
        genre_names=[name[str(genre)] for genre in unpack(catalogue.genre_ids)],
        year=np.where(catalogue.year > 0, catalogue.year, np.nan),
        titles=[title[str(book)] for book in unpack(known.interactions.book_ids)],
    )


def emptied(folder: Path) -> Path:
    """The folder's path, with nothing there."""
    if folder.exists():
        shutil.rmtree(folder)
    return folder


def keep(work: Path, evaluation: Evaluation) -> None:
    work.mkdir(parents=True, exist_ok=True)
    aside = work / f".{EVALUATION}.{os.getpid()}"
    aside.write_text(json.dumps(asdict(evaluation), indent=1))
    aside.replace(work / EVALUATION)


def kept(work: Path, *, snapshot: str, params: Mapping[str, Json]) -> Evaluation:
    """The evaluation of this recipe on this extract.

    Raises:
        EvaluationMissing: there is none, or it is of another recipe or extract.
    """
    try:
        found = Evaluation(**json.loads((work / EVALUATION).read_text()))
    except (FileNotFoundError, ValueError, TypeError) as exc:
        raise EvaluationMissing("nothing was evaluated yet: select +champion") from exc
    if found.snapshot != snapshot or found.params != params:
        raise EvaluationMissing("the last evaluation is of another extract or recipe: select +champion")
    return found


def genre_files(work: Path) -> tuple[list[Path], dict[str, float]]:
    """The files of the genre model, for the bundle, and how good it is; nothing where there were too few books."""
    metrics = work / "genres" / GENRE_METRICS
    if not metrics.exists():
        return [], {}
    return sorted(path for path in metrics.parent.iterdir() if path != metrics), json.loads(metrics.read_text())
