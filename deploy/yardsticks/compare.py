"""`make yardsticks`: our models, stock models and other people's on one split, in one table.

    python -m deploy.yardsticks.compare ../shared/data/goodbooks --json yardsticks.json --markdown yardsticks.md

Every model learns from the same ratings, ranks for the same readers and is judged by the same code. What a model leaves
open is filled with popular books.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import click

from data.loading import SourceError
from data.sources.goodbooks import open_goodbooks
from deploy.yardsticks.exchange import Lists, ListsRefused, judged_readers, read_lists, write_split
from models.diversity import DEFAULT
from models.evaluation.rankers import ChainRanker, PopularRanker, Ranker, ServedRanker
from models.evaluation.report import DEPTH, YARDSTICK, Comparison, compare
from models.evaluation.splits import Split, leave_last, one_clock, validation
from models.taste import Taste
from models.training.interactions import Interactions
from models.training.library import Library, library
from models.training.recipe import Recipe as BrsRecipe
from models.training.recipe import learn
from models.training.yardsticks.tuning import FAMILIES, Recipe, best, chosen, trials
from pipelines.training import books_of

ENVIRONMENT = Path(".venv-yardsticks")
RUN = Path(__file__).with_name("run.py")
PATIENCE = 1200.0
"""Seconds for one of their models, from start to lists."""

THEIRS: Mapping[str, Mapping[str, float]] = {
    "RecTools PureSVD": {"factors": 256},
    "RecTools EASE": {"ridge": 200.0},
    "RecTools ALS": {"factors": 128, "regularization": 10.0, "alpha": 2.0},
    "RecTools item-kNN": {"neighbours": 500},
    "LensKit ImplicitMF": {"embedding_size": 64, "regularization": 0.1, "weight": 40.0},
    "LensKit item-kNN": {"neighbours": 20},
    "LensKit EASE": {"ridge": 200.0},
    "LensKit SLIM": {"l1": 1.0, "l2": 50.0, "neighbours": 100},
}
"""Their settings: about those that were best for ours of the same kind; else what the library suggests."""

PROTOCOLS: Mapping[str, Callable[[Interactions], Split]] = {"P1": leave_last, "P3": one_clock}
METRICS = ("ndcg_at_10", "ndcg_at_20", "recall_at_20", "hit_rate_at_10")
Learn = Callable[[Interactions], Ranker]


class TheirsFailed(RuntimeError):
    """One of their models gave no lists."""


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, and MB at the peak where the model had a process of its own."""

    fit_seconds: float
    rank_seconds: float
    peak_mb: float | None = None


def ours(known: Library) -> Learn:
    """What BRS serves: the recipe it comes with, at the default diversity."""

    def learned(train: Interactions) -> Ranker:
        taste = Taste(learn(known.of(train), BrsRecipe()))
        return ChainRanker(ServedRanker(taste, DEFAULT), PopularRanker(train))

    return learned


def listed(split: Split, model: Ranker, fit_seconds: float) -> tuple[Lists, Cost]:
    """Ranks for everybody who is judged, and keeps the lists alone."""
    started = time.perf_counter()
    readers = judged_readers(split)
    lists = Lists(readers, model.top(split.history, readers, DEPTH))
    return lists, Cost(fit_seconds, time.perf_counter() - started)


def in_house(split: Split, own: Learn, recipes: list[Recipe]) -> Iterator[tuple[str, Lists, Cost]]:
    """Our model, popularity and the stock models, each learned once for all its recencies; one in memory at a time."""
    for name, made in (("BRS", own), (YARDSTICK, PopularRanker)):
        model, seconds = timed(made, split.train)
        yield name, *listed(split, model, seconds)
    for _, alike in groupby(recipes, key=lambda recipe: (recipe.family, recipe.settings)):
        first, *others = alike
        model, seconds = timed(first.learned, split.train)
        for recipe in (first, *others):
            yield recipe.name, *listed(split, recipe.asked(model, split.train), seconds)


def timed(made: Learn, train: Interactions) -> tuple[Ranker, float]:
    started = time.perf_counter()
    model = made(train)
    return model, time.perf_counter() - started


def theirs(split: Split, folder: Path, name: str, settings: Mapping[str, float]) -> tuple[Ranker, Cost]:
    """One of their models, in their environment, from the split that lies in ``folder``.

    Raises:
        TheirsFailed: It stopped, or took longer than ``PATIENCE``.
        ListsRefused: What it wrote is not lists.
    """
    python = str(ENVIRONMENT / "bin" / "python")
    command = [python, "-W", "ignore", str(RUN), str(folder), name, json.dumps(settings)]
    alone = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False, env={**alone, **ONE_THREAD}
        )
    except subprocess.TimeoutExpired:
        raise TheirsFailed(f"{name} took longer than {PATIENCE:g} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise TheirsFailed(f"{name} stopped: {last}")
    lists = read_lists(folder / "lists" / f"{name}.parquet", split, DEPTH)
    return ChainRanker(lists, PopularRanker(split.train)), Cost(**json.loads(done.stdout.splitlines()[-1]))


ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}  # theirs run threads of their own beside it


