"""What the daemon looks at between the nights, with Dagster's memory and the library in real Postgres."""

import datetime as dt
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from data.arrivals import _SINCE, ratings_since
from data.database import Databases, connect
from models.registry import Version
from pipelines import sensors
from pipelines.alerts import Alert
from pipelines.failures import BY_HAND
from pipelines.resources import State, exclusive
from pipelines.run import _instance
from pipelines.sensors import abandoned_runs, early_training, failed_runs, stale_champion
from pipelines.settings import PipelineSettings

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def state(databases: Databases, tmp_path: Path) -> State:
    return State(PipelineSettings(home=tmp_path / "home", retrain_after_ratings=5), databases)


@pytest.fixture
def instance(state: State) -> Iterator[dg.DagsterInstance]:
    with _instance(state.settings, state.databases) as opened:
        yield opened


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[Alert]:
    alerts: list[Alert] = []
    monkeypatch.setattr(sensors, "listeners", lambda _: [alerts.append])
    return alerts


@dataclass
class Sensor:
    """One that is asked again and again, as the daemon does."""

    definition: dg.SensorDefinition
    instance: dg.DagsterInstance
    state: State
    cursor: str | None = None

    def tick(self) -> tuple[int, str]:
        """How many runs it asks for, and why it asks for none."""
        with dg.build_sensor_context(self.instance, self.cursor, resources={"onlooker": self.state}) as context:
            told = self.definition.evaluate_tick(context)
        self.cursor = told.cursor
        return len(told.run_requests or ()), told.skip_message or ""


def rate(db: psycopg.Connection, times: int) -> None:
    """A new reader with so many ratings."""
    reader = uuid.uuid4()
    db.execute(
        "INSERT INTO users (id, email, first_name, last_name) VALUES (%s, %s, 'F', 'L')", (reader, f"{reader}@r.test")
    )
    for _ in range(times):
        book = uuid.uuid4()
        db.execute(
            "INSERT INTO books (id, title, author, title_key, author_key) VALUES (%s, 'T', 'A', 't', 'a')", (book,)
        )
        db.execute("INSERT INTO reviews (user_id, book_id, rating) VALUES (%s, %s, 4)", (reader, book))


def train(instance: dg.DagsterInstance, ratings: int) -> None:
    told = {"ratings": ratings, "taken at": dg.MetadataValue.timestamp(dt.datetime.now(dt.UTC))}
    instance.report_runless_asset_event(dg.AssetMaterialization("champion", metadata=told))


def test_enough_new_ratings_begin_one_training_before_the_night(instance: dg.DagsterInstance, state: State) -> None:
    sensor = Sensor(early_training, instance, state)
    with connect(state.databases.brs, autocommit=True) as db:
        rate(db, 9)
        assert sensor.tick() == (0, "nothing was trained yet: the night will, or `brs pipeline run`")
        train(instance, ratings=9)
        assert "0 of 5 new ratings" in sensor.tick()[1]
        rate(db, 4)
        assert "4 of 5 new ratings" in sensor.tick()[1]
        rate(db, 2)
        assert sensor.tick() == (1, "")
        # The same ratings ask for nothing more, even where nothing came of the run.
        assert "0 of 5 new ratings" in sensor.tick()[1]
        rate(db, 5)
        waiting = dg.DagsterRun(job_name="tune", run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.STARTED)
        instance.add_run(waiting)
        assert sensor.tick() == (0, "the run of 'tune' is started")
        instance.delete_run(waiting.run_id)
        off = PipelineSettings(home=state.settings.home, retrain_after_ratings=0)
        assert "off" in Sensor(early_training, instance, replace(state, settings=off)).tick()[1]
        assert sensor.tick() == (1, "")
        train(instance, ratings=100_000)
        assert "0 of 1,000 new ratings" in sensor.tick()[1]  # a hundredth, where that is more


def test_new_ratings_are_counted_along_an_index_and_no_further_than_asked(
    db: psycopg.Connection, database_url: str
) -> None:
    rate(db, 7)
    assert ratings_since(database_url, NOW - dt.timedelta(days=1), 100).ratings == 7
    assert ratings_since(database_url, NOW - dt.timedelta(days=1), 3).ratings == 3
    assert ratings_since(database_url, NOW + dt.timedelta(days=1), 3).ratings == 0
    db.execute("SET enable_seqscan = off")
    plan = "\n".join(line for (line,) in db.execute(f"EXPLAIN {_SINCE}", (NOW, 1000)))  # type: ignore[call-overload]
    assert "ix_reviews_updated_at_id" in plan
    assert "Sort" not in plan


