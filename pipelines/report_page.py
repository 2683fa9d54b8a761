"""One HTML file that says how good the recommendations are: for people, on any screen, without the internet."""

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path

from models.bundle import Json
from models.evaluation.bootstrap import Interval
from models.evaluation.calibration import Reliability
from models.evaluation.report import HEADLINE, YARDSTICK, Comparison
from pipelines import pictures, report_tables
from pipelines.report_tables import NAMES, signed, spelt, table

CSS = Path(__file__).with_name("report_page.css")

PROTOCOLS = {
    "P1": "each reader's latest ratings",
    "P2": "readers that the model never saw",
    "P3": "one clock for all",
}
GLOSSARY = {
    "NDCG@10": "How many of the first ten books the reader came to like, books near the top counting more, over the"
    " best that any list could have done. 0: none; 1: the ideal list.",
    "Recall@20": "The part of the books that the reader came to like which is among the first twenty.",
    "MAP@10, hit rate@10": "The mean precision at each hit; the share of readers with a hit among the first ten.",
    "Coverage@10": "The part of the library that somebody is shown among the first ten.",
    "Novelty@10": "How surprising a list is, in bits: 1 for books that half of the readers know, 10 for one in a"
    " thousand. Neither high nor low is good in itself.",
    "Authors@10, genre entropy@10": "Distinct authors in the first ten; how mixed its genres are, in bits.",
    "Interval": "The figures in brackets: with as many readers drawn anew, the mean would lie there in 95 of 100 cases"
    " (bootstrap over readers). A gain is paired, the same readers with both models; it is sure when its interval"
    " leaves out 0.",
    "P1": "Each reader's last fifth of ratings is the future, all before it is known.",
    "P2": "As P1, for readers of whom the model learned nothing: what a service meets every day.",
    "P2, 1 to 5 ratings": "As P2, at the moment when a reader has rated only a few books; the next ones are judged.",
    "P3": "One moment for all: what came before is known. Readers and books that came later are told apart.",
    "Liked": "Four stars or more. Every book that a reader had not rated is a candidate, and none is drawn by lot.",
}


@dataclass(frozen=True)
class BasketPick:
    """``because``: titles of the basket's books, with their shares (0..1) where the score has shares."""

    title: str
    author: str
    source: str
    because: Sequence[tuple[str, float | None]] = ()


@dataclass(frozen=True)
class Basket:
    """Some books as if a reader had rated them, oldest first: title and stars; and what they would be shown."""

    name: str
    books: Sequence[tuple[str, int]]
    picks: Sequence[BasketPick]


@dataclass(frozen=True)
class Content:
    """What the page tells.

    Attributes:
        made_at: Aware.
        comparisons: One a protocol, the headline's first; at least one. Names of models are ours.
        baskets: Books, never accounts.
        recipe: Parameters of what is judged.
        data: Facts of the data, in the order given.
        calibration: What is predicted (``probability of a click``) to how it turned out.
    """

    made_at: datetime
    comparisons: Sequence[Comparison]
    baskets: Sequence[Basket] = ()
    recipe: Mapping[str, Json] | None = None
    data: Mapping[str, str | int | float] | None = None
    calibration: Mapping[str, Reliability] | None = None