def tuned(split: Split) -> Iterator[Recipe]:
    """Every family's best on a split of the training part alone."""
    inner = validation(split)
    for family in FAMILIES:
        tried = list(trials(family, inner))
        for trial in tried:
            click.echo(f"  {trial.recipe.name} {dict(trial.recipe.settings)}: {trial.ndcg_at_10:.4f}", err=True)
        yield from best(tried)


def everything(
    split: Split, own: Learn, recipes: list[Recipe], *, foreign: bool
) -> tuple[dict[str, Ranker], dict[str, Cost], list[str]]:
    """Lists of all models, what they cost, and who failed."""
    rankers: dict[str, Ranker] = {}
    costs: dict[str, Cost] = {}
    failed = []
    for name, lists, cost in in_house(split, own, recipes):
        rankers[name], costs[name] = lists, cost
        click.echo(f"{name}: {cost.fit_seconds:.0f} + {cost.rank_seconds:.0f} s", err=True)
    if foreign:
        with tempfile.TemporaryDirectory() as folder:
            write_split(split, Path(folder), DEPTH)
            for name, settings in THEIRS.items():
                click.echo(f"{name} ...", err=True)
                try:
                    rankers[name], costs[name] = theirs(split, Path(folder), name, settings)
                except (TheirsFailed, ListsRefused) as error:
                    failed.append(str(error))
    return rankers, costs, failed


def table(comparison: Comparison, costs: Mapping[str, Cost]) -> str:
    """Markdown: a row a model, the best first; means with 95 % intervals, the gain of ours paired."""
    head = [f"{comparison.protocol}, {len(comparison.readers)} readers", *METRICS, "coverage_at_10"]
    head += [f"{comparison.ours} minus it, ndcg_at_10", "fit s", "rank s"]
    rows = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name in sorted(comparison.models, key=lambda name: -comparison.models[name].intervals[METRICS[0]].mean):
        quality, cost = comparison.models[name], costs[name]
        cells = [name, *("{:.4f} [{:.4f}, {:.4f}]".format(*quality.intervals[metric]) for metric in METRICS)]
        gain = comparison.gains[name][METRICS[0]] if name != comparison.ours else None
        cells += [f"{quality.coverage:.3f}", "{:+.4f} [{:+.4f}, {:+.4f}]".format(*gain) if gain else ""]
        cells += [f"{cost.fit_seconds:.1f}", f"{cost.rank_seconds:.1f}"]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def facts(comparison: Comparison, costs: Mapping[str, Cost], failed: list[str]) -> dict[str, object]:
    """The same as JSON, every metric; intervals as [mean, low, high]."""
    return {
        "protocol": comparison.protocol,
        "counts": dict(comparison.counts),
        "failed": failed,
        "models": {
            name: {
                "metrics": {metric: list(interval) for metric, interval in quality.intervals.items()},
                "coverage_at_10": quality.coverage,
                "gain": {metric: list(interval) for metric, interval in comparison.gains.get(name, {}).items()},
                "cost": vars(costs[name]),
            }
            for name, quality in comparison.models.items()
        },
    }


def goodbooks(path: Path) -> Library:
    """goodbooks-10k, in a folder or zip.

    Raises:
        SourceError: It is missing or damaged.
    """
    with open_goodbooks(path) as source:
        rows = [(str(row.user_id), row.book_id, row.rating, row.created_at) for row in source.reviews()]
        books = list(source.books())
    reader, book, stars, at = zip(*rows, strict=True)
    return library(reader, book, stars, at, books_of(books))


@click.command(epilog="Example: make yardsticks ARGS=../shared/data/goodbooks")
@click.argument("path", type=click.Path(path_type=Path), default=Path("../shared/data/goodbooks"))
@click.option("--protocol", type=click.Choice([*PROTOCOLS]), default="P1", help="What is known and what is the future.")
@click.option("--ours", "alone", is_flag=True, help="Without RecTools and LensKit.")
@click.option("--tune", is_flag=True, help="Choose the stock models' settings anew, on validation (half an hour).")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures there.")
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Write the table there.")
def main(path: Path, *, protocol: str, alone: bool, tune: bool, json_file: Path | None, markdown: Path | None) -> None:
    """Judge our models, stock models and two libraries' own on the goodbooks data at PATH."""
    if not alone and not (ENVIRONMENT / "installed").exists():
        raise click.ClickException(
            f"{ENVIRONMENT} is not there: run `make yardsticks`, or leave theirs out with --ours"
        )
    try:
        known = goodbooks(path)
    except SourceError as error:
        raise click.ClickException(str(error)) from error
    split = PROTOCOLS[protocol](known.interactions)
    recipes = list(tuned(split)) if tune else chosen()
    rankers, costs, failed = everything(split, ours(known), recipes, foreign=not alone)
    comparison = compare(split, rankers)
    told = table(comparison, costs)
    click.echo(told)
    for message in failed:
        click.echo(message, err=True)
    if markdown is not None:
        markdown.write_text(told + "\n")
    if json_file is not None:
        json_file.write_text(json.dumps(facts(comparison, costs, failed), indent=1) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
