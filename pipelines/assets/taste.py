"""The recommender: learned by its recipe, judged, put before the gate, renewed on everything."""
# ruff: noqa: PLC0415 - implicit and SciPy take seconds to import, which a page that only shows assets need not wait for

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from data import lake
from data.build import commit_of_checkout
from models import bundle
from models.evaluation.splits import leave_last
from pipelines import alerts, pictures
from pipelines.assets import OWNERS
from pipelines.gate import Decision
from pipelines.resources import State
from pipelines.training import Evaluation, emptied, facts_of, genre_files, keep, kept, library_of

if TYPE_CHECKING:
    from models.registry import Version
    from models.training.recipe import Recipe

RATINGS, TAKEN_AT = "ratings", "taken at"  # what ``early_training`` reads of a champion's metadata: of its extract
ALBUM = "pictures"  # folder of work: what the evaluation drew
ADOPTED = "adopted"  # folder of work: what the adopted recipe made of the training part


@dg.asset(
    deps=["ratings", "books", "book_genres"],
    owners=OWNERS,
    group_name="taste",
    kinds={"numpy", "scikitlearn"},
    description="The stored recipe, fitted on the earlier ratings of every reader: what the evaluation judges.",
)
def taste_model(context: dg.AssetExecutionContext, state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    from models.training.recipe import learn
    from pipelines.judging import put_forward

    recipe = put_forward(state.work, context.log.warning)
    known = library_of(state.lake)
    train = leave_last(known.interactions).train
    arrays = learn(known.of(train), recipe, context.log.info)
    params = recipe.to_json()
    bundle.save(emptied(state.work / "taste"), arrays, params=params, metrics={}, training_window=train.window)
    return dg.MaterializeResult(
        metadata={
            "books": train.book_count,
            "ratings": len(train),
            "size (bytes)": sum(array.nbytes for array in arrays.values()),
            "re-ranked": "tree_value" in arrays,
            "recipe": params,
        }
    )


@dg.asset(
    deps=["ratings", "books", "genres", "book_genres", "taste_model"],
    owners=OWNERS,
    group_name="taste",
    kinds={"numpy", "mlflow"},
    description=(
        "What readers would have been served beside what they came to like (P1), and the gate: the recipe put forward"
        " against popularity and against the champion's recipe, all learned from the earlier ratings alone. Means with"
        " 95 % intervals by bootstrap over readers, gains by paired bootstrap."
    ),
)
def evaluation(context: dg.AssetExecutionContext, state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    from models.training.recipe import Recipe, learn
    from pipelines.judging import adopt, recipe_of
    from pipelines.report_page import drawn

    known = library_of(state.lake)
    split = leave_last(known.interactions)
    fitted = bundle.load(state.work / "taste")
    recipe = Recipe.from_json(fitted.manifest.params)
    champion = state.registry().champion()
    part = known.of(split.train)

    def of_part(former: "Recipe") -> bundle.Arrays:
        return learn(part, former, context.log.info)

    former = recipe_of(champion.params) if champion is not None else None
    adopted = adopt(split, recipe, fitted.arrays, former, of_part, facts_of(state.lake, known))
    params = adopted.recipe.to_json()
    bundle.save(
        emptied(state.work / ADOPTED), adopted.arrays, params=params, metrics={}, training_window=split.train.window
    )
    comparison, last = adopted.judged.comparison, adopted.decisions[-1]
    metrics = comparison.metrics | dict(last.figures)
    snapshot = lake.last_snapshot(state.lake).fingerprint
    keep(
        state.work,
        Evaluation(snapshot, recipe.to_json(), metrics, params, [one.to_json() for one in adopted.decisions]),
    )
    album = _album(state, drawn(comparison))
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.md(comparison.table()),
            "gate": "; ".join(one.reason for one in adopted.decisions),
            **{name: pictures.embedded(path.read_bytes()) for name, path in album.items()},
            **{name: metrics[name] for name in ("ndcg_at_10", "recall_at_20", "gain_ndcg_at_10_low")},
        }
    )


