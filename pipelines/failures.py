"""Runs that failed, and runs that died: what to say of them, and how a dead one is told from a living one."""

import datetime as dt
import socket
from collections.abc import Mapping, Sequence

import dagster as dg
from dagster import DagsterEventType as Happened

from pipelines.alerts import Alert
from pipelines.resources import PipelineBusy, State, exclusive

BY_HAND = "brs/by_hand"  # tag of a run of `brs pipeline`, which tells of its failures itself: the machine's name
WILL_RETRY = "dagster/will_retry"
NIGHTLY_JOB = "__ASSET_JOB"  # Dagster's name for what automation asks for
UNFINISHED = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
UNDER_WAY = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
STARTING_UP = dt.timedelta(minutes=5)
"""So long a run may be recorded as started before it holds the lock."""


def named(run: dg.DagsterRun) -> str:
    """For people."""
    return "the nightly run" if run.job_name == NIGHTLY_JOB else f"the run of '{run.job_name}'"


def cause(event: dg.DagsterEvent) -> str:
    """Of a failed step: the innermost cause, in one line."""
    if event.step_failure_data.error_source.value == "INTERRUPT":
        return "interrupted"
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip().splitlines()[0] if error is not None and error.message.strip() else "failed"


def of_failure(instance: dg.DagsterInstance, run: dg.DagsterRun, message: str = "") -> Alert:
    """The alert that a failed run deserves: the blocking check that stopped it, or the step, or what Dagster said."""
    facts = {"job": run.job_name, "run_id": run.run_id}
    broken = [
        f"{one.asset_key.to_user_string()}: {one.check_name} ({one.description})"
        for event in _events(instance, run, Happened.ASSET_CHECK_EVALUATION)
        if not (one := event.asset_check_evaluation_data).passed and one.blocking
    ]
    if broken:
        return Alert("check_failed", f"a check stopped {named(run)}: {'; '.join(broken)}", facts)
    steps = [f"{event.step_key}: {cause(event)}" for event in _events(instance, run, Happened.STEP_FAILURE)]
    again = "; it is tried again" if run.tags.get(WILL_RETRY) == "true" else ""
    said = "; ".join(steps) or (message.strip().splitlines() or ["no reason is known"])[0]
    return Alert("run_failed", f"{named(run)} failed: {said}{again}", facts)


def _events(instance: dg.DagsterInstance, run: dg.DagsterRun, kind: Happened) -> Sequence[dg.DagsterEvent]:
    found = (entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=kind))
    return [event for event in found if event is not None]


def unfinished(instance: dg.DagsterInstance) -> dg.DagsterRun | None:
    """A run that waits or works, whoever started it."""
    return next(iter(instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED)), limit=1)), None)


def abandoned(instance: dg.DagsterInstance, state: State, now: dt.datetime) -> Mapping[str, dg.DagsterRun]:
    """Runs that are recorded as going on while nobody holds the lock that every working run holds: by run id.

    A machine that went down, or a `brs pipeline run` that was killed, leaves such a record, and the queue, which lets
    one run work at a time, would wait for it for ever. A run that has just begun may not hold the lock yet; one that
    works on another machine holds the lock there, and is left to what launched it.
    """
    statuses = dg.RunsFilter(statuses=list(UNDER_WAY))
    old = (now - STARTING_UP).timestamp()

    def suspects() -> Mapping[str, dg.DagsterRun]:
        records = [one for one in instance.get_run_records(statuses) if one.start_time and one.start_time < old]
        return {one.dagster_run.run_id: one.dagster_run for one in records if _would_be_here(instance, one)}

    before = suspects()
    if not before:
        return {}
    try:
        with exclusive(state.settings.home, wait=False):
            return {run_id: run for run_id, run in suspects().items() if run_id in before}
    except PipelineBusy:
        return {}


def _would_be_here(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    machine = record.dagster_run.tags.get(BY_HAND)
    if machine is not None:
        return machine == socket.gethostname()
    return not instance.run_launcher.supports_check_run_worker_health  # else the launcher sees to it by itself
