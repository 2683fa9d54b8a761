import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.gate import decide


def metrics(gain: float, low: float) -> dict[str, float]:
    return {
        "ndcg_at_10": 0.12,
        "popularity_ndcg_at_10": 0.12 - gain,
        "gain_ndcg_at_10": gain,
        "gain_ndcg_at_10_low": low,
    }


@pytest.mark.parametrize(("low", "promote"), [(0.001, True), (0.0, False), (-0.001, False)])
def test_only_what_is_surely_better_than_popularity_is_promoted(low: float, promote: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert decide(metrics(0.05, low)).promote is promote


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_the_reason_always_tells_the_numbers(gain: float, low: float) -> None:
    reason = decide(metrics(gain, low)).reason

    assert "NDCG@10 0.1200" in reason
    assert f"{low:.4f}" in reason
    assert "\n" not in reason


def test_no_number_at_all_promotes_nothing() -> None:
    assert not decide(metrics(0.05, float("nan"))).promote
