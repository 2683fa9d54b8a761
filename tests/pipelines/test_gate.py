"""Every branch of the decision, with figures made by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.gate import MARGIN, Decision, Showing, decide

READERS = 400
NOISE = np.random.default_rng(5).normal(0, 0.1, READERS)
POPULARITY = np.full(READERS, 0.1)


def scores(mean: float, noise: float = 1.0) -> NDArray[np.float64]:
    centred = NOISE - NOISE.mean()
    return np.asarray(mean + noise * centred)


def showing(mean: float = 0.2, *, coverage: float = 0.5, sufficiency: float = 0.9) -> Showing:
    return Showing(scores(mean), coverage, sufficiency)


@pytest.mark.parametrize(("mean", "promote"), [(0.2, True), (0.105, False), (0.1, False), (0.05, False)])
def test_without_a_champion_popularity_is_the_bar_and_must_be_beaten_for_certain(mean: float, promote: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """At .105 the mean is above popularity's and the interval is not."""
    decision = decide(showing(mean), POPULARITY)

    assert (decision.promote, decision.rule) == (promote, "popularity")
    assert decision.figures["gate_score"] == pytest.approx(mean)


@pytest.mark.parametrize("same", [True, False])
def test_a_champion_does_not_spare_anybody_the_comparison_with_popularity(same: bool) -> None:  # noqa: FBT001 - a parameter of the test
    decision = decide(showing(0.1), POPULARITY, scores(0.01), same=same)

    assert (decision.promote, decision.rule) == (False, "popularity")


@pytest.mark.parametrize("champion", [None, scores(0.1)])
@pytest.mark.parametrize(("low", "rule"), [({"coverage": 0.049}, "coverage"), ({"sufficiency": 0.49}, "sufficiency")])
def test_nothing_below_a_floor_is_promoted_however_good_it_is(
    champion: NDArray[np.float64] | None, low: dict[str, float], rule: str
) -> None:
    good = showing(0.6)
    assert decide(good, POPULARITY, champion).promote

    refused = decide(replace(good, **low), POPULARITY, champion)

    assert (refused.promote, refused.rule) == (False, rule)


def test_the_same_recipe_on_the_same_training_part_loses_nothing_and_is_renewed() -> None:
    own = showing()

    decision = decide(own, POPULARITY, own.score, same=True)

    assert (decision.promote, decision.rule) == (True, "same recipe")
    assert decision.figures["gate_gain_low"] == 0


@pytest.mark.parametrize(("loss", "promote"), [(0.5, True), (0.99, True), (1.01, False), (3.0, False)])
def test_the_same_recipe_may_lose_two_percent_and_no_more(loss: float, promote: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Every reader loses as much, so that the interval is a point."""
    champion = scores(0.2)
    own = replace(showing(), score=champion - loss * MARGIN * champion.mean())

    assert decide(own, POPULARITY, champion, same=True).promote is promote


@pytest.mark.parametrize(("gain", "noise", "promote"), [(0.01, 0.1, True), (0.001, 0.5, False), (-0.01, 0.1, False)])
def test_a_new_recipe_must_be_better_for_certain(gain: float, noise: float, promote: bool) -> None:  # noqa: FBT001 - a parameter of the test
    champion = scores(0.2)
    jitter = np.random.default_rng(8).permutation(NOISE - NOISE.mean()) * noise
    own = replace(showing(), score=champion + gain + jitter)

    decision = decide(own, POPULARITY, champion)

    assert (decision.promote, decision.rule) == (promote, "new recipe")
    assert decision.figures["gate_gain"] == pytest.approx(gain)


def test_a_new_recipe_that_is_as_good_is_refused_where_the_same_is_renewed() -> None:
    own = showing()

    assert not decide(own, POPULARITY, own.score).promote
    assert decide(own, POPULARITY, own.score, same=True).promote


@pytest.mark.parametrize("broken", ["score", "coverage", "sufficiency"])
def test_what_was_not_measured_promotes_nothing(broken: str) -> None:
    nothing = scores(np.nan) if broken == "score" else float("nan")

    assert not decide(replace(showing(), **{broken: nothing}), POPULARITY).promote  # type: ignore[arg-type]  # one of the three


@given(st.floats(0, 1), st.floats(0, 1), st.booleans())
@settings(max_examples=15, deadline=None)
def test_the_reason_is_one_line_with_the_numbers_and_survives_its_file(own: float, other: float, same: bool) -> None:  # noqa: FBT001 - a parameter of the test
    decision = decide(showing(own), POPULARITY, scores(other), same=same)

    assert f"NDCG@10 {own:.4f}, popularity 0.1000" in decision.reason
    assert "\n" not in decision.reason
    assert Decision.from_json(decision.to_json()) == decision
