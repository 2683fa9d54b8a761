import base64
import re

from pipelines import pictures

PNG = b"\x89PNG\r\n\x1a\n"


def test_every_plot_is_a_png_whatever_it_is_given() -> None:
    drawn = [
        pictures.star_histogram([0, 0, 0, 0, 0]),
        pictures.star_histogram([1, 2, 3, 4, 5]),
        pictures.shrinkage([], [], 3.0),
        pictures.shrinkage([1.0, 5.0], [2.0, 4.0], 3.5),
        pictures.compared("Quality", "NDCG@10", {"model": (0.2, 0.1, 0.3), "popularity": (0.0, 0.0, 0.0)}),
    ]

    assert all(png.startswith(PNG) and len(png) > 1000 for png in drawn)


def test_a_plot_reaches_the_dagster_page_within_its_markdown() -> None:
    png = pictures.star_histogram([1, 1, 1, 1, 1])
    found = re.fullmatch(r"!\[plot\]\(data:image/png;base64,(.*)\)", pictures.embedded(png).md_str or "")

    assert found is not None
    assert base64.b64decode(found[1]) == png