def _album(state: State, drawn: Sequence[tuple[bytes, str]]) -> dict[str, Path]:
    """Kept for the run in the registry, too."""
    folder = emptied(state.work / ALBUM)
    folder.mkdir(parents=True)
    album = {f"picture {number}": folder / f"{number}.png" for number in range(1, len(drawn) + 1)}
    for path, (png, _) in zip(album.values(), drawn, strict=True):
        path.write_bytes(png)
    return album


@dg.asset(
    deps=["ratings", "books", "evaluation", "genre_model"],
    owners=OWNERS,
    group_name="taste",
    kinds={"mlflow", "numpy"},
    description=(
        "The adopted recipe fitted on all ratings, kept in the registry; the alias `champion` moves to it when the gate"
        " let it pass. A refusal is recorded with its numbers and stops nothing; three in a row raise an alert."
    ),
)
def champion(context: dg.AssetExecutionContext, state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    from models.training.recipe import Recipe, learn
    from pipelines.judging import put_forward

    snapshot = lake.last_snapshot(state.lake)
    params = put_forward(state.work, context.log.warning).to_json()
    judged = kept(state.work, snapshot=snapshot.fingerprint, params=params)
    decisions = [Decision.from_json(told) for told in judged.verdicts]
    known = library_of(state.lake)
    earlier = bundle.load(state.work / ADOPTED)
    arrays = learn(known, Recipe.from_json(judged.adopted), context.log.info, earlier=earlier.arrays)
    genres, of_genres = genre_files(state.work)
    metrics = {**judged.metrics, **of_genres}
    folder = emptied(state.work / "champion")
    bundle.save(
        folder,
        arrays,
        params=judged.adopted,
        metrics=metrics,
        training_window=known.interactions.window,
        extra_files=genres,
    )
    registry = state.registry()
    tags = {**_origin(state, snapshot), **alerts.verdict_tags(decisions, registry.latest())}
    version = registry.store(
        folder,
        params=judged.adopted,
        metrics=metrics,
        tags=tags,
        pictures={path.stem: path for path in sorted((state.work / ALBUM).glob("*.png"))},
    )
    if decisions[-1].promote:
        version = registry.promote(version.version)
    if (alert := alerts.of_refusals(tags, version.version)) is not None:
        alerts.tell(alert, alerts.listeners(state.settings))
    told: dict[str, dg.RawMetadataValue] = {RATINGS: len(known.interactions), TAKEN_AT: _moment(snapshot)}
    told |= {name: judged.metrics[name] for name in ("ndcg_at_10", "ndcg_at_10_low", "ndcg_at_10_high")}
    return dg.MaterializeResult(metadata=told | _told(decisions, version, tags, alert))


def _moment(snapshot: lake.Snapshot) -> dg.TimestampMetadataValue:
    return dg.MetadataValue.timestamp(snapshot.taken_at)


def _origin(state: State, snapshot: lake.Snapshot) -> dict[str, str]:
    """Of which data and of which program a bundle is; the commit under the name by which MLflow's page shows it."""
    commit = state.settings.commit or commit_of_checkout()
    return {"snapshot": snapshot.fingerprint, **({"mlflow.source.git.commit": commit} if commit else {})}


def _told(
    decisions: list[Decision], version: "Version", tags: dict[str, str], alert: alerts.Alert | None
) -> "dict[str, dg.RawMetadataValue]":
    metadata: dict[str, dg.RawMetadataValue] = {
        "version": version.version,
        "MLflow run": version.run_id,
        "promoted": decisions[-1].promote,
        "decision": decisions[-1].reason,
        "refusals in a row": int(tags[alerts.REFUSALS_TAG]),
    }
    if len(decisions) > 1:
        metadata["refused"] = decisions[0].reason
    if alert is not None:
        metadata["alert"] = alert.said
    return metadata
