"""The collaborative-filtering model: fitted, judged against popularity, promoted if it is better."""
# ruff: noqa: PLC0415 - implicit and SciPy take seconds to import, which a page that only shows assets need not wait for

import dagster as dg

from data import lake
from models import bundle
from models.evaluation.splits import leave_last
from models.taste import Taste
from pipelines import pictures
from pipelines.assets import OWNERS
from pipelines.gate import decide
from pipelines.resources import State
from pipelines.training import Evaluation, emptied, genre_files, keep, kept, ratings_of, recipe


@dg.asset(
    deps=["ratings"],
    owners=OWNERS,
    group_name="taste",
    kinds={"numpy"},
    description="ALS, fitted on the earlier ratings of every reader: what the evaluation judges.",
)
def taste_model(state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    from models.training.als import AlsParams, fit

    params = AlsParams()
    split = leave_last(ratings_of(state.lake))
    arrays = fit(split.train, params)
    bundle.save(
        emptied(state.work / "taste"),
        arrays,
        params=recipe(params),
        metrics={},
        training_window=split.train.window,
    )
    books, factors = arrays["item_factors"].shape
    return dg.MaterializeResult(
        metadata={"books": books, "factors": factors, "ratings": len(split.train), "recipe": recipe(params)}
    )


@dg.asset(
    deps=["ratings", "taste_model"],
    owners=OWNERS,
    group_name="taste",
    kinds={"numpy"},
    description=(
        "The model beside popularity on each reader's later ratings (P1): both know the earlier ratings alone."
        " Means with 95 % intervals by bootstrap over readers, the gain by paired bootstrap."
    ),
)
def evaluation(state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    from models.evaluation.rankers import ChainRanker, PopularRanker, TasteRanker
    from models.evaluation.report import evaluate

    split = leave_last(ratings_of(state.lake))
    fitted = bundle.load(state.work / "taste")
    popularity = PopularRanker(split.train)
    report = evaluate(split, ChainRanker(TasteRanker(Taste.from_bundle(fitted)), popularity), popularity)
    snapshot = lake.last_snapshot(state.lake).fingerprint
    keep(state.work, Evaluation(snapshot, fitted.manifest.params, report.metrics))
    picture = pictures.compared(
        "Quality on later ratings",
        "NDCG@10",
        {"model": report.champion.intervals["ndcg_at_10"], "popularity": report.popularity.intervals["ndcg_at_10"]},
    )
    (state.work / "ndcg_at_10.png").write_bytes(picture)
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.md(report.table()),
            "quality": pictures.embedded(picture),
            **{name: report.metrics[name] for name in ("ndcg_at_10", "recall_at_20", "gain_ndcg_at_10_low")},
        }
    )


@dg.asset(
    deps=["ratings", "evaluation", "genre_model"],
    owners=OWNERS,
    group_name="taste",
    kinds={"mlflow", "numpy"},
    description=(
        "The same recipe fitted on all ratings, kept in the registry; the alias `champion` moves to it only when the"
        " evaluation shows that it is better than popularity. A refusal is recorded with its numbers."
    ),
)
def champion(state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    from models.training.als import AlsParams, fit

    params = AlsParams()
    snapshot = lake.last_snapshot(state.lake).fingerprint
    judged = kept(state.work, snapshot=snapshot, params=recipe(params))
    decision = decide(judged.metrics)
    ratings = ratings_of(state.lake)
    genres, of_genres = genre_files(state.work)
    metrics = {**judged.metrics, **of_genres}
    folder = emptied(state.work / "champion")
    bundle.save(
        folder,
        fit(ratings, params),
        params=recipe(params),
        metrics=metrics,
        training_window=ratings.window,
        extra_files=genres,
    )
    registry = state.registry()
    version = registry.store(
        folder,
        params=recipe(params),
        metrics=metrics,
        tags={"snapshot": snapshot, "gate": decision.reason},
        pictures={"ndcg_at_10": state.work / "ndcg_at_10.png"},
    )
    if decision.promote:
        version = registry.promote(version.version)
    return dg.MaterializeResult(
        metadata={
            "version": version.version,
            "MLflow run": version.run_id,
            "promoted": decision.promote,
            "decision": decision.reason,
            "ratings": len(ratings),
        }
    )
