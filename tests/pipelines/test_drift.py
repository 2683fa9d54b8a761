"""That ordinary nights are left in peace, and extraordinary ones are not."""

import datetime as dt
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from data import lake
from data.sources.generator import YEARS, Generator
from data.sources.generator_draws import Draws
from pipelines import drift
from pipelines.drift import DAY, Part

NOW = dt.datetime(2026, 6, 1, 3, tzinfo=dt.UTC)
Stars = NDArray[np.int64]


@cache
def nights(seed: int = 0) -> Stars:
    """(days, 5): ratings by stars of every day of a generated library with about 170 a day."""
    library = Generator(readers=7500, books=2000, ratings=300_000, seed=seed)
    drawn = list(Draws(library._shelf, library._counts, library._joined, seed).chunks())
    day = np.concatenate([(chunk.at * YEARS.days).astype(np.int64) for chunk in drawn])
    stars = np.concatenate([chunk.stars for chunk in drawn])
    return np.bincount(day * 5 + stars - 1, minlength=YEARS.days * 5).reshape(-1, 5)


def parts(rows: Sequence[Sequence[int]] | Stars, until: dt.datetime = NOW) -> list[Part]:
    """A part a day, the last until then."""
    first = until - len(rows) * DAY
    return [Part(first + n * DAY, first + (n + 1) * DAY, *map(int, row)) for n, row in enumerate(rows)]  # type: ignore[arg-type]  # five numbers


def alarms(rows: Stars, start: int, count: int) -> tuple[list[bool], list[bool]]:
    """Night after night as the pipeline would: whether the stars, and whether the pace, raised an alarm."""
    known = parts(rows[:start], NOW)
    stars, pace = [], []
    for row in rows[start : start + count]:
        until = known[-1].until + DAY
        part, of_stars, of_pace = drift.judged(parts([row.tolist()], until)[0], known)
        known = drift.followed_by(known, part)
        stars.append(not of_stars.is_usual)
        pace.append(not of_pace.is_usual)
    return stars, pace


@pytest.mark.parametrize("start", [300, 900, 1400])
def test_a_hundred_ordinary_nights_raise_one_alarm_at_most(start: int) -> None:
    stars, pace = alarms(nights()[start - 28 :], 28, 100)

    assert sum(stars) + sum(pace) <= 1


CHANGES: dict[str, tuple[Callable[[Stars], Stars], str]] = {
    "half as many again, all fives": (lambda row: row + np.array([0, 0, 0, 0, row.sum() // 2]), "stars"),
    "half of the ratings turned to ones": (lambda row: row // 2 + np.array([row.sum() // 2, 0, 0, 0, 0]), "stars"),
    "twice as many": (lambda row: row * 2, "pace"),
    "none": (lambda row: row * 0, "pace"),
    "a third": (lambda row: row // 3, "pace"),
}


@pytest.mark.parametrize(("change", "seen"), CHANGES.values(), ids=CHANGES)
def test_an_extraordinary_night_is_noticed(change: Callable[[Stars], Stars], seen: str) -> None:
    noticed = []
    for night in range(200, 1600, 100):
        rows = nights()[night - 28 : night + 1].copy()
        rows[-1] = change(rows[-1])
        stars, pace = alarms(rows, 28, 1)
        noticed.append({"stars": stars, "pace": pace}[seen][0])

    assert sum(noticed) >= 13  # of 14


def test_what_stays_different_is_ordinary_after_a_week_and_the_old_state_is_not() -> None:
    rows = np.array([[5, 10, 20, 35, 30]] * 28 + [[0, 0, 0, 0, 300]] * 20 + [[5, 10, 20, 35, 30]])

    stars, pace = alarms(rows, 28, 21)

    assert stars == pace == [True] * 7 + [False] * 13 + [True]


def test_a_strange_night_does_not_blunt_the_next_ones() -> None:
    rows = np.array([[5, 10, 20, 35, 30]] * 28 + [[0, 0, 0, 0, 3000]] + [[5, 10, 20, 35, 30]] * 2 + [[0, 0, 0, 0, 300]])

    assert alarms(rows, 28, 4) == ([True, False, False, True],) * 2


def test_a_library_that_nobody_rates_in_is_left_in_peace() -> None:
    assert alarms(np.zeros((60, 5), dtype=np.int64), 28, 32) == ([False] * 32,) * 2


def test_a_longer_pause_between_runs_is_no_drop_and_no_rush() -> None:
    before = parts([[5, 10, 20, 35, 30]] * 28)
    week = Part(NOW, NOW + 7 * DAY, *(7 * stars for stars in (5, 10, 20, 35, 30)))

    assert drift.judge_pace(week, before).is_usual
    assert drift.judge_stars(week, before).is_usual
    assert not drift.judge_pace(Part(NOW, NOW + 7 * DAY, 5, 10, 20, 35, 30), before).is_usual


def test_distance_is_the_share_that_would_have_to_move() -> None:
    assert drift.distance([0, 0, 0, 0, 7], [3, 0, 0, 0, 0]) == 1.0
    assert drift.distance([1, 1, 1, 1, 1], [2, 2, 2, 2, 2]) == 0.0
    assert drift.distance([1, 0, 0, 0, 3], [2, 0, 0, 0, 2]) == 0.25


def library(folder: Path, *ages: dt.timedelta) -> None:
    table = pl.DataFrame({"rating": [4] * len(ages), "created_at": [NOW - age for age in ages]})
    lake.store(folder, "ratings", table.cast({"rating": pl.Int8, "created_at": lake.MOMENT}))


def test_the_history_begins_with_the_days_before_and_goes_on_with_what_each_run_found(tmp_path: Path) -> None:
    hour = dt.timedelta(hours=1)
    library(tmp_path, 0 * hour, hour, 23 * hour, 24 * hour, 47 * hour, 24 * 28 * hour, 24 * 40 * hour)
    newest = drift.remember(tmp_path, NOW)
    assert newest is not None
    assert (newest.since, newest.until, newest.ratings) == (NOW - DAY, NOW, 3)
    first = drift.history(tmp_path)
    assert [part.ratings for part in first] == [1, *[0] * 26, 2, 3]

    assert drift.remember(tmp_path, NOW) == newest  # asked again for the same snapshot
    assert drift.history(tmp_path) == first
    assert drift.remember(tmp_path, NOW + 19 * hour) is None  # too soon: the next one judges both
    assert drift.history(tmp_path) == first

    library(tmp_path, *[-hour] * 5, *[-30 * hour] * 2, -50 * hour)
    later = drift.remember(tmp_path, NOW + 48 * hour)
    assert later is not None
    assert (later.since, later.ratings, later.stars) == (NOW, 7, (0, 0, 0, 7, 0))
    assert drift.history(tmp_path) == [*first, later]  # what was deleted since is remembered as it was
