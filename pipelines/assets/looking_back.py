"""Past weeks, one a partition: whether today's figures are usual ones."""

import dagster as dg

from data import lake
from pipelines import looking_back, pictures
from pipelines.assets import OWNERS
from pipelines.resources import State
from pipelines.training import library_of

WEEKS = dg.DynamicPartitionsDefinition(name="weeks")
"""Mondays. Which there are depends on the library, whose ratings may be of any year."""


@dg.asset(
    deps=["ratings", "books", "book_genres"],
    partitions_def=WEEKS,
    owners=OWNERS,
    group_name="report",
    kinds={"numpy"},
    description=(
        "What a model of that week would have been worth: the stored recipe, learned from all ratings before the week"
        f" and judged by those of {looking_back.AHEAD} weeks from then on (P3), beside popularity. By backfill, week by"
        " week; the table and the picture have all weeks that were looked at. Of books, what is known today counts."
    ),
)
def past_evaluation(context: dg.AssetExecutionContext, state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    from pipelines.judging import put_forward  # noqa: PLC0415 - takes seconds to import

    recipe = put_forward(state.work, context.log.warning)
    looked = looking_back.look_back(library_of(state.lake), recipe, context.partition_key, context.log.info)
    weeks = looking_back.keep(state.work, looked)
    told: dict[str, dg.RawMetadataValue] = {
        "decision": looking_back.told(looked),
        "ratings": looked.ratings,
        "readers": looked.readers,
        "recipe": recipe.to_json(),
        "weeks": dg.MetadataValue.md(looking_back.table(weeks)),
    }
    if looked.why_not is not None:
        context.log.warning(looked.why_not)
        return dg.MaterializeResult(metadata={**told, "judged": False, "why not": looked.why_not})
    for name, bounds in (("ndcg_at_10", looked.ndcg_at_10), ("popularity", looked.popularity), ("gain", looked.gain)):
        if bounds is not None:
            told |= {name: bounds.mean, f"{name}_low": bounds.low, f"{name}_high": bounds.high}
    judged = [one for one in weeks if one.ndcg_at_10 is not None and one.popularity is not None]
    lines = {
        "model": [one.ndcg_at_10 for one in judged if one.ndcg_at_10],
        "popularity": [one.popularity for one in judged if one.popularity],
    }
    drawn = pictures.steps("What models of past weeks were worth", "NDCG@10", [one.week for one in judged], lines)
    return dg.MaterializeResult(metadata={**told, "judged": True, "picture": pictures.embedded(drawn)})


@dg.sensor(
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Offers the weeks of the last extract as partitions of past_evaluation.",
)
def library_weeks(
    context: dg.SensorEvaluationContext, onlooker: dg.ResourceParam[State]
) -> dg.SensorResult | dg.SkipReason:
    try:
        snapshot = lake.last_snapshot(onlooker.lake).fingerprint
    except lake.LakeUnreadable as why:
        return dg.SkipReason(str(why))
    if snapshot == context.cursor:
        return dg.SkipReason("the extract is the one that was looked at")
    known = set(context.instance.get_dynamic_partitions(str(WEEKS.name)))
    new = [week for week in looking_back.weeks_of(onlooker.lake) if week not in known]
    return dg.SensorResult(dynamic_partitions_requests=[WEEKS.build_add_request(new)] if new else [], cursor=snapshot)
