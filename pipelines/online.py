"""The online comparison as text: one row a model version and source."""

import math
from collections.abc import Sequence

from data.online import Shown
from models.evaluation.bootstrap import Interval
from models.evaluation.proportion import wilson

HEAD = ("model", "source", "pages", "picks", "clicks", "dismissed", "click-through", "rated in 30 days", "4+ stars")


def table(rows: Sequence[Shown]) -> str:
    """Aligned columns; shares with Wilson's 95 % interval.

    Picks of one reader count as independent, so that the true intervals are somewhat wider.
    """
    cells = [HEAD, *map(_row, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)  # noqa: PLR2004 - names left, numbers right
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def _row(row: Shown) -> tuple[str, ...]:
    return (
        f"{row.model_name} {row.model_version}" if row.model_name is not None else "-",
        row.source,
        f"{row.pages:,}",
        f"{row.picks:,}",
        f"{row.clicks:,}",
        f"{row.dismisses:,}",
        _share(wilson(row.clicks, row.picks)),
        _share(wilson(row.rated, row.settled)),
        _share(wilson(row.liked, row.settled)),
    )


def _share(told: Interval) -> str:
    if math.isnan(told.mean):
        return "-"
    return f"{told.mean:.1%} [{told.low:.1%}, {told.high:.1%}]"
