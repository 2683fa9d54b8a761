"""One pipeline run in this process, for people without the Dagster page; the page shows it all the same."""

import resource
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import dagster as dg
from dagster import DagsterEventType as Happened

from data.database import Databases, sqlalchemy_url
from data.settings import StateSettings
from pipelines.alerts import listeners, tell
from pipelines.assets.looking_back import WEEKS
from pipelines.automation import refresh
from pipelines.definitions import APART, ASSETS, library
from pipelines.environment import prepare
from pipelines.failures import BY_HAND, cause, of_failure
from pipelines.log import dagster_logger, logged_to
from pipelines.resources import PipelineBusy, exclusive, state
from pipelines.settings import PipelineSettings

__all__ = ["PipelineBusy", "UnknownAsset", "run"]

LOG = "pipeline.log"
CPU_SECONDS, PEAK_BYTES = "brs/cpu_seconds", "brs/peak_bytes"

OnEvent = Callable[[str, str, str], None]
OnStep = Callable[[str, bool], None]


class UnknownAsset(ValueError):
    """The selection names no asset; the message lists those there are."""


def run(  # noqa: PLR0913 - two to listen, and what a run is of
    settings: StateSettings,
    databases: Databases,
    *,
    job: str = refresh.name,
    select: Sequence[str] = (),
    partition: str | None = None,
    on_event: OnEvent,
    on_step: OnStep | None = None,
) -> bool:
    """Materialise the selected assets of a job, all by default, recorded in Dagster's own database.

    Args:
        settings: where the state lives.
        databases: already opened by the caller.
        job: its name.
        select: asset names, or Dagster's selection syntax (``+champion``, ``group:extract``).
        partition: of a job that has some.
        on_event: called while the run goes on with an asset, 'started', 'done', 'failed' or 'warning', and a detail in
            words.
        on_step: called with the name of each step, of assets or of checks, True when it begins and False when it has
            ended.

    Returns:
        Whether all assets and all blocking checks passed.

    Raises:
        PipelineBusy: another run is under way.
        UnknownAsset: ``select`` names none.
        KeyboardInterrupt: somebody pressed Ctrl-C; the run is recorded as failed.
    """
    chosen = PipelineSettings.beside(settings)
    with (
        exclusive(chosen.home, wait=False),
        _signals_kept(),
        logged_to(chosen.logs / LOG) as log,
        _instance(chosen, databases) as instance,
    ):
        definitions = library(state(lambda: chosen, databases), file=dagster_logger(log))
        run_id = str(uuid.uuid4())
        instance.add_event_listener(run_id, _listener(on_event))
        if on_step is not None:
            instance.add_event_listener(run_id, _steps(on_step))
        if partition is not None:
            instance.add_dynamic_partitions(str(WEEKS.name), [partition])  # the only ones there are
        with _measured(instance, run_id):
            result = definitions.resolve_job_def(job).execute_in_process(
                instance=instance,
                run_id=run_id,
                run_config={"loggers": {"file": {}}},
                asset_selection=_selected(definitions, job, select),
                partition_key=partition,
                tags={BY_HAND: socket.gethostname()},
                raise_on_error=False,
            )
        was_interrupted = any(_interrupted(event) for event in result.all_events)
        if not result.success and not was_interrupted:  # who interrupts it knows
            tell(of_failure(instance, result.dagster_run), listeners(chosen))
    if was_interrupted:
        raise KeyboardInterrupt
    return result.success


