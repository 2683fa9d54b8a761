"""Whether the newest ratings look like those before: as many a day, and the stars spread alike.

Every run adds what came since the run before as one part to a short history. The newest part is judged against the
parts before it, once for its stars and once for its pace, by tests that know how much ordinary nights differ. It is
unusual when chance would hardly do it, and when the difference is large enough to matter. No Dagster in here.
"""

import datetime as dt
import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import fdtrc, stdtr

from data.lake import LakeUnreadable, scan, store
from pipelines.statistics import STARS

HISTORY = "activity_parts"  # its file in the lake
DAY = dt.timedelta(days=1)
SHORTEST = dt.timedelta(hours=20)
"""A part is a day with its night and evening, or longer: an hour at noon is no measure for a day."""
REMEMBERED = 28  # parts that the newest is compared with, at most
FEWEST_PARTS = 7  # and at least
ENOUGH = 50  # ratings, in the newest part for its stars, in all before for the pace: fewer say nothing
CHANCE = 3e-4
DISTANCE = 0.10
"""Share of the ratings that lie on other stars than before (total variation)."""
FACTOR = 1.6
"""So many times more, or fewer, ratings a day."""
NEW_ORDINARY = 7
"""What was unusual so many parts in a row is what is usual now."""


@dataclass(frozen=True)
class Part:
    """Ratings given after ``since`` and not after ``until``, by stars; and what was found about them.

    The first run makes the parts before its own from times alone: nobody has watched those ratings come.
    """

    since: dt.datetime
    until: dt.datetime
    stars_1: int = 0
    stars_2: int = 0
    stars_3: int = 0
    stars_4: int = 0
    stars_5: int = 0
    is_usual_in_stars: bool = True
    is_usual_in_pace: bool = True
    is_watched: bool = True

    @property
    def stars(self) -> tuple[int, int, int, int, int]:
        return self.stars_1, self.stars_2, self.stars_3, self.stars_4, self.stars_5

    @property
    def ratings(self) -> int:
        return sum(self.stars)

    @property
    def days(self) -> float:
        return (self.until - self.since) / DAY


@dataclass(frozen=True)
class Verdict:
    """Whether something is out of the ordinary, and why or why not in words."""

    is_usual: bool
    said: str


def distance(part: Sequence[int], before: Sequence[int]) -> float:
    """Total variation of two star histograms: half the sum of the differences of their shares, 0..1."""
    ours, theirs = np.asarray(part, float), np.asarray(before, float)
    return float(np.abs(ours / ours.sum() - theirs / theirs.sum()).sum() / 2)


def judge_stars(part: Part, before: Sequence[Part]) -> Verdict:
    """The newest part's stars against those of the parts before.

    Pearson's chi-square over its dispersion. Ratings of one reader are alike, so that parts differ by more than
    independent ratings would; by how much, the parts before tell (McCullagh & Nelder, Generalized Linear Models, 2nd
    ed., section 4.5). The quotient follows F with 4 and 4 (parts - 1) degrees of freedom.
    """
    usual = [one for one in before if one.is_usual_in_stars and one.ratings][-REMEMBERED:]
    if part.ratings < ENOUGH or len(usual) < FEWEST_PARTS:
        return Verdict(is_usual=True, said=f"{part.ratings} ratings, {len(usual)} parts before: too few to compare")
    table = np.array([one.stars for one in usual], float)
    pooled = table.sum(axis=0)
    share = (pooled + 0.5) / (pooled + 0.5).sum()
    dispersion = max(1.0, float(_pearson(table, share).sum()) / (4 * (len(usual) - 1)))
    new = np.array(part.stars, float)
    quotient = float(_pearson(new[None], share)[0]) / 4 / dispersion / (1 + new.sum() / pooled.sum())
    chance = float(fdtrc(4, 4 * (len(usual) - 1), quotient))
    away = distance(part.stars, pooled.tolist())
    mean, was = float(new @ list(STARS) / new.sum()), float(pooled @ list(STARS) / pooled.sum())
    return Verdict(
        is_usual=away < DISTANCE or chance >= CHANCE,
        said=f"{away:.1%} of {part.ratings} ratings lie on other stars than before (mean {mean:.2f}, before {was:.2f};"
        f" by chance: {chance:.2g})",
    )


