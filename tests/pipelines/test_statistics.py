import datetime as dt
import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.statistics import HEAVIEST, UNKNOWN, Prior, book_counts, book_statistics, estimate_prior

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
SCHEMA = {"book_id": pl.String(), "rating": pl.Int8(), "created_at": pl.Datetime("us", "UTC")}


def days_ago(days: float) -> dt.datetime:
    return NOW - dt.timedelta(days=days)


def frame(rows: list[tuple[str, int, dt.datetime]]) -> pl.LazyFrame:
    return pl.LazyFrame(rows, schema=SCHEMA, orient="row")


def statistics(
    rows: list[tuple[str, int, dt.datetime]], books: str = "abcd"
) -> tuple[dict[str, dict[str, object]], Prior]:
    table, prior = book_statistics(frame(rows), pl.LazyFrame({"id": list(books)}, schema={"id": pl.String()}), NOW)
    return {row["book_id"]: row for row in table.iter_rows(named=True)}, prior


def many(book: str, count: int, newest: float, oldest: float) -> list[tuple[str, int, dt.datetime]]:
    """Ratings of ``book``, evenly spread between so many days ago."""
    step = (oldest - newest) / count
    return [(book, 4, days_ago(newest + step * (i + 0.5))) for i in range(count)]


def test_prior_means_and_intervals_are_those_computed_by_hand() -> None:
    # a: 5 5 4 5 (mean 4.75), b: 2 3 2 (7/3), c: 4 4 3 (11/3). Within: (0.75 + 2/3 + 2/3) / 7 = 25/84.
    # m = 3.7; between: (4 * 1.05² + 3 * (41/30)² + 3 * (1/30)² - 2 * 25/84) / (10 - 34/10) = 1.427669…
    stars = {"a": [5, 5, 4, 5], "b": [2, 3, 2], "c": [4, 4, 3]}
    table, prior = statistics([(book, s, NOW) for book, given in stars.items() for s in given])
    within = 25 / 84
    between = (4 * 1.05**2 + 3 * (41 / 30) ** 2 + 3 * (1 / 30) ** 2 - 2 * within) / 6.6

    assert prior.deviation == pytest.approx(math.sqrt(within))
    assert prior.weight == 1.0  # 0.21 ratings, and a prior is worth at least one
    assert within / between < 1
    assert prior.mean == pytest.approx((0.8 * 4.75 + 0.75 * 7 / 3 + 0.75 * 11 / 3) / 2.3)
    assert table["a"]["mean"] == 4.75
    assert table["a"]["shrunken_mean"] == pytest.approx((19 + prior.mean) / 5)
    margin = 1.959964 * math.sqrt(within / 4)
    assert table["b"]["interval_low"] == pytest.approx((7 + prior.mean) / 4 - margin)
    assert table["b"]["interval_high"] == pytest.approx((7 + prior.mean) / 4 + margin)
    assert [table["a"][f"stars_{s}"] for s in range(1, 6)] == [0, 0, 0, 1, 3]
    assert table["d"]["n"] == 0
    assert table["d"]["mean"] is None
    assert table["d"]["shrunken_mean"] == pytest.approx(prior.mean)


def test_the_weight_is_the_ratio_of_the_variances_of_the_world_that_made_the_ratings() -> None:
    # Books ten each at 3.5 ± 0.5, ratings at ± 1 around: within ≈ 1, between ≈ .25, so a book's prior is worth about 4.
    rows = [(f"{b:02}", s, NOW) for b in range(40) for s in ([2, 4] * 50 if b % 2 else [3, 5] * 50)]
    _, prior = statistics(rows, books="")

    assert prior.mean == pytest.approx(3.5)
    assert prior.weight == pytest.approx(4, rel=0.1)


def test_books_that_do_not_differ_are_drawn_fully_to_the_prior() -> None:
    _, prior = statistics([(book, s, NOW) for book in "abcd" for s in (1, 3, 5)])

    assert prior.weight == HEAVIEST


def test_nothing_rated_gives_the_unknown_prior_and_still_a_row_a_book() -> None:
    table, prior = statistics([])

    assert prior == UNKNOWN
    assert [row["shrunken_mean"] for row in table.values()] == [3.0] * 4
    assert not any(row["is_burst"] for row in table.values())


