"""Tuning: a better recipe for this library, where there is one. Its job is its own; refresh only reads the file."""
# ruff: noqa: PLC0415 - Optuna, implicit and SciPy take seconds to import, which a page that only shows assets need not

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from pipelines import pictures
from pipelines.assets import OWNERS
from pipelines.resources import State
from pipelines.training import library_of, put

if TYPE_CHECKING:
    from models.bundle import Json
    from models.training.recipe import Recipe
    from models.training.searches import Trial


@dg.asset(
    deps=["ratings", "books", "book_genres"],
    owners=OWNERS,
    group_name="tuning",
    kinds={"optuna"},
    description=(
        "The recipe that the next refresh puts before the gate: the linear score's parameters, then the re-ranker's,"
        " by NDCG@10 on a part of the training part. Bounded by BRS_TUNE_SECONDS and BRS_TUNE_TRIALS; a run that was"
        " killed goes on where it stopped. Where nothing is better, the recipe stays as it is."
    ),
)
def tuned_recipe(context: dg.AssetExecutionContext, state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    from models.training.recipe import Recipe
    from models.training.tuning import tune
    from pipelines.judging import RECIPE

    settings = state.settings
    stored = _stored(state.work)
    start = stored or Recipe()
    found = tune(
        library_of(state.lake),
        state.work / "tuning",
        start=start,
        budget_seconds=settings.tune_seconds,
        trials=settings.tune_trials,
        announce=context.log.info,
    )
    if found.recipe != start or stored is None:
        put(state.work / RECIPE, found.recipe.to_json())
    told: dict[str, dg.MetadataValue | str | float | Json] = {
        "decision": found.why,
        "recipe": found.recipe.to_json(),
        "trials": dg.MetadataValue.md(_table(found.trials)),
        "importance": dg.MetadataValue.md(_shares(found.importance)),
    }
    if found.score is not None and found.baseline is not None:
        scores = {
            stage: [trial.score for trial in found.trials if trial.stage == stage]
            for stage in dict.fromkeys(trial.stage for trial in found.trials)
        }
        told |= {"ndcg_at_10": found.score, "ndcg_at_10 before": found.baseline}
        told["history"] = pictures.embedded(pictures.search("NDCG@10", scores, found.baseline))
    return dg.MaterializeResult(metadata=told)


def _stored(work: Path) -> "Recipe | None":
    """The recipe that refresh goes by; None where it is not one of this version, and refresh would refuse it."""
    from models.training.recipe import UnknownRecipe
    from pipelines.judging import stored_recipe

    try:
        return stored_recipe(work)
    except UnknownRecipe:
        return None


def _table(trials: Sequence["Trial"]) -> str:
    """Markdown, the best on top."""
    rows = ["| stage | trial | NDCG@10 | seconds | values |", "|---|---|---|---|---|"]
    for trial in sorted(trials, key=lambda trial: -trial.score):
        values = ", ".join(f"{name} {value:.4g}" for name, value in trial.values.items())
        rows.append(f"| {trial.stage} | {trial.number} | {trial.score:.4f} | {trial.seconds:.1f} | {values} |")
    return "\n".join(rows)


def _shares(importance: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown: how much of the spread of the scores each parameter explains."""
    if not importance:
        return "Too few trials to tell."
    rows = [
        f"| {stage} | {name} | {share:.0%} |" for stage, shares in importance.items() for name, share in shares.items()
    ]
    return "\n".join(["| stage | parameter | share |", "|---|---|---|", *rows])