def _pearson(table: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    expected = table.sum(axis=1, keepdims=True) * share
    summed: NDArray[np.float64] = ((table - expected) ** 2 / expected).sum(axis=1)
    return summed


def judge_pace(part: Part, before: Sequence[Part]) -> Verdict:
    """The newest part's ratings a day against those of the parts before.

    Counts are Poisson but for a dispersion that the parts before tell (weekends, trends, readers who rate fifty books
    in an evening); compared by square roots, as in Huffman (1984) for two Poisson samples, against Student's t.
    """
    usual = [one for one in before if one.is_usual_in_pace][-REMEMBERED:]
    counts, days = np.array([one.ratings for one in usual], float), np.array([one.days for one in usual], float)
    if len(usual) < FEWEST_PARTS or counts.sum() < ENOUGH:
        said = f"{int(counts.sum())} ratings in {len(usual)} parts before: too few to compare"
        return Verdict(is_usual=True, said=said)
    pace = float(counts.sum() / days.sum())
    expected = pace * part.days
    dispersion = max(1.0, float(((counts - pace * days) ** 2 / (pace * days)).sum()) / (len(usual) - 1))
    spread = math.sqrt(dispersion * (1 + part.days / float(days.sum())))
    score = 2 * (math.sqrt(part.ratings + 0.375) - math.sqrt(expected + 0.375)) / spread
    chance = 2 * float(stdtr(len(usual) - 1, -abs(score)))
    times = (part.ratings + 0.5) / (expected + 0.5)
    return Verdict(
        is_usual=1 / FACTOR < times < FACTOR or chance >= CHANCE,
        said=f"{part.ratings / part.days:.1f} ratings a day, before {pace:.1f} (by chance: {chance:.2g})",
    )


def judged(part: Part, before: Sequence[Part]) -> tuple[Part, Verdict, Verdict]:
    """The part with what was found about its stars and its pace."""
    stars, pace = judge_stars(part, before), judge_pace(part, before)
    return replace(part, is_usual_in_stars=stars.is_usual, is_usual_in_pace=pace.is_usual), stars, pace


def followed_by(before: Sequence[Part], part: Part) -> list[Part]:
    """The history with the judged part at its end; what has been unusual for long is usual from now on."""
    parts = [*before, part][-3 * REMEMBERED :]
    latest = parts[-NEW_ORDINARY:]
    if len(latest) == NEW_ORDINARY and not any(one.is_usual_in_stars for one in latest):
        parts = [replace(one, is_usual_in_stars=one in latest) for one in parts]
    if len(latest) == NEW_ORDINARY and not any(one.is_usual_in_pace for one in latest):
        parts = [replace(one, is_usual_in_pace=one in latest) for one in parts]
    return parts


def parts_between(ratings: pl.LazyFrame, edges: Sequence[dt.datetime]) -> list[Part]:
    """The ratings between each moment and the next, rising; what lies outside of all is left out."""
    at = pl.col("created_at")
    inside = ratings.filter((at > edges[0]) & (at <= edges[-1]))
    number = sum(((at > edge).cast(pl.Int64) for edge in edges[1:-1]), pl.lit(0, pl.Int64))
    counted = inside.group_by(part=number, rating=pl.col("rating")).len().collect(engine="streaming")
    found = {(part, stars): int(n) for part, stars, n in counted.iter_rows()}
    parts = []
    for part, (since, until) in enumerate(itertools.pairwise(edges)):
        one, two, three, four, five = (found.get((part, stars), 0) for stars in STARS)
        parts.append(Part(since, until, one, two, three, four, five))
    return parts


def history(lake: Path) -> list[Part]:
    """What earlier runs added, oldest first; empty before the first."""
    try:
        rows = scan(lake, HISTORY).collect()
    except LakeUnreadable:
        return []
    return [Part(**row) for row in rows.iter_rows(named=True)]


def remember(lake: Path, until: dt.datetime) -> Part | None:
    """Judge what came until the snapshot of ``until``, and add it to the history in the lake.

    The first run makes the history from the days before it. Asked again for the same snapshot it does the same again.

    Returns:
        The newest part; None when the run before is less than 20 hours old: the next one judges both together.
    """
    before = [part for part in history(lake) if part.until < until]
    ratings = scan(lake, "ratings")
    if not before:
        days = [until - days * DAY for days in range(REMEMBERED + 1, 0, -1)]
        before = [replace(part, is_watched=False) for part in parts_between(ratings, days)]
    if until - before[-1].until < SHORTEST:
        return None
    part, _, _ = judged(parts_between(ratings, [before[-1].until, until])[0], before)
    kept = followed_by(before, part)
    store(lake, HISTORY, pl.DataFrame([asdict(one) for one in kept]))
    return kept[-1]
