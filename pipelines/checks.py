"""What must hold before anything is learned from an extract. All of it is blocking: a failed check stops the training.

The functions look at files and say what is wrong; Dagster comes in at the end only.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from types import MappingProxyType

import dagster as dg
import polars as pl

from data.lake import is_of_snapshot, last_snapshot, scan
from pipelines.automation import CHECK_NIGHTLY
from pipelines.resources import State
from pipelines.statistics import HIGHEST, LOWEST

KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"ratings": ("reader", "book_id"), "books": ("id",), "genres": ("id",), "book_genres": ("book_id", "genre_id")}
)
REFERENCES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"ratings": {"book_id": "books"}, "book_genres": {"book_id": "books", "genre_id": "genres"}}
)


@dataclass(frozen=True)
class Finding:
    """How many rows break a rule, and what that means in words."""

    broken: int
    said: str


def repeated_keys(lake: Path, table: str) -> Finding:
    """Rows whose key another row has already, or has a part missing."""
    keys = KEYS[table]
    facts = scan(lake, table).select(
        rows=pl.len(),
        keys=pl.struct(keys).n_unique(),
        missing=pl.any_horizontal(pl.col(key).is_null() for key in keys).sum(),
    )
    rows, distinct, missing = facts.collect().row(0)
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


def _checks(name: str, rules: Mapping[dg.AssetCheckKey, Rule]) -> dg.AssetChecksDefinition:
    """One step for all rules: a step of its own each would cost more than the rules do."""

    @dg.multi_asset_check(
        name=name,
        specs=[
            dg.AssetCheckSpec(
                key.name,
                asset=key.asset_key,
                blocking=True,
                description=rule.__doc__,
                automation_condition=CHECK_NIGHTLY,
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
                description=finding.said,
                metadata={"broken rows": finding.broken},
            )

    return check


extract_checks = _checks("extract_checks", EXTRACT_RULES)
statistics_checks = _checks("statistics_checks", STATISTICS_RULES)
