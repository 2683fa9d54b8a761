"""The tables of the report page: models, gains and slices of one comparison."""

import math
from collections.abc import Sequence
from html import escape

from models.evaluation.bootstrap import Interval
from models.evaluation.report import HEADLINE, YARDSTICK, Comparison
from models.evaluation.slices import Slice

NAMES = {
    "ndcg_at_10": "NDCG@10",
    "ndcg_at_20": "NDCG@20",
    "recall_at_20": "Recall@20",
    "map_at_10": "MAP@10",
    "hit_rate_at_10": "hit rate@10",
    "novelty_at_10": "novelty@10, bits",
    "authors_at_10": "authors@10",
    "genre_entropy_at_10": "genre entropy@10, bits",
}
BETTER_IF_HIGHER = frozenset({"ndcg_at_10", "ndcg_at_20", "recall_at_20", "map_at_10", "hit_rate_at_10"})
"""The others describe lists: more of them is neither good nor bad in itself."""
KINDS = {
    "history": ("By ratings known of the reader", "readers"),
    "genre": ("By genre of the book", "readers who liked one"),
    "age": ("By age of the book", "readers who liked one"),
    "newness": ("New books", "readers who liked one"),
}

Row = tuple[str, str, Sequence[str]]
"""Class of the row, its head as text, its cells as HTML."""


def table(caption: str, head: Sequence[str], rows: Sequence[Row]) -> str:
    """An HTML table that scrolls by itself on a small screen; the first column heads its rows.

    Args:
        caption: Says what it shows, as text.
        head: One a column, as text; all empty for a table without a head.
        rows: Each with one cell less than ``head``.
    """
    columns = "".join(f'<th scope="col">{escape(name)}</th>' if name else "<td></td>" for name in head)
    body = "".join(
        (f'<tr class="{kind}">' if kind else "<tr>")
        + f'<th scope="row">{escape(name)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for kind, name, cells in rows
    )
    heads = f"<thead><tr>{columns}</tr></thead>" if any(head) else ""
    label = escape(caption)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">'
        f"<table><caption>{label}</caption>{heads}<tbody>{body}</tbody></table></div>"
    )


def models(found: Comparison) -> str:
    """One row a model, best first, ours highlighted, the best of each column in bold."""
    ranked = sorted(found.models.items(), key=lambda model: -model[1].intervals[HEADLINE].mean)
    metrics = list(found.models[found.ours].intervals)
    best = {metric: max(quality.intervals[metric].mean for _, quality in ranked) for metric in metrics}
    rows = []
    for name, quality in ranked:
        cells = [
            _cell(told, bold=metric in BETTER_IF_HIGHER and told.mean == best[metric])
            for metric, told in quality.intervals.items()
        ]
        rows.append(("ours" if name == found.ours else "", name, [*cells, f"{quality.coverage:.1%}"]))
    caption = f"{found.protocol}: {len(found.readers):,} readers, means with 95 % intervals; the best in bold"
    return table(caption, ["model", *(NAMES.get(m, m) for m in metrics), "coverage@10"], rows)


def gains(found: Comparison) -> str:
    """Ours minus each other, the strongest first; nothing when ours is alone."""
    if not found.gains:
        return ""
    metrics = [metric for metric in found.models[found.ours].intervals if metric in BETTER_IF_HIGHER]
    ranked = sorted(found.gains.items(), key=lambda gain: gain[1][HEADLINE].mean)
    rows = [("", name, [gain_cell(gain[metric]) for metric in metrics]) for name, gain in ranked]
    caption = f"{found.protocol}: {found.ours} minus each other model, the same readers paired, with 95 % intervals"
    return table(caption, [f"{found.ours} minus", *(NAMES.get(m, m) for m in metrics)], rows)


def slices(found: Comparison) -> str:
    """One table a kind of slice, folded away but for the first."""
    shown: list[str] = []
    for kind, (title, counted) in KINDS.items():
        parts = [part for part in found.slices if part.kind == kind]
        if parts:
            opened = "" if shown else " open"
            body = _sliced(found, f"{found.protocol}: {title[0].lower()}{title[1:]}", counted, parts)
            shown.append(f"<details{opened}><summary>{title}</summary>{body}</details>")
    return f"<h3>For whom, and for which books</h3>{''.join(shown)}" if shown else ""


def _sliced(found: Comparison, caption: str, counted: str, parts: Sequence[Slice]) -> str:
    ours, rival = found.ours, found.strongest_rival
    others = [name for name in dict.fromkeys((rival, YARDSTICK)) if name in found.models and name != ours]
    head = ["", counted, f"{ours}: NDCG@10", "Recall@20", *(f"{name}: NDCG@10" for name in others)]
    rows = []
    for part in parts:
        mine = part.intervals[ours]
        cells = [f"{part.n:,}", _cell(mine[HEADLINE]), _cell(mine["recall_at_20"])]
        cells += [_cell(part.intervals[name][HEADLINE]) for name in others if name is not None]
        rows.append(("", part.name, [*cells, *([gain_cell(part.gains[rival][HEADLINE])] if rival else [])]))
    return table(caption, [*head, *([f"gain over {rival}"] if rival else [])], rows)


def spelt(value: float) -> str:
    """As papers print it: ``.172``; two decimals from 1 on, ``n/a`` for what nobody measured."""
    if math.isnan(value):
        return "n/a"
    value = round(value, 3) + 0.0  # no minus before a zero
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}".replace("0.", ".", 1)


def signed(value: float) -> str:
    return f"+{spelt(value)}" if round(value, 3) >= 0 else spelt(value)


def _cell(told: Interval, *, bold: bool = False) -> str:
    mean = f"<b>{spelt(told.mean)}</b>" if bold else spelt(told.mean)
    return (
        mean if math.isnan(told.mean) else f'{mean}<span class="range">[{spelt(told.low)}, {spelt(told.high)}]</span>'
    )


def gain_cell(told: Interval) -> str:
    """Coloured where the sign is sure; the interval beside it says so without colours."""
    if math.isnan(told.mean):
        return "n/a"
    bounds = f'<span class="range">[{signed(told.low)}, {signed(told.high)}]</span>'
    if told.low > 0:
        return f'<span class="up">{signed(told.mean)}</span>{bounds}'
    if told.high < 0:
        return f'<span class="down">{signed(told.mean)}</span>{bounds}'
    return f"{signed(told.mean)}{bounds}"
