"""Where tuning looks: every range, and what is tried first. The one place to change either."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution, IntDistribution

from models.training.blender import BlendParams
from models.training.itempairs import ItemItemParams
from models.training.library import Library

Range = FloatDistribution | IntDistribution
Values = Mapping[str, float]

VERSION: Final = 1
"""Goes up with every change below: what was tried in another space is not gone on with."""

RECENCIES: Final = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0, 1.3)
"""Exponents of the query's decay. They cost no fit, so that every fit is judged with each; of equals the first."""

LINEAR: Final[Mapping[str, Range]] = {
    "exponent": FloatDistribution(0.0, 1.5, step=0.1),  # 0: the order of a reader's books says nothing
    "offset": FloatDistribution(0.5, 16.0, log=True),
    "backward": FloatDistribution(0.0, 1.0, step=0.1),  # 1: nor does which of two came first
    "ridge": FloatDistribution(1.0, 1000.0, log=True),
    "ridge_share": FloatDistribution(0.0, 1.0, step=0.05),
    "neighbours": IntDistribution(50, 300, step=50),  # more of them make an answer slower and a bundle larger
}
OF_STARS: Final[Mapping[int, Range]] = {  # evidence; four stars are the unit, which the ridge measures
    2: FloatDistribution(0.0, 0.5, step=0.05),
    3: FloatDistribution(0.0, 1.0, step=0.1),
    5: FloatDistribution(1.0, 2.5, step=0.1),
}
OF_GROUPS: Final[Mapping[str, Range]] = {
    "author_weight": FloatDistribution(0.0, 20.0, step=0.5),
    "series_weight": FloatDistribution(0.0, 20.0, step=0.5),
}
BLEND: Final[Mapping[str, Range]] = {
    "iterations": IntDistribution(50, 300, step=50),  # more of them make an answer slower
    "learning_rate": FloatDistribution(0.02, 0.2, log=True),
    "leaves": IntDistribution(7, 63, log=True),
    "depth": IntDistribution(3, 6),
    "leaf_samples": IntDistribution(20, 400, log=True),
    "penalty": FloatDistribution(0.1, 100.0, log=True),
}

LINEAR_FIRST: Final[tuple[Values, ...]] = (
    {},  # what there is
    {"exponent": 0.0, "backward": 1.0},  # without any order
    {"ridge": 10.0, "ridge_share": 0.5},  # for little data
)
"""Tried before anything is drawn, each on top of what there is: what libraries unlike ours want lies far away."""

BLEND_FIRST: Final[tuple[Values, ...]] = (
    {},
    {"iterations": 100, "learning_rate": 0.05, "leaves": 8, "depth": 3},  # cautious
)


def linear_ranges(library: Library) -> dict[str, Range]:
    """What can matter in this library: stars that are given, authors and series that books share."""
    given = set(np.unique(library.interactions.stars).tolist())
    ranges = dict(LINEAR)
    ranges |= {star_name(star): found for star, found in OF_STARS.items() if star in given and len(given) > 1}
    shared = {"author_weight": library.catalogue.author, "series_weight": library.catalogue.series}
    return ranges | {name: OF_GROUPS[name] for name, codes in shared.items() if _share(codes)}


def _share(codes: NDArray[np.int32]) -> bool:
    known = codes[codes >= 0]
    return len(np.unique(known)) < len(known)


def star_name(star: int) -> str:
    return f"weight_of_{star}_stars"


def linear_values(params: ItemItemParams, ranges: Mapping[str, Range]) -> dict[str, float]:
    """Where these parameters lie in the space, or the nearest to them that does."""
    told = {name: getattr(params, name) for name in (*LINEAR, *OF_GROUPS)}
    told |= {star_name(star): params.star_weights[star - 1] for star in OF_STARS}
    return {name: nearest(found, told[name]) for name, found in ranges.items()}


def with_linear(params: ItemItemParams, values: Values) -> ItemItemParams:
    """The parameters with these values, the rest as it was."""
    stars = list(params.star_weights)
    for star in OF_STARS:
        stars[star - 1] = values.get(star_name(star), stars[star - 1])
    one, two, three, four, five = stars
    plain = {name: value for name, value in values.items() if name in LINEAR or name in OF_GROUPS}
    return replace(params, star_weights=(one, two, three, four, five), **plain)  # type: ignore[arg-type]  # int where it is one


def blend_values(params: BlendParams) -> dict[str, float]:
    """As ``linear_values``."""
    return {name: nearest(found, getattr(params, name)) for name, found in BLEND.items()}


def with_blend(params: BlendParams, values: Values) -> BlendParams:
    return replace(params, **values)  # type: ignore[arg-type]  # int where it is one


def nearest(found: Range, value: float) -> float:
    """The nearest value of a range."""
    inside = min(max(value, found.low), found.high)
    if found.step is not None and not found.log:
        inside = round(found.low + found.step * round((inside - found.low) / found.step), 6)
    return round(inside) if isinstance(found, IntDistribution) else float(inside)