def test_a_failed_run_is_told_once_with_the_check_or_the_step_that_stopped_it(
    instance: dg.DagsterInstance, state: State, heard: list[Alert]
) -> None:
    @dg.asset
    def shelf() -> None:
        pass

    @dg.asset_check(asset=shelf, blocking=True)
    def keys_are_unique() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, description="3 are twice")

    @dg.asset
    def model() -> None:
        raise ValueError("no room left\non the device")

    sensor = Sensor(failed_runs, instance, state)
    sensor.tick()  # what failed before there was a sensor is history
    checked = dg.materialize([shelf, keys_are_unique], instance=instance, raise_on_error=False)
    learned = dg.materialize([model], instance=instance, raise_on_error=False)
    dg.materialize([model], instance=instance, raise_on_error=False, tags={BY_HAND: "here"})  # tells itself
    for _ in range(4):
        sensor.tick()

    assert [(one.name, one.facts["run_id"]) for one in heard] == [
        ("check_failed", checked.run_id),
        ("run_failed", learned.run_id),
    ]
    assert heard[0].said.startswith("a check stopped the run of ")
    assert heard[0].said.endswith(": shelf: keys_are_unique (3 are twice)")
    assert heard[1].said.endswith(" failed: model: ValueError: no room left")


def start(instance: dg.DagsterInstance, machine: str | None) -> str:
    """A run whose process was killed after it had begun."""
    tags = {} if machine is None else {BY_HAND: machine}
    run = dg.DagsterRun(job_name="refresh", run_id=str(uuid.uuid4()), tags=tags, status=dg.DagsterRunStatus.STARTING)
    instance.add_run(run)
    began = dg.DagsterEvent(event_type_value=dg.DagsterEventType.RUN_START.value, job_name="refresh")
    instance.report_dagster_event(began, run.run_id)
    return run.run_id


def test_a_run_whose_process_is_gone_is_recorded_as_failed_and_a_living_one_is_not(
    instance: dg.DagsterInstance, state: State, heard: list[Alert], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, page = start(instance, socket.gethostname()), start(instance, None)
    elsewhere = start(instance, "another machine")
    sensor = Sensor(abandoned_runs, instance, state)

    def failed() -> set[str]:
        sensor.tick()
        sensor.tick()
        filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
        return {run.run_id for run in instance.get_runs(filters)}

    assert failed() == set()  # so young that they may not have the lock yet
    monkeypatch.setattr("pipelines.failures.STARTING_UP", dt.timedelta(0))
    with exclusive(state.settings.home, wait=False):
        assert failed() == set()
    sensor.tick()
    assert {run.run_id for run in instance.get_runs()} == {ours, page, elsewhere}
    assert failed() == {ours, page}
    assert [one.facts["run_id"] for one in heard] == [ours]  # of the page's runs ``failed_runs`` tells
    assert "its process is gone" in heard[0].said


def test_a_stale_champion_is_told_once_a_day(instance: dg.DagsterInstance, state: State, heard: list[Alert]) -> None:
    class Shelf:
        days_old = 2.0

        def champion(self) -> Version:
            return Version("m", "7", "r", dt.datetime.now(dt.UTC) - dt.timedelta(days=self.days_old), (), {})

    shelf = Shelf()

    class WithShelf(State):
        def registry(self) -> Shelf:  # type: ignore[override]  # as much of a registry as is asked
            return shelf

    sensor = Sensor(stale_champion, instance, WithShelf(state.settings, state.databases))
    assert sensor.tick() == (0, "version 7 is young enough")
    shelf.days_old = 3.5
    assert "is 3.5 days old" in sensor.tick()[1]
    sensor.tick()
    assert [(one.name, one.facts["version"]) for one in heard] == [("stale_model", "7")]


def test_one_run_works_at_a_time_and_only_what_crashed_is_tried_again(instance: dg.DagsterInstance) -> None:
    """What Dagster makes of ``deploy/dagster.yaml``."""
    from dagster._core.events import RunFailureReason  # noqa: PLC0415 - Dagster's own, of this test alone
    from dagster._core.execution.retries import auto_reexecution_should_retry_run  # noqa: PLC0415

    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    assert queue.max_concurrent_runs == 1
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_max_runtime_seconds == 6 * 3600
    run = dg.DagsterRun(job_name="refresh", run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.FAILURE)
    instance.add_run(run)
    assert not auto_reexecution_should_retry_run(instance, run, RunFailureReason.STEP_FAILURE)
    assert auto_reexecution_should_retry_run(instance, run, None)  # a process that died gives no reason
