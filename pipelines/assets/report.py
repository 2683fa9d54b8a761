"""How good the recommendations are, by all protocols, as one page. A job of its own: each protocol wants a fit."""
# ruff: noqa: PLC0415 - implicit and SciPy take seconds to import, which a page that only shows assets need not wait for

from datetime import UTC, datetime

import dagster as dg

from data import lake
from pipelines import pictures
from pipelines.assets import OWNERS, genres
from pipelines.resources import State
from pipelines.training import facts_of, library_of

REPORT = "report.html"
CALIBRATED = "probability that a reader likes it next"


@dg.asset(
    deps=["ratings", "books", "genres", "book_genres"],
    owners=OWNERS,
    group_name="report",
    kinds={"numpy"},
    description=(
        "The stored recipe beside its own parts and popularity: on each reader's later ratings (P1), for readers the"
        " model never saw (P2, and when they have just begun), and with one clock for all (P3). Written as a page."
    ),
)
def quality_report(context: dg.AssetExecutionContext, state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    from pipelines.judging import put_forward
    from pipelines.protocols import baskets, compared, foretold, learning_curve, overall
    from pipelines.report_page import Content, drawn, write

    recipe = put_forward(state.work, context.log.warning)
    known = library_of(state.lake)
    facts = facts_of(state.lake, known)
    found = list(compared(known, recipe, facts, context.log.info))
    headline = found[0].comparison
    page = Content(
        made_at=datetime.now(UTC),
        comparisons=[one.comparison for one in found],
        baskets=baskets(known, found[0].taste, state.lake),
        recipe=recipe.to_json(),
        calibration={} if (told := foretold(found[0])) is None else {CALIBRATED: told},
        data={**overall(known), "snapshot": lake.last_snapshot(state.lake).fingerprint},
    )
    path = write(state.settings.exports / REPORT, page)
    curve = learning_curve(known, recipe, found[0].taste, context.log.info)
    learned = pictures.steps(
        "By how many ratings were learned from", "NDCG@10", list(curve), {"model": list(curve.values())}
    )
    said = {one.comparison.protocol: one.comparison.metrics["ndcg_at_10"] for one in found}
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(path),
            "decision": f"{path}: " + ", ".join(f"{name} {value:.4f}" for name, value in said.items()),
            "report": dg.MetadataValue.md("\n\n".join(one.comparison.table() for one in found)),
            "learning curve": pictures.embedded(learned),
            **{f"picture {number}": pictures.embedded(png) for number, (png, _) in enumerate(drawn(headline), 1)},
            "genres": dg.MetadataValue.md(genres.judged(state)),
            "ndcg_at_10": headline.metrics["ndcg_at_10"],
        }
    )
