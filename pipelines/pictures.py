"""Plots as PNG bytes, drawn without a display and without pyplot's global state."""

import base64
import datetime as dt
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np

from models.evaluation.calibration import Reliability
from pipelines.report_tables import spelt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, TEXT, GRID = "#2b5c8a", "#b9c4cf", "#3c4650", "#e6eaee"
RIVALS = ("#c17f3a", "#5f8f6b", "#8b6aa8", "#a8575f", "#6f7d8a", "#9a8f3f", "#4d9aa3", "#b58aa0")
"""Of the other models, where several lines must be told apart."""
ROW = 0.34  # inches of height that a horizontal bar takes

Bounds = tuple[float, float, float]
"""Mean, and the ends of its 95 % interval."""


def _canvas(title: str, xlabel: str, ylabel: str, height: float = 3.0) -> tuple["Figure", "Axes"]:
    # Matplotlib takes seconds to import, which a page that only shows assets need not wait for.
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    style: dict[Any, Any] = {  # the stubs list every key as a type of its own
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": QUIET,
        "axes.labelcolor": TEXT,
        "axes.titlecolor": TEXT,
        "axes.titlelocation": "left",
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.axisbelow": True,
        "xtick.color": TEXT,
        "ytick.color": TEXT,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(6.0, height), dpi=144, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    return figure, axes


def _png(figure: "Figure") -> bytes:
    written = io.BytesIO()
    figure.savefig(written, format="png")
    return written.getvalue()


def star_histogram(counts: Sequence[int]) -> bytes:
    """How many ratings have 1, 2, 3, 4 and 5 stars."""
    figure, axes = _canvas("Ratings by stars", "stars", "ratings")
    axes.bar(range(1, 6), counts, color=INK)
    return _png(figure)


def activity(days: Sequence[dt.date], counts: Sequence[int]) -> bytes:
    """Ratings of each day; days without any may be missing."""
    figure, axes = _canvas("Ratings a day", "", "ratings")
    axes.vlines(np.array(days, "datetime64[D]"), 0, counts, color=INK, linewidth=0.6)
    axes.set_ylim(bottom=0)
    return _png(figure)


def shrinkage(means: Sequence[float], shrunken: Sequence[float], prior_mean: float) -> bytes:
    """Each rated book: its plain mean against what is believed of it."""
    figure, axes = _canvas("Means and what is believed", "plain mean", "shrunken mean")
    axes.plot((1, 5), (1, 5), color=QUIET, linewidth=1)
    axes.axhline(prior_mean, color=QUIET, linewidth=1, linestyle="--")
    axes.scatter(means, shrunken, s=4, alpha=0.4, color=INK, linewidths=0)
    return _png(figure)


def compared(title: str, unit: str, intervals: Mapping[str, Bounds], ours: str | None = None) -> bytes:
    """Horizontal bars with 95 % intervals, the best on top, ours in colour.

    Args:
        title: Above the plot.
        unit: Of the values, ≥ 0.
        intervals: Name to mean and ends.
        ours: The name to be highlighted; the first when None.
    """
    figure, axes = _canvas(title, unit, "", height=1.1 + ROW * len(intervals))
    highlighted = ours if ours is not None else next(iter(intervals), None)
    rows = sorted(intervals.items(), key=lambda row: row[1][0])
    means, errors = _errors([bounds for _, bounds in rows])
    colours = [INK if name == highlighted else QUIET for name, _ in rows]
    axes.barh([name for name, _ in rows], means, height=0.62, color=colours)
    axes.errorbar(means, range(len(rows)), xerr=errors, fmt="none", ecolor=TEXT, elinewidth=1, capsize=3)
    widest = max((high for _, _, high in intervals.values()), default=0.0) or 1.0
    for place, (name, (mean, _, high)) in enumerate(rows):
        axes.text(
            high + 0.012 * widest,
            place,
            spelt(mean),
            va="center",
            color=TEXT,
            fontsize=9,
            fontweight="bold" if name == highlighted else "normal",
        )
    axes.set_xlim(0, widest * 1.12)
    axes.grid(axis="x", color=GRID)
    axes.tick_params(axis="y", length=0)
    return _png(figure)


def gains(title: str, unit: str, parts: Mapping[str, tuple[int, Bounds]]) -> bytes:
    """How much better we are in each part of the readers, with 95 % intervals and a line at no gain.

    Args:
        title: Above the plot.
        unit: Of the gains.
        parts: Name to the number of readers and the gain; the order is kept, top to bottom, and a part of no reader
            keeps its row.
    """
    figure, axes = _canvas(title, unit, "", height=1.1 + ROW * len(parts))
    axes.axvline(0, color=TEXT, linewidth=1)
    for row, (_, bounds) in enumerate(parts.values()):
        if np.isfinite(bounds).all():
            mean, error = _errors([bounds])
            surely = INK if bounds[1] > 0 or bounds[2] < 0 else QUIET  # pale where the sign itself is in doubt
            axes.errorbar(mean, [row], xerr=error, fmt="o", color=surely, ecolor=surely, capsize=3, markersize=5)
        else:
            axes.text(0, row, " no reader", va="center", color=TEXT, fontsize=9, fontstyle="italic")
    labels = [f"{name}  (n = {n:,})" for name, (n, _) in parts.items()]
    axes.set_yticks(range(len(parts)), labels)
    axes.set_ylim(max(len(parts), 1) - 0.5, -0.5)
    axes.grid(axis="x", color=GRID)
    axes.tick_params(axis="y", length=0)
    return _png(figure)


def coverage_curves(curves: Mapping[str, Sequence[float]], ours: str | None = None) -> bytes:
    """Share of the library that somebody is shown, as lists grow.

    Args:
        curves: Name to the share at k = 1, 2, 3 …
        ours: The name to be highlighted; the first when None.
    """
    figure, axes = _canvas("Share of the library that somebody is shown", "books in each list", "share of all books")
    highlighted = ours if ours is not None else next(iter(curves), None)
    rivals = iter(RIVALS * (len(curves) // len(RIVALS) + 1))
    for name, curve in curves.items():
        mine = name == highlighted
        colour = INK if mine else next(rivals)
        axes.plot(
            range(1, len(curve) + 1),
            curve,
            label=name,
            color=colour,
            linewidth=2.4 if mine else 1.2,
            zorder=3 if mine else 2,
        )
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g} %")
    axes.grid(color=GRID)
    if curves:
        axes.legend(frameon=False, fontsize=8, labelcolor=TEXT, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _png(figure)


def calibration(found: Reliability, what: str = "probability") -> bytes:
    """What was predicted against what happened; on the diagonal the two agree.

    Args:
        found: Groups of predictions.
        what: Is predicted, e.g. ``probability of a click``.
    """
    figure, axes = _canvas(
        f"Calibration: off by {found.error:.3f} on average", f"predicted {what}", "how often it happened", height=3.6
    )
    end = float(max(found.predicted.max(), found.high.max())) * 1.05 or 1.0
    axes.plot((0, end), (0, end), color=QUIET, linewidth=1, linestyle="--", label="perfect")
    axes.errorbar(
        found.predicted,
        found.observed,
        # Rounding may put an end of the interval a hair on the wrong side of the share.
        yerr=(np.maximum(found.observed - found.low, 0), np.maximum(found.high - found.observed, 0)),
        fmt="o-",
        color=INK,
        linewidth=1,
        capsize=3,
        markersize=4,
        label=f"{int(found.n.sum()):,} predictions",
    )
    axes.set(xlim=(0, end), ylim=(0, end))
    axes.grid(color=GRID)
    axes.legend(frameon=False, fontsize=8, labelcolor=TEXT, loc="upper left")
    return _png(figure)


def search(unit: str, stages: Mapping[str, Sequence[float]], baseline: float) -> bytes:
    """What was tried, one dot a trial, and the best so far of each stage.

    Args:
        unit: Of the scores.
        stages: Name to the scores, in order; drawn one after the other.
        baseline: What there was, a dashed line.
    """
    figure, axes = _canvas("What was tried", "trial", unit)
    axes.axhline(baseline, color=TEXT, linewidth=1, linestyle="--", label="before")
    begin = 1
    for (stage, scores), colour in zip(stages.items(), (QUIET, INK, *RIVALS), strict=False):
        places = range(begin, begin + len(scores))
        axes.scatter(places, scores, s=14, color=colour, linewidths=0)
        axes.step(places, np.maximum.accumulate(scores), where="post", color=colour, linewidth=1.6, label=stage)
        begin += len(scores)
    axes.grid(axis="y", color=GRID)
    axes.legend(frameon=False, fontsize=8, labelcolor=TEXT, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _png(figure)


def steps(title: str, unit: str, labels: Sequence[str], lines: Mapping[str, Sequence[Bounds]]) -> bytes:
    """One value a step for each of some, with 95 % intervals; the first is ours.

    Args:
        title: Above the plot.
        unit: Of the values.
        labels: Of the steps, in order.
        lines: Name to as many values as there are labels.
    """
    figure, axes = _canvas(title, "", unit)
    for (name, bounds), colour in zip(lines.items(), (INK, *RIVALS), strict=False):
        means, errors = _errors(bounds)
        axes.errorbar(
            range(len(labels)), means, yerr=errors, fmt="o-", color=colour, capsize=3, markersize=4, label=name
        )
    shown = range(0, len(labels), max(1, len(labels) // 8))  # more would lie upon each other
    axes.set_xticks(list(shown), [labels[place] for place in shown])
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=GRID)
    axes.legend(frameon=False, fontsize=8, labelcolor=TEXT)
    return _png(figure)


def _errors(bounds: Sequence[Bounds]) -> tuple[list[float], tuple[list[float], list[float]]]:
    means = [mean for mean, _, _ in bounds]
    below = [max(mean - low, 0.0) for mean, low, _ in bounds]
    above = [max(high - mean, 0.0) for mean, _, high in bounds]
    return means, (below, above)


def embedded(png: bytes) -> dg.MarkdownMetadataValue:
    """For the Dagster page, which shows pictures in Markdown."""
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(png).decode()})")
