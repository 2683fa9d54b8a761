"""Whether what was learned may answer readers: a decision between recipes, by figures of the same readers.

A recipe is everything but the data. The one put forward and the champion's are learned from the same training part and
judged by the same later ratings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.bundle import Json
from models.evaluation.bootstrap import paired_gain

MARGIN = 0.02
"""How much of the champion's score the same recipe may lose, as far as can be told."""
COVERAGE_FLOOR = 0.05
SUFFICIENCY_FLOOR = 0.5
REFUSALS = 3
"""So many nights in a row are no accident."""


@dataclass(frozen=True)
class Showing:
    """What a recipe, learned from the training part, showed for the later ratings.

    Attributes:
        score: (readers,), NDCG@10 of what each reader would have been served.
        coverage: Books among all first tens, over as many as so many lists could hold at most: 0..1.
        sufficiency: Share of the readers with a full list from taste alone, before anything fills it up: 0..1.
    """

    score: NDArray[np.float64]
    coverage: float
    sufficiency: float


@dataclass(frozen=True)
class Decision:
    """``rule`` names what decided; ``figures`` are for the record."""

    promote: bool
    rule: str
    reason: str
    figures: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        return {"promote": self.promote, "rule": self.rule, "reason": self.reason, "figures": dict(self.figures)}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        return cls(**told)


def decide(
    showing: Showing,
    popularity: NDArray[np.float64],
    champion: NDArray[np.float64] | None = None,
    *,
    same: bool = False,
) -> Decision:
    """One recipe before the gate.

    It must clear the floors and be better than popularity for certain. Beside a champion, the same recipe must not be
    inferior (the lower bound of the paired 95 % interval above -2 % of the champion's score), another one must be
    better for certain (the lower bound above 0).

    Args:
        showing: Of the recipe put forward.
        popularity: (readers,), as its score, the same readers in the same order.
        champion: (readers,), of the champion's recipe; None: there is none that this program knows.
        same: Whether the champion's recipe is the one put forward.
    """
    over = paired_gain(showing.score, popularity)
    figures = {
        "gate_score": float(showing.score.mean()),
        "gate_coverage": showing.coverage,
        "gate_sufficiency": showing.sufficiency,
        "gate_gain_over_popularity_low": over.low,
    }
    said = f"NDCG@10 {showing.score.mean():.4f}, popularity {popularity.mean():.4f}"
    # Written so that a NaN refuses.
    if not showing.coverage >= COVERAGE_FLOOR:
        reason = f"{said}: shows only {showing.coverage:.1%} of what it could, the floor is {COVERAGE_FLOOR:.0%}"
        return Decision(promote=False, rule="coverage", reason=reason, figures=figures)
    if not showing.sufficiency >= SUFFICIENCY_FLOOR:
        full = f"only {showing.sufficiency:.1%} of the readers get a full list from taste"
        reason = f"{said}: {full}, the floor is {SUFFICIENCY_FLOOR:.0%}"
        return Decision(promote=False, rule="sufficiency", reason=reason, figures=figures)
    if not over.low > 0:
        reason = f"{said}: not surely better, the gain may be as low as {over.low:.4f}"
        return Decision(promote=False, rule="popularity", reason=reason, figures=figures)
    if champion is None:
        reason = f"{said}: better by {over.mean:.4f}, at least {over.low:.4f}"
        return Decision(promote=True, rule="popularity", reason=reason, figures=figures)
    return _beside(showing, champion, said, figures, same=same)


def _beside(
    showing: Showing, champion: NDArray[np.float64], said: str, figures: Mapping[str, float], *, same: bool
) -> Decision:
    gain = paired_gain(showing.score, champion)
    known = {
        **figures,
        "gate_champion_score": float(champion.mean()),
        "gate_gain": gain.mean,
        "gate_gain_low": gain.low,
    }
    beside = f"{said}, the champion's recipe {champion.mean():.4f}"
    least = -MARGIN * float(champion.mean()) if same else 0.0
    promote = gain.low > least
    if same:
        verdict = "the same recipe, not inferior" if promote else "the same recipe, inferior"
    else:
        verdict = "a better recipe" if promote else "a new recipe, not surely better"
    reason = f"{beside}: {verdict}, the gain is {gain.mean:.4f}, at least {gain.low:.4f}"
    return Decision(promote=promote, rule="same recipe" if same else "new recipe", reason=reason, figures=known)
