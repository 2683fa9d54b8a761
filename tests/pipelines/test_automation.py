"""The nightly condition, on the real graph of assets and checks, with a clock of the test's own."""

import datetime as dt
from pathlib import Path

import dagster as dg
import pytest

from data import lake
from pipelines.definitions import library
from pipelines.resources import state
from pipelines.settings import PipelineSettings

# Dagster's own evaluation passes a parameter that Dagster calls beta.
pytestmark = pytest.mark.filterwarnings("ignore:.*include_sources.*")
EVENING = dt.datetime(2026, 3, 1, 22, 0, tzinfo=dt.UTC)
APART = {"tuned_recipe", "quality_report", "past_evaluation"}
NIGHT = dt.datetime(2026, 3, 2, 3, 0, 30, tzinfo=dt.UTC)


@pytest.fixture
def definitions(tmp_path: Path) -> dg.Definitions:
    settings = PipelineSettings(home=tmp_path)
    return library(state(lambda: settings))


def names(result: dg.EvaluateAutomationConditionsResult, definitions: dg.Definitions) -> set[str]:
    keys = definitions.resolve_all_asset_keys()
    return {key.to_user_string() for key in keys if result.get_num_requested(key)}


def test_every_asset_is_asked_for_once_a_night_in_one_tick_and_not_before(definitions: dg.Definitions) -> None:
    everything = {key.to_user_string() for key in definitions.resolve_all_asset_keys()} - APART
    with dg.DagsterInstance.ephemeral() as instance:
        ticks, checks = [], set[dg.AssetKey | dg.AssetCheckKey]()
        cursor = None
        for at in (EVENING, EVENING + dt.timedelta(hours=1), NIGHT, NIGHT + dt.timedelta(minutes=1)):
            result = dg.evaluate_automation_conditions(definitions, instance, evaluation_time=at, cursor=cursor)
            cursor = result.cursor
            ticks.append(names(result, definitions))
            checks |= {subset.key for subset in result._requested_subsets} - set(definitions.resolve_all_asset_keys())

    assert ticks == [set(), set(), everything, set()]
    # Without its checks the run would learn from an extract that nobody looked at.
    assert checks == set(definitions.resolve_asset_graph().asset_check_keys)


def report(instance: dg.DagsterInstance, definitions: dg.Definitions, *, passed: bool) -> None:
    """The extraction ran, outside of the daemon; its checks said ``passed``."""
    for name in lake.TABLES:
        instance.report_runless_asset_event(dg.AssetMaterialization(name))
    for key in definitions.resolve_asset_graph().asset_check_keys:
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(key.asset_key, key.name, passed=passed, blocking=True)
        )


@pytest.mark.parametrize("passed", [True, False])
def test_after_a_failed_blocking_check_nothing_that_learns_is_asked_for(
    definitions: dg.Definitions, *, passed: bool
) -> None:
    learning = dg.AssetSelection.from_string("rating_aggregates")
    with dg.DagsterInstance.ephemeral() as instance:
        cursor = dg.evaluate_automation_conditions(
            definitions, instance, asset_selection=learning, evaluation_time=EVENING
        ).cursor
        at_three = dg.evaluate_automation_conditions(
            definitions, instance, asset_selection=learning, evaluation_time=NIGHT, cursor=cursor
        )
        report(instance, definitions, passed=passed)
        after = dg.evaluate_automation_conditions(
            definitions,
            instance,
            asset_selection=learning,
            evaluation_time=NIGHT + dt.timedelta(minutes=5),
            cursor=at_three.cursor,
        )

    assert names(at_three, definitions) == set()  # nothing upstream is of this night yet
    assert names(after, definitions) == ({"rating_aggregates"} if passed else set())


def test_sensors_are_on_by_default_and_the_one_that_asks_covers_every_asset(definitions: dg.Definitions) -> None:
    sensors = [one for one in definitions.sensors or () if isinstance(one, dg.SensorDefinition)]
    assert {one.default_status for one in sensors} == {dg.DefaultSensorStatus.RUNNING}
    assert {one.name for one in sensors} >= {
        "early_training",
        "failed_runs",
        "abandoned_runs",
        "stale_champion",
        "library_weeks",
    }
    (sensor,) = (one for one in sensors if isinstance(one, dg.AutomationConditionSensorDefinition))
    keys = sensor.asset_selection.resolve(definitions.resolve_asset_graph())
    assert keys == set(definitions.resolve_all_asset_keys())


def test_every_asset_tells_what_it_is_whose_and_of_which_kind(definitions: dg.Definitions) -> None:
    for spec in definitions.resolve_all_asset_specs():
        assert spec.description, spec.key
        assert spec.owners, spec.key
        assert spec.kinds, spec.key
        assert spec.group_name != "default", spec.key
        assert (spec.automation_condition is None) == (spec.key.to_user_string() in APART), spec.key


def test_tuning_and_reporting_are_jobs_of_their_own(definitions: dg.Definitions) -> None:
    jobs = {
        name: definitions.resolve_job_def(name).asset_layer.selected_asset_keys
        for name in ("refresh", "tune", "report", "look_back")
    }
    everything = set(definitions.resolve_all_asset_keys())
    assert {key.to_user_string() for key in jobs["tune"] | jobs["report"] | jobs["look_back"]} == APART
    assert jobs["refresh"] == everything - jobs["tune"] - jobs["report"] - jobs["look_back"]
    (schedule,) = definitions.schedules or ()
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert (schedule.job_name, schedule.cron_schedule) == ("tune", "0 4 * * 0")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
