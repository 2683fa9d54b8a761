"""How a model of a past week would have done: learned from what was there before that week, judged by what came."""

import datetime as dt
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from data import lake
from models.evaluation.bootstrap import Interval

if TYPE_CHECKING:
    from models.training.library import Library
    from models.training.recipe import Recipe

AHEAD = 4  # weeks that a model is judged by, the first one its own: one alone has few readers in a small library
FOLDER = "weeks"  # of work: one file a week
MICROSECOND = dt.timedelta(microseconds=1)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Looked:
    """One week looked back at; NDCG@10 with 95 % intervals, all None where there was nothing to judge.

    Attributes:
        week: Its Monday, as ISO date, UTC.
        ratings: Learned from.
        readers: Judged.
        why_not: Why there are no figures.
    """

    week: str
    ratings: int
    readers: int = 0
    ndcg_at_10: Interval | None = None
    popularity: Interval | None = None
    gain: Interval | None = None
    why_not: str | None = None


def weeks_of(folder: Path) -> list[str]:
    """The Mondays of all weeks with ratings, but the first, before which there is nothing to learn from; in order."""
    weeks = lake.scan(folder, "ratings").select(pl.col("created_at").dt.truncate("1w").dt.date().unique()).collect()
    return [f"{monday:%F}" for monday in sorted(weeks["created_at"])[1:]]


def judgeable(folder: Path, last: int) -> list[str]:
    """The last weeks that are followed by all the weeks that judge them, ``last`` at most; in order."""
    return weeks_of(folder)[: 1 - AHEAD][-last:]


def look_back(
    known: "Library", recipe: "Recipe", week: str, announce: Callable[[str], None] = lambda _: None
) -> Looked:
    """Learns the recipe from the ratings before the week, and judges it by those of the week and the next ones.

    Args:
        known: All that is known today; books count with what is known of them today.
        recipe: Of any time: whether it is today's or another is told by who asks.
        week: The Monday, as ISO date.
        announce: Is told what is being done.
    """
    from models.evaluation.report import HEADLINE, YARDSTICK, NothingToJudge  # noqa: PLC0415 - takes seconds to import
    from models.evaluation.splits import from_moment  # noqa: PLC0415
    from models.training.als import NothingToLearn  # noqa: PLC0415
    from models.training.recipe import learn  # noqa: PLC0415
    from pipelines.judging import OURS, judge  # noqa: PLC0415

    monday = dt.datetime.combine(dt.date.fromisoformat(week), dt.time(), dt.UTC)
    cut, end = ((at - EPOCH) // MICROSECOND for at in (monday, monday + dt.timedelta(weeks=AHEAD)))
    split = from_moment(known.interactions, cut, end)
    ratings = len(split.train)
    if not ratings:
        return Looked(week, ratings, why_not=f"no rating is older than {week}: there is nothing to learn from")
    if not len(split.future):
        return Looked(week, ratings, why_not=f"nobody rated anything in the {AHEAD} weeks from {week} on")
    announce(f"week of {week}: learning from {ratings:,} ratings")
    try:
        found = judge(split, learn(known.of(split.train), recipe, announce)).comparison
    except (NothingToLearn, NothingToJudge) as why:
        return Looked(week, ratings, why_not=f"week of {week}: {why}")
    return Looked(
        week,
        ratings,
        len(found.readers),
        found.models[OURS].intervals[HEADLINE],
        found.models[YARDSTICK].intervals[HEADLINE],
        found.gains[YARDSTICK][HEADLINE],
    )


def keep(work: Path, looked: Looked) -> list[Looked]:
    """Puts it beside the weeks that were looked at before. All of them, oldest first."""
    folder = work / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{looked.week}.{os.getpid()}"
    aside.write_text(json.dumps(asdict(looked)))
    aside.replace(folder / f"{looked.week}.json")
    return kept(folder)


def kept(folder: Path) -> list[Looked]:
    """All weeks that were looked at, oldest first."""
    return [_read(path) for path in sorted(folder.glob("[0-9]*.json"))]


def _read(path: Path) -> Looked:
    told = json.loads(path.read_text())
    bounds = {name: told[name] and Interval(*told[name]) for name in ("ndcg_at_10", "popularity", "gain")}
    return Looked(**told | bounds)


def table(weeks: Sequence[Looked]) -> str:
    """Markdown, oldest first."""
    rows = ["| week | ratings learned from | readers | NDCG@10 | popularity | gain |", "|---|---|---|---|---|---|"]
    for one in weeks:
        cells = [_cell(bounds) for bounds in (one.ndcg_at_10, one.popularity, one.gain)]
        told = " | ".join(cells) if one.why_not is None else f"{one.why_not} | | "
        rows.append(f"| {one.week} | {one.ratings:,} | {one.readers:,} | {told} |")
    return "\n".join(rows)


def told(looked: Looked) -> str:
    """In one line."""
    if looked.ndcg_at_10 is None or looked.popularity is None:
        return str(looked.why_not)
    means = f"NDCG@10 {looked.ndcg_at_10.mean:.4f}, popularity {looked.popularity.mean:.4f}"
    return f"week of {looked.week}: {means}, {looked.readers:,} readers"


def _cell(bounds: Interval | None) -> str:
    return "" if bounds is None else f"{bounds.mean:.4f} [{bounds.low:.4f}, {bounds.high:.4f}]"
