"""What runs when. Jobs that stay apart for ever: refresh every night, tune every week; a report is asked for."""

import dagster as dg

TUNING = dg.AssetSelection.assets("tuned_recipe")
REPORTING = dg.AssetSelection.assets("quality_report")
LOOKING_BACK = dg.AssetSelection.assets("past_evaluation")

# What a run must not do twice at once, whoever starts it: one pipeline run at a time (deploy: run queue of one).
refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.all() - TUNING - REPORTING - LOOKING_BACK,
    description="Extract, aggregate, fit with stored parameters, judge, publish. What `brs up` and the night run.",
)

tune = dg.define_asset_job(
    "tune",
    selection=TUNING,
    description="Look for a better recipe on the last extract, for an hour at most. The next refresh judges it.",
)
full_report = dg.define_asset_job(
    "report",
    selection=REPORTING,
    description="Judge the stored recipe by all protocols on the last extract, and write the page. On demand.",
)
look_back = dg.define_asset_job(
    "look_back",
    selection=LOOKING_BACK,
    description="How a model of a past week would have done in the weeks after it: launch a backfill over some weeks.",
)
# Sundays, when the night's refresh is done; what is due meanwhile waits for the lock.
weekly = dg.ScheduleDefinition(
    name="weekly_tuning",
    job=tune,
    cron_schedule="0 4 * * 0",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


# Three at night, UTC, when everything upstream is of this night.
CHECK_NIGHTLY = dg.AutomationCondition.on_cron("0 3 * * *", "UTC")
# Without the second part the tick after a failed check would ask for what that check has just stopped. Dagster's own
# ``all_deps_blocking_checks_passed`` wants checks to be asked for before what waits for them; they come in no order.
# Here an upstream asset of the same tick will do: its checks are in the same run, and stop it from within.
NIGHTLY = (
    CHECK_NIGHTLY
    & dg.AutomationCondition.all_deps_match(
        dg.AutomationCondition.will_be_requested()
        | dg.AutomationCondition.all_checks_match(dg.AutomationCondition.check_passed(), blocking_only=True)
    )
).with_label("nightly")


def sensor() -> dg.AutomationConditionSensorDefinition:
    """Dagster's own default sensor is off until somebody finds the switch; this one is on."""
    return dg.AutomationConditionSensorDefinition(
        "default_automation_condition_sensor",
        target=dg.AssetSelection.all(),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=60,
    )