@pytest.mark.parametrize("rows", [[("a", 5, NOW)], [("a", 5, NOW), ("b", 1, NOW)], [("a", 2, NOW)] * 3])
def test_a_few_ratings_give_finite_statistics(rows: list[tuple[str, int, dt.datetime]]) -> None:
    table, prior = statistics(rows)

    assert 1 <= prior.mean <= 5
    assert all(math.isfinite(value) for value in (prior.mean, prior.weight, prior.deviation))
    assert all(1 <= float(str(row["interval_low"])) <= float(str(row["interval_high"])) <= 5 for row in table.values())


def test_velocity_counts_the_last_28_days_and_trend_compares_them_with_the_84_before() -> None:
    table, _ = statistics([*many("a", 56, 0, 28), *many("a", 84, 28, 112), *many("b", 27, 28, 112)])

    assert table["a"]["ratings_per_day"] == 2.0
    assert table["a"]["trend"] == pytest.approx(math.log2(57 / (28 + 1)), abs=0.02)
    assert table["b"]["ratings_per_day"] == 0.0
    assert table["b"]["trend"] == pytest.approx(math.log2(1 / (9 + 1)), abs=0.1)


def test_the_past_of_a_young_book_is_as_long_as_it_has_been_rated_and_a_new_book_has_no_trend() -> None:
    young = many("a", 28, 0, 28) + many("a", 42, 28, 70)
    table, _ = statistics(young + many("b", 30, 0, 27))

    assert table["a"]["trend"] == pytest.approx(0, abs=0.05)
    assert table["b"]["trend"] is None


def test_a_week_far_above_the_books_own_past_is_a_burst_and_a_steady_week_is_none() -> None:
    steady = [row for book in "bcd" for row in many(book, 200, 0, 91)]
    table, _ = statistics([*steady, *many("a", 24, 7, 91), *many("a", 60, 0, 6)])

    assert [book for book, row in table.items() if row["is_burst"]] == ["a"]


def test_an_import_that_lifts_all_books_alike_is_no_burst() -> None:
    table, _ = statistics([row for book in "abcd" for row in many(book, 24, 7, 91) + many(book, 200, 0, 6)])

    assert not any(row["is_burst"] for row in table.values())


ratings = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.integers(1, 5),
        st.datetimes(dt.datetime(2025, 9, 1), dt.datetime(2026, 7, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001
    ),
    max_size=60,
)


@given(ratings)
def test_statistics_are_always_sound(rows: list[tuple[str, int, dt.datetime]]) -> None:
    table, prior = statistics(rows, books="abcdef")

    assert prior.weight >= 0
    assert 1 <= prior.mean <= 5
    for book, row in table.items():
        mine = [stars for other, stars, _ in rows if other == book]
        shrunken = float(str(row["shrunken_mean"]))
        assert row["n"] == len(mine)
        assert 1 <= float(str(row["interval_low"])) <= shrunken <= float(str(row["interval_high"])) <= 5
        if mine:
            mean = sum(mine) / len(mine)
            assert row["mean"] == pytest.approx(mean)
            assert min(mean, prior.mean) - 1e-9 <= shrunken <= max(mean, prior.mean) + 1e-9
        else:
            assert row["trend"] is None
            assert not row["is_burst"]


@given(ratings, st.randoms(use_true_random=False))
def test_the_order_of_the_ratings_changes_nothing(rows: list[tuple[str, int, dt.datetime]], rng: object) -> None:
    shuffled = rows.copy()
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis does not name the type of its randoms

    assert statistics(rows) == statistics(shuffled)


@given(ratings)
def test_windows_never_overlap_nor_reach_into_the_future(rows: list[tuple[str, int, dt.datetime]]) -> None:
    counts = book_counts(frame(rows), NOW)
    for book, recent, past, week in counts.select("book_id", "recent", "past", "week").iter_rows():
        ages = [(NOW - at).total_seconds() / 86400 for other, _, at in rows if other == book]
        assert recent == sum(0 <= age < 28 for age in ages)
        assert past == sum(28 <= age < 112 for age in ages)
        assert week == sum(0 <= age < 7 for age in ages)


def test_more_ratings_of_the_same_mean_narrow_the_interval() -> None:
    table, _ = statistics([(book, s, NOW) for book, n in (("a", 2), ("b", 20), ("c", 200)) for s in [2, 4] * n])
    widths = [float(str(table[b]["interval_high"])) - float(str(table[b]["interval_low"])) for b in "abc"]

    assert widths == sorted(widths, reverse=True)
    assert estimate_prior(book_counts(frame([]), NOW)) == UNKNOWN
