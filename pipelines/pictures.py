"""Plots as PNG bytes, drawn without a display and without pyplot's global state."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET = "#2b5c8a", "#b9c4cf"


def _canvas(title: str, xlabel: str, ylabel: str) -> tuple["Figure", "Axes"]:
    # Matplotlib takes seconds to import, which a page that only shows assets need not wait for.
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(5.2, 3.0), dpi=110, layout="constrained")
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


def shrinkage(means: Sequence[float], shrunken: Sequence[float], prior_mean: float) -> bytes:
    """Each rated book: its plain mean against what is believed of it."""
    figure, axes = _canvas("Means and what is believed", "plain mean", "shrunken mean")
    axes.plot((1, 5), (1, 5), color=QUIET, linewidth=1)
    axes.axhline(prior_mean, color=QUIET, linewidth=1, linestyle="--")
    axes.scatter(means, shrunken, s=4, alpha=0.4, color=INK, linewidths=0)
    return _png(figure)


def compared(title: str, unit: str, intervals: Mapping[str, tuple[float, float, float]]) -> bytes:
    """Bars with 95 % intervals: name → (value, low, high)."""
    figure, axes = _canvas(title, "", unit)
    values = [value for value, _, _ in intervals.values()]
    below = [value - low for value, low, _ in intervals.values()]
    above = [high - value for value, _, high in intervals.values()]
    axes.bar(list(intervals), values, yerr=(below, above), capsize=4, color=INK, ecolor="#444444")
    axes.set_ylim(bottom=0)
    return _png(figure)


def embedded(png: bytes) -> dg.MarkdownMetadataValue:
    """For the Dagster page, which shows pictures in Markdown."""
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(png).decode()})")
