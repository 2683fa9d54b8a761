"""What each step of the pipeline costs: in a first run, in a night with few changes, and in the same night in full."""

import resource
import shutil
import statistics
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import click
import psutil

from data.embedded import status
from deploy.local.bench.lake import change
from deploy.local.bench.library import Place, library, seconds_of
from deploy.local.console import PipelineLines
from deploy.local.registry import prepared

OF_A_NIGHT = ("group:extract", "group:aggregates")
NIGHTS = 3  # one alone says little on a machine with other work
PARTS_OF_A_NIGHT = {
    "extraction": ("extract",),
    "extraction and aggregates": ("extract", "activity", "rating_aggregates", "group_statistics"),
}
_FORGET_PEAK = Path("/proc/self/clear_refs")  # Linux; elsewhere the peak of a step is that of all before it, too
_PEAK = Path("/proc/self/status")


class Cost(NamedTuple):
    """Seconds, seconds of CPU here and in Postgres, and the peak of this process's resident memory in bytes."""

    seconds: float
    cpu: float
    postgres: float
    peak: int


@dataclass
class Meter:
    """Told when a step begins and ends; keeps what each has cost."""

    home: Path
    costs: dict[str, Cost] = field(default_factory=dict)
    _begun: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __call__(self, step: str, begins: bool) -> None:  # noqa: FBT001 - as ``pipelines.run`` tells it
        if begins:
            forget_peak()
            self._begun = self._now()
            return
        seconds, cpu, postgres = (after - before for before, after in zip(self._begun, self._now(), strict=True))
        self.costs[step] = Cost(seconds, cpu, postgres, peak())

    def _now(self) -> tuple[float, float, float]:
        server = status(self.home)
        of_postgres = 0.0 if server is None else seconds_of(psutil.Process(server.pid))
        return time.monotonic(), time.process_time(), of_postgres


def forget_peak() -> None:
    """From here on ``peak`` is of what comes (proc_pid_clear_refs(5): 5 resets the peak resident set size)."""
    if _FORGET_PEAK.exists():
        _FORGET_PEAK.write_text("5")


def peak() -> int:
    """Of this process's resident memory, in bytes."""
    if _PEAK.exists():
        return 1024 * next(int(line.split()[1]) for line in _PEAK.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run(*, books: int, ratings: int) -> None:
    """Print what each step takes at first, in a night with few changes and in full, and the cost of few beside all."""
    with library(books, ratings) as place:
        prepared(place.settings, place.databases)
        tell("everything, for the first time", measured(place))
        nights = [_night(place, number) for number in range(NIGHTS)]
    click.echo(f"\nOf what everything takes, what changed took (medians of {NIGHTS} nights)")
    for what, steps in PARTS_OF_A_NIGHT.items():
        shares = [_share(few, everything, steps) for few, everything in nights]
        seconds, cpu = (statistics.median(share) for share in zip(*shares, strict=True))
        click.echo(f"{what:<28}{seconds:>6.0%} of the time{cpu:>6.0%} of the CPU")


def _night(place: Place, number: int) -> tuple[dict[str, Cost], dict[str, Cost]]:
    """What each step costs where one in a hundred ratings changed, and the same in full."""
    click.echo(f"\n{change(place, number):,} rows changed")
    few = measured(place, OF_A_NIGHT)
    tell("one rating in a hundred changed", few)
    shutil.rmtree(place.settings.lake)
    everything = measured(place, OF_A_NIGHT)
    tell("the same, in full", everything)
    return few, everything


def _share(few: dict[str, Cost], everything: dict[str, Cost], steps: Sequence[str]) -> tuple[float, float]:
    """Of the seconds, and of the CPU."""
    less, more = (together([costs[step] for step in steps]) for costs in (few, everything))
    return less.seconds / more.seconds, (less.cpu + less.postgres) / (more.cpu + more.postgres)


def measured(place: Place, select: Sequence[str] = ()) -> dict[str, Cost]:
    """Run the pipeline, or a part of it, and return what each step has cost, checks too.

    Raises:
        ClickException: it did not pass.
    """
    from pipelines.run import run as run_pipeline  # noqa: PLC0415 - imports Dagster

    meter = Meter(place.settings.home)
    with PipelineLines() as lines:
        passed = run_pipeline(place.settings, place.databases, select=select, on_event=lines, on_step=meter)
    if not passed:
        raise click.ClickException("the pipeline did not pass")
    return meter.costs


def together(costs: Collection[Cost]) -> Cost:
    seconds, cpu, postgres, peaks = zip(*costs, strict=True)
    return Cost(sum(seconds), sum(cpu), sum(postgres), max(peaks))


def tell(what: str, costs: dict[str, Cost]) -> None:
    click.echo(f"\n{what:<48}{'s':>8}{'CPU s':>9}{'Postgres':>10}{'peak MB':>9}")
    for name, cost in (costs | {"together": together(costs.values())}).items():
        click.echo(f"{name:<48}{cost.seconds:>8.1f}{cost.cpu:>9.1f}{cost.postgres:>10.1f}{cost.peak / 1e6:>9.0f}")
