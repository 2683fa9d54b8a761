"""What a person at a terminal sees; silent where there is no terminal."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from data.loading import Source, load

console = Console(highlight=False, soft_wrap=True)


@contextlib.contextmanager
def bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """A function ``(what, done, total)`` that draws one bar for each ``what`` on a terminal, and nothing elsewhere."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def step(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield step


def load_and_tell(source: Source, url: str) -> None:
    """Load with bars, and say what is new."""
    with bars() as progress:
        report = load(url, source, progress)
    counts = ", ".join(f"{n:,} {what}" for what, n in report.inserted.items())
    click.echo(f"New: {counts}. {report.seconds:.1f} s.")


@contextlib.contextmanager
def stage(what: str) -> Iterator[None]:
    """Says what is being done, and how long it took."""
    started = time.monotonic()
    with console.status(f"{what} ...") if console.is_terminal else contextlib.nullcontext():
        yield
    click.echo(f"  {what:<48} {time.monotonic() - started:6.1f} s")


class PipelineLines:
    """One line an asset: its name, how long it took, and what it said of itself."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._status = console.status("pipeline ...") if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, asset: str, state: str, detail: str) -> None:
        if state == "started":
            self._started[asset] = time.monotonic()
            if self._status is not None:
                self._status.update(f"{asset} ...")
            return
        seconds = time.monotonic() - self._started.get(asset, time.monotonic())
        mark = "" if state == "done" else f"  {state.upper()}"
        click.echo(f"  {asset:<48} {seconds:6.1f} s{mark}" + (f"  {detail}" if detail else ""))
