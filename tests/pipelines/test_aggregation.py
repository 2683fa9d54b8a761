"""Groups and activity by hand-made libraries whose answers are known, and by naive recounts."""

import datetime as dt
import statistics
from collections import defaultdict

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pipelines.activity import activity
from pipelines.statistics import book_statistics, group_statistics

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
SCHEMA = {"reader": pl.Int64(), "book_id": pl.String(), "rating": pl.Int8(), "created_at": pl.Datetime("us", "UTC")}
Rating = tuple[int, str, int, dt.datetime]

ratings = st.lists(
    st.tuples(
        st.integers(1, 6),
        st.sampled_from("abcd"),
        st.integers(1, 5),
        st.datetimes(dt.datetime(2026, 4, 1), dt.datetime(2026, 6, 2), timezones=st.just(dt.UTC)),  # noqa: DTZ001
    ),
    max_size=40,
)


def frame(rows: list[Rating]) -> pl.LazyFrame:
    return pl.LazyFrame(rows, schema=SCHEMA, orient="row")


@settings(deadline=None, max_examples=30)
@given(ratings, st.integers(1, 4))
def test_activity_is_a_naive_recount_however_readers_are_parted(rows: list[Rating], parts: int) -> None:
    readers, days = activity((frame([row for row in rows if row[0] % parts == part]) for part in range(parts)), NOW)

    of_reader, of_day = defaultdict[int, list[Rating]](list), defaultdict[dt.date, list[Rating]](list)
    for row in rows:
        of_reader[row[0]].append(row)
        of_day[row[3].date()].append(row)
    assert readers["reader"].to_list() == sorted(of_reader)
    for row in readers.iter_rows(named=True):
        own = of_reader[row["reader"]]
        stars, at = [one[2] for one in own], [one[3] for one in own]
        assert row["n"] == len(own)
        assert [row[f"stars_{s}"] for s in range(1, 6)] == [stars.count(s) for s in range(1, 6)]
        assert row["mean"] == pytest.approx(statistics.mean(stars))
        assert row["deviation"] == (pytest.approx(statistics.stdev(stars)) if len(own) > 1 else None)
        assert (row["first_at"], row["last_at"]) == (min(at), max(at))
        assert row["active_days"] == len({one.date() for one in at})
        assert row["recent"] == sum(dt.timedelta(0) <= NOW - one < dt.timedelta(days=28) for one in at)
    assert days["day"].to_list() == sorted(of_day)
    for row in days.iter_rows(named=True):
        own = of_day[row["day"]]
        assert row["n"] == len(own)
        assert row["mean"] == pytest.approx(statistics.mean(one[2] for one in own))
        assert row["readers"] == len({one[0] for one in own})
        first = {reader: min(one[3] for one in its).date() for reader, its in of_reader.items()}
        assert row["new_readers"] == sum(day == row["day"] for day in first.values())


@settings(deadline=None, max_examples=30)
@given(ratings)
def test_a_group_is_judged_as_one_book_with_all_ratings_of_its_books(rows: list[Rating]) -> None:
    books = pl.LazyFrame({"id": list("abcd")})
    of_books, _ = book_statistics(frame(rows), books, NOW)
    members = pl.LazyFrame({"group": ["x", "x", "y", "y", "z"], "book_id": list("abbcd")})
    groups, prior = group_statistics(members, of_books, NOW)

    twice = frame(rows).join(members, on="book_id").with_columns(book_id=pl.col("group"))
    expected, expected_prior = book_statistics(twice, pl.LazyFrame({"id": list("xyz")}), NOW)
    assert prior == expected_prior
    assert groups["books"].to_list() == [2, 2, 1]
    assert groups["rated"].to_list() == [len({r[1] for r in rows} & of) for of in ({"a", "b"}, {"b", "c"}, {"d"})]
    same = groups.rename({"group": "book_id"}).select(expected.drop("is_burst").columns)
    assert_frame_equal(same, expected.drop("is_burst"), rel_tol=1e-12, abs_tol=1e-12)
