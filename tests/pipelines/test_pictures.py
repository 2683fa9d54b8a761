import base64
import re

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from models.evaluation.bootstrap import UNKNOWN
from models.evaluation.calibration import reliability
from pipelines import pictures

PNG = b"\x89PNG\r\n\x1a\n"


def test_every_plot_is_a_png_whatever_it_is_given() -> None:
    drawn = [
        pictures.star_histogram([0, 0, 0, 0, 0]),
        pictures.star_histogram([1, 2, 3, 4, 5]),
        pictures.shrinkage([], [], 3.0),
        pictures.shrinkage([1.0, 5.0], [2.0, 4.0], 3.5),
        pictures.compared("Quality", "NDCG@10", {"model": (0.2, 0.1, 0.3), "popularity": (0.0, 0.0, 0.0)}),
        pictures.compared("Nothing", "NDCG@10", {"model": (0.0, 0.0, 0.0)}, ours="model"),
        pictures.compared("Nobody", "NDCG@10", {}),
        pictures.gains("Gains", "NDCG@10", {"1 to 5": (0, UNKNOWN), "6 to 20": (9, (0.1, -0.1, 0.3))}),
        pictures.gains("Gains", "NDCG@10", {}),
        pictures.coverage_curves({str(model): [0.1, 0.2, 0.3] for model in range(20)}),
        pictures.coverage_curves({}),
        pictures.search("NDCG@10", {"linear": [0.1, 0.3, 0.2], "re-ranker": [0.25, 0.35]}, 0.15),
        pictures.search("NDCG@10", {}, 0.0),
        pictures.calibration(reliability(np.array([0.1, 0.5, 0.9]), np.array([0, 1, 1]))),
        pictures.calibration(reliability(np.zeros(3), np.zeros(3, dtype=int))),
    ]

    assert all(png.startswith(PNG) and len(png) > 1000 for png in drawn)


def test_a_plot_reaches_the_dagster_page_within_its_markdown() -> None:
    png = pictures.star_histogram([1, 1, 1, 1, 1])
    found = re.fullmatch(r"!\[plot\]\(data:image/png;base64,(.*)\)", pictures.embedded(png).md_str or "")

    assert found is not None
    assert base64.b64decode(found[1]) == png


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """What is drawn while the test runs, before it becomes pixels."""
    drawn: list[Figure] = []

    def keep(figure: Figure) -> bytes:
        drawn.append(figure)
        return b""

    monkeypatch.setattr(pictures, "_png", keep)
    return drawn


def test_the_best_model_is_on_top_and_ours_alone_in_colour(figures: list[Figure]) -> None:
    told = {"ours": (0.15, 0.14, 0.16), "best": (0.2, 0.1, 0.3), "worst": (0.1, 0.05, 0.2)}
    pictures.compared("Quality", "NDCG@10", told)
    axes = figures[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["worst", "ours", "best"]  # from the bottom up
    assert [bar.get_width() for bar in axes.patches] == [0.1, 0.15, 0.2]
    assert [to_hex(bar.get_facecolor()) == pictures.INK for bar in axes.patches] == [False, True, False]
    ends = [segment[:, 0].tolist() for segment in axes.collections[0].get_segments()]
    assert np.allclose(ends, [(0.05, 0.2), (0.14, 0.16), (0.1, 0.3)])
    assert [text.get_text() for text in axes.texts] == [".100", ".150", ".200"]


def test_a_gain_whose_sign_is_in_doubt_is_pale_and_every_part_says_how_many(figures: list[Figure]) -> None:
    parts = {"none": (0, UNKNOWN), "few": (12, (0.02, -0.03, 0.07)), "many": (1704, (0.04, 0.03, 0.05))}
    pictures.gains("Gains", "NDCG@10", parts)
    axes = figures[0].axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["none  (n = 0)", "few  (n = 12)", "many  (n = 1,704)"]
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in points] == [(0.02, 1), (0.04, 2)]
    assert [line.get_color() for line in points] == [pictures.QUIET, pictures.INK]
    assert axes.texts[0].get_text().strip() == "no reader"
    assert axes.yaxis_inverted()


def test_coverage_is_drawn_from_the_first_book_on(figures: list[Figure]) -> None:
    pictures.coverage_curves({"ours": [0.1, 0.3], "other": [0.2, 0.4]})
    lines = figures[0].axes[0].lines
    assert [line.get_xydata().tolist() for line in lines] == [[[1, 0.1], [2, 0.3]], [[1, 0.2], [2, 0.4]]]
    assert lines[0].get_color() == pictures.INK != lines[1].get_color()


def test_calibration_is_drawn_against_the_diagonal_and_tells_its_error(figures: list[Figure]) -> None:
    pictures.calibration(reliability(np.array([0.2] * 4), np.array([1, 0, 0, 1])), "probability of a click")
    axes = figures[0].axes[0]
    diagonal, points = axes.lines[:2]
    assert np.array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    assert points.get_xydata().tolist() == [[pytest.approx(0.2), 0.5]]
    assert "0.300" in axes.get_title(loc="left") + axes.get_title()
    assert axes.get_xlabel() == "predicted probability of a click"


def test_steps_stand_in_order_with_their_intervals_and_not_all_are_named(figures: list[Figure]) -> None:
    ours = [(0.1 + step / 100, 0.05, 0.3) for step in range(20)]
    pictures.steps(
        "Weeks", "NDCG@10", [f"week {step}" for step in range(20)], {"model": ours, "popularity": ours[::-1]}
    )
    axes = figures[0].axes[0]
    first, second = axes.lines[0].get_ydata(), axes.lines[3].get_ydata()
    assert np.allclose(first, [mean for mean, _, _ in ours])
    assert np.allclose(second, [mean for mean, _, _ in ours[::-1]])
    named = [label.get_text() for label in axes.get_xticklabels()]
    assert named[:2] == ["week 0", "week 2"]
    assert len(named) <= 10
