"""From the lake to what models learn from, and where models wait between the steps of a run."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from data import lake
from data.loading import BookRow
from models.bundle import Json
from models.evaluation.facts import BookFacts
from models.training import tables
from models.training.library import Books, Library

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
    """All ratings and all books of the lake, in one numbering.

    Raises:
        ValueError: A book is rated that is not among the books.
    """
    return tables.library_of(*(lake.scan(folder, name) for name in ("ratings", "books", "book_genres")))


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


def facts_of(folder: Path, known: Library) -> BookFacts:
    """What evaluation tells its slices by; ``known`` is the library of the same lake."""
    return tables.facts_of(known, *(lake.scan(folder, name) for name in ("books", "genres")))


def emptied(folder: Path) -> Path:
    """The folder's path, with nothing there."""
    if folder.exists():
        shutil.rmtree(folder)
    return folder


def put(path: Path, told: Mapping[str, object]) -> None:
    """JSON in a file, in one step: who reads at the same time sees the old one or the new one. Folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(told, indent=1))
    aside.replace(path)


def keep(work: Path, evaluation: Evaluation) -> None:
    put(work / EVALUATION, asdict(evaluation))


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
