import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from models.evaluation.bootstrap import UNKNOWN, Interval
from models.evaluation.calibration import reliability
from models.evaluation.report import Comparison, Quality
from models.evaluation.slices import Slice
from pipelines import report_page, report_tables
from pipelines.report_page import Basket, BasketPick, Content, drawn, render, write

METRICS = ("ndcg_at_10", "ndcg_at_20", "recall_at_20", "map_at_10", "hit_rate_at_10", "novelty_at_10", "authors_at_10")
VOID = {"meta", "img", "br", "link"}


def quality(mean: float) -> Quality:
    told = {metric: Interval(mean, mean - 0.01, mean + 0.01) for metric in METRICS}
    curve = np.linspace(mean / 10, mean, 50)
    return Quality({}, told, float(curve[9]), curve, np.zeros((0, 50), dtype=np.int32))


def compared(protocol: str = "P1", newcomers: Comparison | None = None) -> Comparison:
    """Ours .172, an item-kNN called <kNN> .148, popularity .046."""
    means = {"ours": 0.172, "<kNN>": 0.148, "popularity": 0.046}
    gains = {
        name: {metric: Interval(0.172 - mean, 0.162 - mean, 0.182 - mean) for metric in METRICS}
        for name, mean in means.items()
        if name != "ours"
    }
    of_slice = {name: {metric: Interval(mean, mean, mean) for metric in METRICS} for name, mean in means.items()}
    unknown = {name: dict.fromkeys(METRICS, UNKNOWN) for name in means}
    return Comparison(
        protocol=protocol,
        readers=np.arange(2298),
        models={name: quality(mean) for name, mean in means.items()},
        gains=gains,
        slices=(
            Slice("history", "1 to 5", 0, unknown, unknown),
            Slice("history", "6 to 20", 12, of_slice, gains),
            Slice("genre", "Crime & mystery", 700, of_slice, gains),
        ),
        newcomers=newcomers,
        counts={"ratings to learn from": 206_218, "new books": 123},
    )


@pytest.fixture(scope="module")
def content() -> Content:
    rng = np.random.default_rng(0)
    predicted = rng.beta(1, 9, size=500)
    picks = (
        BasketPick("Catching Fire", "Suzanne Collins", "taste", (("The Hunger Games", 0.62), ("Divergent", None))),
        BasketPick("<script>alert(1)</script>", "A & B", "popular"),
    )
    return Content(
        made_at=datetime(2026, 3, 4, 5, 6, tzinfo=UTC),
        comparisons=(compared(), compared("P3", newcomers=replace(compared("P3"), readers=np.arange(191)))),
        baskets=(Basket("Young adult", (("The Hunger Games", 5), ("Divergent", 4)), picks), Basket("Empty", (), ())),
        recipe={"ridge": 80.0, "stars": [0, 0.1, 0.4, 1, 1.5], "kernel": True},
        data={"ratings": 256_649, "from": "2025-01-01"},
        calibration={"probability of a click": reliability(predicted, rng.random(500) < predicted)},
    )


@pytest.fixture(scope="module")
def page(content: Content) -> str:
    return render(content)


