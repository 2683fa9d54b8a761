"""What runs when. Three jobs, apart for ever: refresh (here), tune and report (later)."""

import dagster as dg

# What a run must not do twice at once, whoever starts it: one pipeline run at a time (deploy: run queue of one).
refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.all(),
    description="Extract, aggregate, fit with stored parameters, judge, publish. What `brs up` and the night run.",
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
