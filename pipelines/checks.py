"""What must hold before anything is learned from an extract, and what somebody should look at.

Contradictions block: nothing is learned from an extract that repeats keys, leads nowhere, has lost rows or holds what
cannot be a rating, for no reader behaves like that; a program is wrong. Drift and age warn: the data are what readers
did, stale models would be no better, and what is learned still has to pass the gate.

The functions look at files and say what is wrong; Dagster comes in at the end only.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dagster as dg
import polars as pl

from data.lake import is_of_snapshot, last_snapshot, scan
from pipelines import drift
from pipelines.automation import CHECK_NIGHTLY
from pipelines.resources import State
from pipelines.statistics import HIGHEST, LOWEST

KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ratings": ("reader", "book_id"),
        "favorites": ("reader", "book_id"),
        "shown": ("page_id", "rank"),
        "feedback": ("event_id",),
        "books": ("id",),
        "genres": ("id",),
        "book_genres": ("book_id", "genre_id"),
    }
)
REFERENCES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "ratings": {"book_id": "books"},
        "favorites": {"book_id": "books"},
        "shown": {"book_id": "books"},
        "feedback": {"book_id": "books"},
        "book_genres": {"book_id": "books", "genre_id": "genres"},
    }
)
STALE_EXTRACT = dt.timedelta(hours=36)  # a night and half a day
STALE_RATINGS = dt.timedelta(days=7)


@dataclass(frozen=True)
class Finding:
    """How many rows break a rule, and what that means in words."""

    broken: int
    said: str


def repeated_keys(lake: Path, table: str) -> Finding:
    """Rows whose key another row has already, or has a part missing."""
    keys = pl.struct(KEYS[table])
    facts = scan(lake, table).select(
        rows=pl.len(),
        # Of 10 million keys the hashes take a third of the memory. Where all of them differ, so do the keys.
        keys=keys.hash().n_unique(),
        missing=pl.any_horizontal(pl.col(key).is_null() for key in KEYS[table]).sum(),
    )
    rows, distinct, missing = facts.collect(engine="streaming").row(0)
    if distinct < rows:
        distinct = int(scan(lake, table).select(keys.n_unique()).collect().item())
    return Finding(rows - distinct + missing, f"{rows - distinct} repeated and {missing} missing of {rows} keys")


def ratings_outside(lake: Path) -> Finding:
    """Ratings that are not 1, 2, 3, 4 or 5, and ratings without a time."""
    facts = scan(lake, "ratings").select(
        stars=(~pl.col("rating").is_between(1, 5)).fill_null(value=True).sum(), at=pl.col("created_at").is_null().sum()
    )
    stars, at = facts.collect().row(0)
    return Finding(stars + at, f"{stars} ratings outside 1 to 5, {at} without a time")


def broken_references(lake: Path, table: str) -> Finding:
    """Rows that point to a row which is not there."""
    broken = {
        column: int(
            scan(lake, table)
            .join(scan(lake, target), left_on=column, right_on="id", how="anti")
            .select(pl.len())
            .collect()
            .item()
        )
        for column, target in REFERENCES[table].items()
    }
    return Finding(
        sum(broken.values()), ", ".join(f"{count} of {column} lead nowhere" for column, count in broken.items())
    )


def missing_rows(lake: Path, table: str) -> Finding:
    """Rows that the file has more or less than Postgres counted in the same moment."""
    snapshot = last_snapshot(lake)
    if not is_of_snapshot(lake, table, snapshot):
        return Finding(1, f"{table}.parquet is not the file that the extraction of {snapshot.taken_at:%F %T} wrote")
    rows = int(scan(lake, table).select(pl.len()).collect().item())
    counted = snapshot.tables[table].counted
    return Finding(abs(rows - counted), f"{rows} rows in the file, {counted} in Postgres")


def stale_extract(lake: Path) -> Finding:
    """An extract older than 36 hours: a night has passed without one."""
    return _age("the extract", last_snapshot(lake).taken_at, STALE_EXTRACT)


def stale_ratings(lake: Path) -> Finding:
    """No rating of the last 7 days, though ratings used to arrive: they are lost on their way, or nobody comes."""
    newest = scan(lake, "ratings").select(pl.col("created_at").max()).collect().item()
    if newest is None:
        return Finding(0, "there are no ratings yet")
    found = _age("the newest rating", newest, STALE_RATINGS)
    if not any(part.ratings for part in drift.history(lake) if part.is_watched):
        return Finding(0, f"{found.said}; none has arrived since the first run, as in a published data set")
    return found


def _age(what: str, at: dt.datetime, most: dt.timedelta) -> Finding:
    age = dt.datetime.now(dt.UTC) - at
    return Finding(int(age > most), f"{what} is of {at:%F %H:%M} UTC, {age / dt.timedelta(hours=1):.0f} hours ago")


def drifted_stars(lake: Path) -> Finding:
    """Newest ratings whose stars are spread otherwise than before, by more than chance: a campaign, a fault."""
    return _drift(lake, drift.judge_stars)


def drifted_pace(lake: Path) -> Finding:
    """So many more or fewer ratings a day than before that chance would not do it: robots, an import, a broken form."""
    return _drift(lake, drift.judge_pace)


def _drift(lake: Path, judge: Callable[[drift.Part, list[drift.Part]], drift.Verdict]) -> Finding:
    parts, taken_at = drift.history(lake), last_snapshot(lake).taken_at
    if not parts or parts[-1].until != taken_at:
        return Finding(0, "less than 20 hours since the run before: the next one judges both together")
    verdict = judge(parts[-1], parts[:-1])
    return Finding(int(not verdict.is_usual), verdict.said)


def unsound_statistics(lake: Path) -> Finding:
    """Books whose statistics contradict themselves, and ratings that the statistics do not count."""
    table = scan(lake, "rating_aggregates")
    low, mean, high = (pl.col(name) for name in ("interval_low", "shrunken_mean", "interval_high"))
    sound = (low >= LOWEST) & (low <= mean) & (mean <= high) & (high <= HIGHEST) & mean.is_finite()
    unsound = int(table.select((~sound).fill_null(value=True).sum()).collect().item())
    counted = int(table.select(pl.col("n").sum()).collect().item())
    rated = int(scan(lake, "ratings").select(pl.len()).collect().item())
    return Finding(unsound + abs(rated - counted), f"{unsound} unsound books; {counted} of {rated} ratings counted")


Rule = Callable[[Path], Finding]


def _of(rule: Callable[[Path, str], Finding], table: str) -> Rule:
    @wraps(rule)
    def of_table(lake: Path) -> Finding:
        return rule(lake, table)

    return of_table


EXTRACT_RULES: Mapping[dg.AssetCheckKey, Rule] = MappingProxyType(
    {
        dg.AssetCheckKey(dg.AssetKey(table), name): rule
        for table, name, rule in (
            *((table, "keys_are_unique", _of(repeated_keys, table)) for table in KEYS),
            *((table, "rows_are_those_of_postgres", _of(missing_rows, table)) for table in KEYS),
            *((table, "references_are_whole", _of(broken_references, table)) for table in REFERENCES),
            ("ratings", "stars_are_1_to_5", ratings_outside),
        )
    }
)
STATISTICS_RULES: Mapping[dg.AssetCheckKey, Rule] = MappingProxyType(
    {dg.AssetCheckKey(dg.AssetKey("rating_aggregates"), "intervals_are_sound"): unsound_statistics}
)
AGE_RULES: Mapping[dg.AssetCheckKey, Rule] = MappingProxyType(
    {
        dg.AssetCheckKey(dg.AssetKey("ratings"), "extract_is_fresh"): stale_extract,
        dg.AssetCheckKey(dg.AssetKey("ratings"), "newest_rating_is_fresh"): stale_ratings,
    }
)
DRIFT_RULES: Mapping[dg.AssetCheckKey, Rule] = MappingProxyType(
    {
        dg.AssetCheckKey(dg.AssetKey("daily_activity"), "stars_are_spread_as_before"): drifted_stars,
        dg.AssetCheckKey(dg.AssetKey("daily_activity"), "pace_is_as_before"): drifted_pace,
    }
)
# At noon as well: a night in which nothing ran asks for no check.
AND_AT_NOON = CHECK_NIGHTLY | dg.AutomationCondition.cron_tick_passed("0 12 * * *", "UTC")


def _checks(
    name: str,
    rules: Mapping[dg.AssetCheckKey, Rule],
    *,
    blocking: bool,
    condition: dg.AutomationCondition[Any] = CHECK_NIGHTLY,
) -> dg.AssetChecksDefinition:
    """One step for all rules: a step of its own each would cost more than the rules do."""
    severity = dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN

    @dg.multi_asset_check(
        name=name,
        specs=[
            dg.AssetCheckSpec(
                key.name,
                asset=key.asset_key,
                blocking=blocking,
                description=rule.__doc__,
                automation_condition=condition,
            )
            for key, rule in rules.items()
        ],
        can_subset=True,
    )
    def check(context: dg.AssetCheckExecutionContext, state: dg.ResourceParam[State]) -> Iterator[dg.AssetCheckResult]:
        for key in sorted(context.selected_asset_check_keys):
            finding = rules[key](state.lake)
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=finding.broken == 0,
                severity=severity,
                description=finding.said,
                metadata={"broken rows": finding.broken} if blocking else {},
            )

    return check


extract_checks = _checks("extract_checks", EXTRACT_RULES, blocking=True)
statistics_checks = _checks("statistics_checks", STATISTICS_RULES, blocking=True)
age_checks = _checks("age_checks", AGE_RULES, blocking=False, condition=AND_AT_NOON)
drift_checks = _checks("drift_checks", DRIFT_RULES, blocking=False)