@contextmanager
def _measured(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """What the run cost, as tags that the page shows: CPU seconds of this process, and its peak of resident memory."""
    before = time.process_time()
    try:
        yield
    finally:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        cost = {CPU_SECONDS: f"{time.process_time() - before:.1f}", PEAK_BYTES: str(peak)}
        if instance.has_run(run_id):
            instance.add_run_tags(run_id, cost)


def _interrupted(event: dg.DagsterEvent) -> bool:
    """Dagster catches Ctrl-C and goes on to record it; what is left of it is the reason of the run's failure."""
    if event.event_type != Happened.RUN_FAILURE or event.job_failure_data.failure_reason is None:
        return False
    return event.job_failure_data.failure_reason.value == "UNEXPECTED_TERMINATION"


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Dagster puts the handler of SIGINT on SIGTERM and leaves it there; who called may have had another."""
    if threading.current_thread() is not threading.main_thread():
        yield  # there Dagster touches no signals, nor may we
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _instance(settings: StateSettings, databases: Databases) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance as the page sees it, but with the URL from here and without a file for each step's output."""
    prepare(settings)
    url = sqlalchemy_url(databases.dagster, "psycopg2").render_as_string(hide_password=False)
    overrides: Mapping[str, object] = {
        "storage": {"postgres": {"postgres_url": url}},
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        },
        "python_logs": {"python_log_level": "INFO"},  # what assets say goes to our file and to the page
    }
    with dg.DagsterInstance.local_temp(str(settings.dagster_home), overrides=overrides) as instance:
        yield instance


def _selected(definitions: dg.Definitions, job: str, select: Sequence[str]) -> list[dg.AssetKey] | None:
    """The keys of the selection within the job, with those that are made in the same step."""
    if not select:
        return None
    graph = definitions.resolve_asset_graph()
    of_job = definitions.resolve_job_def(job).asset_layer.selected_asset_keys
    chosen: set[dg.AssetKey] = set()
    for words in select:
        try:
            found = dg.AssetSelection.from_string(words).resolve(graph, allow_missing=False)
        except dg.DagsterError as exc:  # of the selection's syntax, or of an unknown asset
            raise UnknownAsset(_unknown(words, of_job)) from exc
        if not found & of_job:
            raise UnknownAsset(_unknown(words, of_job))
        chosen |= found & of_job
    return sorted(key for asset in (*ASSETS, *APART) if asset.keys & chosen for key in asset.keys)


def _unknown(words: str, keys: Iterable[dg.AssetKey]) -> str:
    return f"no asset is called '{words}'; there are {', '.join(sorted(key.to_user_string() for key in keys))}"


def _listener(on_event: OnEvent) -> Callable[[dg.EventLogEntry], None]:
    assets_of = {asset.op.name: [key.to_user_string() for key in sorted(asset.keys)] for asset in (*ASSETS, *APART)}

    def listen(entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None:
            return
        of_step = assets_of.get(event.step_key or "", [])
        if event.event_type == Happened.STEP_START:
            for asset in of_step:
                on_event(asset, "started", "")
        elif event.event_type == Happened.ASSET_MATERIALIZATION:
            told = event.step_materialization_data.materialization.metadata
            on_event(str(event.asset_key and event.asset_key.to_user_string()), "done", _told(told))
        elif event.event_type == Happened.STEP_FAILURE:
            for asset in of_step:
                on_event(asset, "failed", cause(event))
        elif event.event_type == Happened.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed:
                state = "failed" if check.blocking else "warning"
                on_event(check.asset_key.to_user_string(), state, f"{check.check_name}: {check.description}")

    return listen


def _steps(on_step: OnStep) -> Callable[[dg.EventLogEntry], None]:
    def listen(entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None or event.step_key is None:
            return
        if event.event_type in {Happened.STEP_START, Happened.STEP_SUCCESS, Happened.STEP_FAILURE}:
            on_step(event.step_key, event.event_type == Happened.STEP_START)

    return listen


def _told(metadata: Mapping[str, dg.MetadataValue]) -> str:
    """What a person wants to read beside the asset's name: how many rows, or what was decided."""
    rows, decision, promoted = (metadata.get(name) for name in ("dagster/row_count", "decision", "promoted"))
    if isinstance(decision, dg.TextMetadataValue) and promoted is not None:
        return f"{'promoted' if promoted.value else 'NOT PROMOTED'}: {decision.value}"
    if isinstance(decision, dg.TextMetadataValue):
        return str(decision.value)
    return f"{rows.value:,} rows" if isinstance(rows, dg.IntMetadataValue) else ""