def write(path: Path, content: Content) -> Path:
    """The page at ``path``, whole or not at all; folders are made.

    Raises:
        OSError: It cannot be written there.
    """
    page = render(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_text(page, encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return path


def render(content: Content) -> str:
    """The page. No scripts, nothing from outside: it may be sent by mail and opened anywhere."""
    sections = {
        "The headline": ("headline", _headline(content.comparisons[0])),
        **{
            _titled(found.protocol): (f"protocol-{number}", _protocol(found))
            for number, found in enumerate(content.comparisons, 1)
        },
        "Pictures": ("pictures", _pictures(content)),
        "What the lists look like": ("baskets", _baskets(content.baskets)),
        "Recipe": ("recipe", _facts("Parameters of the model that is judged.", content.recipe)),
        "Data": ("data", _facts("What was learned from, and what was judged by.", content.data)),
        "How to read this": ("reading", _glossary()),
    }
    shown = {title: (at, body) for title, (at, body) in sections.items() if body}
    links = "".join(f'<li><a href="#{at}">{escape(title)}</a></li>' for title, (at, _) in shown.items())
    parts = "".join(
        f'<section id="{at}" aria-labelledby="{at}-title"><h2 id="{at}-title">{escape(title)}</h2>{body}</section>'
        for title, (at, body) in shown.items()
    )
    made = content.made_at
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>How good the recommendations are</title><style>{CSS.read_text(encoding='utf-8')}</style></head><body>"
        '<a class="skip" href="#headline">To the headline</a>'
        "<header><h1>How good the recommendations are</h1>"
        f'<p class="quiet">{escape(content.comparisons[0].ours)}, measured on <time datetime="{made.isoformat()}">'
        f"{made:%d %B %Y, %H:%M %Z}</time></p>"
        f'<nav aria-label="Contents"><ul>{links}</ul></nav></header><main>{parts}</main></body></html>\n'
    )


def _titled(protocol: str) -> str:
    return f"{protocol}: {PROTOCOLS[protocol]}" if protocol in PROTOCOLS else protocol


def _headline(found: Comparison) -> str:
    ours, rival = found.models[found.ours], found.strongest_rival
    cards = [_card(f"{NAMES[name]}, {found.protocol}", ours.intervals[name]) for name in (HEADLINE, "recall_at_20")]
    said = f"<strong>{escape(found.ours)}</strong> was judged by what {len(found.readers):,} readers came to like"
    if rival is not None:
        gain = found.gains[rival][HEADLINE]
        cards.append(_card(f"gain over {rival}", gain, gained=True))
        better = "better than" if gain.low > 0 else "worse than" if gain.high < 0 else "not surely different from"
        said += f"; it is {better} <strong>{escape(rival)}</strong>"
        said += f", the strongest of {len(found.rivals)} others" if len(found.rivals) > 1 else ""
    if YARDSTICK in found.gains:
        base = found.models[YARDSTICK].intervals[HEADLINE].mean
        times = f"{ours.intervals[HEADLINE].mean / base:.1f} times" if base > 0 else "n/a"
        cards.append(_plain_card(f"{NAMES[HEADLINE]} of popularity", times, f"popularity reaches {spelt(base)}"))
    cards.append(_plain_card("of the library shown in first tens", f"{ours.coverage:.0%}", "coverage@10"))
    return f'<p>{said}.</p><dl class="cards">{"".join(cards)}</dl>'


def _card(name: str, told: Interval, *, gained: bool = False) -> str:
    mean, low, high = (signed(value) if gained else spelt(value) for value in told)
    return _plain_card(name, mean, f"95 % interval {low} to {high}")


def _plain_card(name: str, value: str, small: str) -> str:
    return (
        f'<div class="card"><dt>{escape(name)}</dt><dd><span class="figure">{escape(value)}</span>'
        f'<span class="range">{escape(small)}</span></dd></div>'
    )


def _protocol(found: Comparison) -> str:
    parts = [report_tables.models(found), report_tables.gains(found), report_tables.slices(found)]
    if found.newcomers is not None:
        new = found.newcomers
        parts.append(f"<h3>{len(new.readers):,} readers of whom nothing was known</h3>")
        parts += [report_tables.models(new), report_tables.gains(new)]
    counts = ", ".join(f"{name} {count:,}" for name, count in found.counts.items())
    return "".join(parts) + f'<p class="quiet">{escape(counts)}.</p>'


def _pictures(content: Content) -> str:
    shown: list[tuple[bytes, str]] = []
    for found in content.comparisons:
        shown += drawn(found)
    for what, turned_out in (content.calibration or {}).items():
        said = f"Predicted {what} against how often it happened; the expected calibration error is"
        shown.append((pictures.calibration(turned_out, what), f"{said} {turned_out.error:.3f}."))
    return f'<div class="pictures">{"".join(_picture(png, said) for png, said in shown)}</div>'


def drawn(found: Comparison) -> list[tuple[bytes, str]]:
    """The pictures of one comparison as PNG, each with the sentence that says what is on it."""
    readers = f"{found.protocol}, {len(found.readers):,} readers"
    told = {name: quality.intervals[HEADLINE] for name, quality in found.models.items()}
    order = ", ".join(f"{name} {spelt(mean)}" for name, (mean, _, _) in sorted(told.items(), key=lambda m: -m[1][0]))
    shown = [
        (pictures.compared(f"Quality on later ratings ({readers})", NAMES[HEADLINE], told), f"{readers}: {order}.")
    ]
    rival = found.strongest_rival
    if rival is not None:
        parts = {s.name: (s.n, s.gains[rival][HEADLINE]) for s in found.slices if s.kind == "history"}
        title, unit = f"{found.protocol}: gain over {rival}", f"{NAMES[HEADLINE]}, ours minus {rival}"
        said = f"{found.protocol}: gain over {rival} by how many ratings were known of a reader, with 95 % intervals."
        shown.append((pictures.gains(title, unit, parts), said))
    curves = {name: quality.coverage_curve.tolist() for name, quality in found.models.items()}
    said = f"{found.protocol}: the share of the library that somebody is shown as lists grow from 1 to 50 books."
    return [*shown, (pictures.coverage_curves(curves), said)]


def _picture(png: bytes, said: str) -> str:
    data = base64.b64encode(png).decode()
    return (
        f'<figure><img alt="{escape(said)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(said)}</figcaption></figure>"
    )


def _baskets(baskets: Sequence[Basket]) -> str:
    if not baskets:
        return ""
    intro = "<p>Baskets of books, as if a reader had rated them in this order, and what that reader would be shown.</p>"
    return f'{intro}<div class="baskets">{"".join(map(_basket, baskets))}</div>'


def _basket(basket: Basket) -> str:
    books = ", ".join(f"{escape(title)} ({stars} of 5)" for title, stars in basket.books)
    picks = "".join(map(_pick, basket.picks)) or "<li>nothing</li>"
    return (
        f'<article class="basket"><h3>{escape(basket.name)}</h3><p class="quiet">Rated: {books}.</p>'
        f"<ol>{picks}</ol></article>"
    )


def _pick(pick: BasketPick) -> str:
    reasons = ", ".join(escape(title) + (f" {share:.0%}" if share is not None else "") for title, share in pick.because)
    why = f'<span class="why">because of {reasons}</span>' if reasons else ""
    return (
        f"<li><strong>{escape(pick.title)}</strong>, {escape(pick.author)}"
        f' <span class="source">{escape(pick.source)}</span>{why}</li>'
    )


def _facts(caption: str, facts: Mapping[str, Json] | Mapping[str, str | int | float] | None) -> str:
    if not facts:
        return ""
    return table(caption, ["", ""], [("", name, [escape(_told(value))]) for name, value in facts.items()])


def _told(value: object) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else json.dumps(value)


def _glossary() -> str:
    terms = "".join(f"<dt>{escape(term)}</dt><dd>{escape(meaning)}</dd>" for term, meaning in GLOSSARY.items())
    return f'<dl class="terms">{terms}</dl>'