class Seen(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def attributes(self, name: str) -> list[str | None]:
        return [attrs[name] for _, attrs in self.tags if name in attrs]


def test_every_tag_is_closed_where_it_was_opened(page: str) -> None:
    assert Seen(page).open == []
    assert page.startswith("<!DOCTYPE html>")


def test_nothing_comes_from_outside_and_nothing_runs(page: str) -> None:
    seen = Seen(page)
    assert all(source and source.startswith("data:image/png;base64,") for source in seen.attributes("src"))
    assert all(link and link.startswith("#") for link in seen.attributes("href"))
    assert "script" not in {tag for tag, _ in seen.tags}
    assert not re.search(r"@import|url\(|https?:", page)


def test_it_can_be_read_without_seeing_it(page: str) -> None:
    seen = Seen(page)
    kinds = Counter(tag for tag, _ in seen.tags)
    assert kinds["h1"] == kinds["main"] == 1
    assert next(attrs["lang"] for tag, attrs in seen.tags if tag == "html") == "en"
    assert kinds["img"] == 7  # three of each protocol, one of calibration
    assert all(attrs.get("alt") for tag, attrs in seen.tags if tag == "img")
    assert kinds["caption"] == kinds["table"]
    assert all(attrs.get("scope") in {"col", "row"} for tag, attrs in seen.tags if tag == "th")
    ids = [one for one in seen.attributes("id") if one]
    assert len(ids) == len(set(ids))
    targets = {link.removeprefix("#") for link in seen.attributes("href") if link}
    assert targets | {one for one in seen.attributes("aria-labelledby") if one} <= set(ids)
    levels = [int(tag[1]) for tag, _ in seen.tags if re.fullmatch("h[1-6]", tag)]
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_it_is_light_and_dark_and_fits_a_telephone(page: str) -> None:
    assert "prefers-color-scheme: dark" in page
    assert "color-scheme: light dark" in page
    assert "width=device-width" in page


def test_the_headline_has_the_figures_with_their_intervals(page: str) -> None:
    head = page[page.index('id="headline"') : page.index('id="protocol-1"')]
    assert ">.172<" in head
    assert "95 % interval .162 to .182" in head
    assert "3.7 times" in head
    assert "it is better than <strong>&lt;kNN&gt;</strong>, the strongest of 2 others" in head
    assert ">+.024<" in head
    assert "95 % interval +.014 to +.034" in head


@pytest.mark.parametrize(
    ("gain", "said"),
    [((-0.02, -0.03, -0.01), "worse than"), ((0.01, -0.01, 0.03), "not surely different from")],
)
def test_the_headline_does_not_claim_what_the_interval_does_not_say(
    gain: tuple[float, float, float], said: str
) -> None:
    found = compared()
    gains = {**found.gains, "<kNN>": {**found.gains["<kNN>"], "ndcg_at_10": Interval(*gain)}}
    page = render(Content(datetime(2026, 1, 1, tzinfo=UTC), [replace(found, gains=gains)]))
    assert f"it is {said} <strong>&lt;kNN&gt;" in page


def test_every_row_has_the_cells_that_its_head_has(page: str) -> None:
    widths = [len(row) for row in Seen(page).rows]
    head = next(number for number, row in enumerate(Seen(page).rows) if row[0] == "model")
    assert widths[head : head + 4] == [len(METRICS) + 2] * 4
    assert [row[0] for row in Seen(page).rows[head + 1 : head + 4]] == ["ours", "<kNN>", "popularity"]


def test_small_and_empty_slices_are_told_with_their_numbers(page: str) -> None:
    rows = Seen(page).rows
    assert ["1 to 5", "0", "n/a", "n/a", "n/a", "n/a", "n/a"] in rows
    assert next(row for row in rows if row[0] == "6 to 20")[1:3] == ["12", ".172[.172, .172]"]
    assert next(row for row in rows if row[0] == "Crime & mystery")[1] == "700"


def test_new_readers_are_shown_apart(page: str) -> None:
    assert page.count("readers of whom nothing was known") == 1
    assert "191 readers of whom nothing was known" in page


def test_what_the_data_say_cannot_become_markup(page: str) -> None:
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_baskets_show_picks_with_their_source_and_reasons(page: str) -> None:
    assert "because of The Hunger Games 62%, Divergent<" in page
    assert "The Hunger Games (5 of 5), Divergent (4 of 5)" in page
    assert '<span class="source">popular</span></li>' in page
    assert "<li>nothing</li>" in page


def test_recipe_and_data_are_told(page: str) -> None:
    rows = Seen(page).rows
    assert ["stars", "[0, 0.1, 0.4, 1, 1.5]"] in rows
    assert ["kernel", "true"] in rows
    assert ["ratings", "256,649"] in rows


def test_what_is_not_there_leaves_no_empty_section() -> None:
    alone = replace(compared(), models={"ours": quality(0.1)}, gains={}, slices=())
    page = render(Content(datetime(2026, 1, 1, tzinfo=UTC), [alone]))
    for section in ("baskets", "recipe", "data"):
        assert f'"{section}"' not in page
    assert 'id="reading"' in page
    assert Seen(page).open == []
    assert len(drawn(alone)) == 2


def test_the_page_is_written_whole_or_not_at_all(
    content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_page, "render", lambda told: f"{told.comparisons[0].protocol} <é>")
    path = tmp_path / "new" / "report.html"
    assert write(path, content) == path
    assert path.read_text(encoding="utf-8") == "P1 <é>"
    monkeypatch.setattr(report_page, "render", lambda _told: "newer")

    def broken(_self: Path, _target: Path) -> Path:
        raise OSError("no room")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(OSError, match="no room"):
        write(path, content)
    assert [found.name for found in path.parent.iterdir()] == ["report.html"]
    assert path.read_text(encoding="utf-8") == "P1 <é>"


@pytest.mark.parametrize(
    ("value", "spelt", "signed"),
    [
        (0.1724, ".172", "+.172"),
        (-0.0519, "-.052", "-.052"),
        (0.0, ".000", "+.000"),
        (-0.0002, ".000", "+.000"),
        (0.9996, "1.00", "+1.00"),
        (7.671, "7.67", "+7.67"),
        (float("nan"), "n/a", "n/a"),
    ],
)
def test_figures_are_spelt_as_papers_print_them(value: float, spelt: str, signed: str) -> None:
    assert report_tables.spelt(value) == spelt
    assert report_tables.signed(value) == signed


def test_only_a_sure_gain_is_coloured() -> None:
    assert 'class="up"' in report_tables.gain_cell(Interval(0.2, 0.1, 0.3))
    assert 'class="down"' in report_tables.gain_cell(Interval(-0.2, -0.3, -0.1))
    assert 'class="up"' not in report_tables.gain_cell(Interval(0.2, -0.1, 0.5))
    assert 'class="down"' not in report_tables.gain_cell(Interval(-0.2, -0.5, 0.1))
