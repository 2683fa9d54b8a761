"""What the daemon looks at between the nights: whether to train early, and what somebody should know of."""

import datetime as dt
import json
import math
from typing import NamedTuple

import dagster as dg

from data.arrivals import ratings_since
from pipelines.alerts import listeners, of_age, tell
from pipelines.assets.taste import RATINGS, TAKEN_AT
from pipelines.automation import refresh
from pipelines.failures import BY_HAND, abandoned, named, of_failure, unfinished
from pipelines.resources import State

CHAMPION = dg.AssetKey("champion")
SHARE = 0.01
"""Of the ratings learned from: fewer new ones teach a large library nothing that could not wait for the night."""
GONE = "its process is gone, and said nothing"
ON = dg.DefaultSensorStatus.RUNNING


class Trained(NamedTuple):
    """The last training: the moment of its extract, and how many ratings were in it."""

    until: dt.datetime
    ratings: int


def last_training(instance: dg.DagsterInstance) -> Trained | None:
    event = instance.get_latest_materialization_event(CHAMPION)
    if event is None or event.asset_materialization is None:
        return None
    told = event.asset_materialization.metadata
    until, ratings = told.get(TAKEN_AT), told.get(RATINGS)
    if not isinstance(until, dg.TimestampMetadataValue) or not isinstance(ratings, dg.IntMetadataValue):
        return None  # of an earlier release
    return Trained(dt.datetime.fromtimestamp(until.value, dt.UTC), ratings.value or 0)


@dg.sensor(
    job=refresh,
    minimum_interval_seconds=300,
    default_status=ON,
    description="Begins a refresh before the night when many new ratings came (BRS_RETRAIN_AFTER_RATINGS).",
)
def early_training(
    context: dg.SensorEvaluationContext, onlooker: dg.ResourceParam[State]
) -> dg.SensorResult | dg.SkipReason:
    wanted = onlooker.settings.retrain_after_ratings
    if wanted == 0:
        return dg.SkipReason("off: BRS_RETRAIN_AFTER_RATINGS is 0")
    if (run := unfinished(context.instance)) is not None:
        return dg.SkipReason(f"{named(run)} is {run.status.value.lower()}")
    trained = last_training(context.instance)
    if trained is None:
        return dg.SkipReason("nothing was trained yet: the night will, or `brs pipeline run`")
    # What has asked for a run once does not ask again, even where that run failed.
    since = max(trained.until, dt.datetime.fromisoformat(context.cursor)) if context.cursor else trained.until
    enough = max(wanted, math.ceil(SHARE * trained.ratings))
    came, until = ratings_since(onlooker.databases.brs, since, enough)
    if came < enough:
        return dg.SkipReason(f"{came:,} of {enough:,} new ratings since {since:%F %T} UTC")
    why = f"{came:,} ratings or more since {since:%F %T} UTC"
    context.log.info("early training: %s", why)
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=until.isoformat(), tags={"brs/why": why})], cursor=until.isoformat()
    )


@dg.run_failure_sensor(
    minimum_interval_seconds=30,
    default_status=ON,
    description="Tells of failed runs and of the checks that stopped them (BRS_ALERT_WEBHOOK).",
)
def failed_runs(context: dg.RunFailureSensorContext, onlooker: dg.ResourceParam[State]) -> None:
    if BY_HAND not in context.dagster_run.tags:
        alert = of_failure(context.instance, context.dagster_run, context.failure_event.message or "")
        tell(alert, listeners(onlooker.settings))


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=ON,
    description="Records runs as failed whose process is gone, so that the queue goes on and they are tried again.",
)
def abandoned_runs(context: dg.SensorEvaluationContext, onlooker: dg.ResourceParam[State]) -> dg.SkipReason:
    found = abandoned(context.instance, onlooker, dt.datetime.now(dt.UTC))
    before = set(json.loads(context.cursor or "[]"))
    # Twice in a row: a run that is about to record its success has let go of the lock, too.
    dead = [run for run_id, run in found.items() if run_id in before]
    for run in dead:
        context.instance.report_run_failed(run, GONE)
        if BY_HAND in run.tags:  # it can no longer tell itself; of the others ``failed_runs`` will
            tell(of_failure(context.instance, run, GONE), listeners(onlooker.settings))
    context.update_cursor(json.dumps(sorted(set(found) - {run.run_id for run in dead})))
    return dg.SkipReason(f"{len(dead)} runs are gone" if dead else "every run that is recorded as going on is alive")


@dg.sensor(
    minimum_interval_seconds=3600,
    default_status=ON,
    description="Tells once a day of a champion that no run has renewed for BRS_STALE_MODEL_DAYS.",
)
def stale_champion(context: dg.SensorEvaluationContext, onlooker: dg.ResourceParam[State]) -> dg.SkipReason:
    days = onlooker.settings.stale_model_days
    if days == 0:
        return dg.SkipReason("off: BRS_STALE_MODEL_DAYS is 0")
    champion = onlooker.registry().champion()
    if champion is None:
        return dg.SkipReason("there is no champion yet")
    now = dt.datetime.now(dt.UTC)
    alert = of_age(champion, now, days)
    if alert is None:
        return dg.SkipReason(f"version {champion.version} is young enough")
    today = f"{champion.version} on {now:%F}"
    if context.cursor != today:
        tell(alert, listeners(onlooker.settings))
        context.update_cursor(today)
    return dg.SkipReason(alert.said)


SENSORS = (early_training, failed_runs, abandoned_runs, stale_champion)
