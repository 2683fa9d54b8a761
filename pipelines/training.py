"""From the lake to what models learn from, and where models wait between the steps of a run."""

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data import lake
from models.bundle import Json
from models.training.interactions import Interactions, interactions

if TYPE_CHECKING:
    from models.training.als import AlsParams

EVALUATION = "evaluation.json"
GENRE_METRICS = "metrics.json"


class EvaluationMissing(RuntimeError):
    """What is to be promoted was not evaluated, or on other data; the message says what to run."""


@dataclass(frozen=True)
class Evaluation:
    """The numbers of one evaluation, and what they are numbers of."""

    snapshot: str
    params: Mapping[str, Json]
    metrics: Mapping[str, float]


def ratings_of(folder: Path) -> Interactions:
    """All ratings of the lake, numbered."""
    table = lake.scan(folder, "ratings").select("reader", "book_id", "rating", "created_at").collect()
    return interactions(
        table["reader"].to_list(),
        table["book_id"].to_list(),
        table["rating"].to_list(),
        table["created_at"].dt.epoch("us").to_numpy(),
    )


def recipe(params: "AlsParams") -> dict[str, Json]:
    """The parameters as JSON has them."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(params).items()
    }


def emptied(folder: Path) -> Path:
    """The folder's path, with nothing there."""
    if folder.exists():
        shutil.rmtree(folder)
    return folder


def keep(work: Path, evaluation: Evaluation) -> None:
    work.mkdir(parents=True, exist_ok=True)
    aside = work / f".{EVALUATION}.{os.getpid()}"
    aside.write_text(json.dumps(dataclasses.asdict(evaluation), indent=1))
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
