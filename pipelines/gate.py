"""Whether what was trained may answer readers. The full gate, between recipes, takes the place of ``decide`` later."""

from collections.abc import Mapping
from dataclasses import dataclass

HEADLINE = "gain_ndcg_at_10"


@dataclass(frozen=True)
class Decision:
    promote: bool
    reason: str


def decide(metrics: Mapping[str, float]) -> Decision:
    """Promote what is better than popularity for certain: the paired 95 % interval of the gain lies above 0.

    Args:
        metrics: of a ``models.evaluation.report.Report``.
    """
    gain, low = metrics[HEADLINE], metrics[f"{HEADLINE}_low"]
    said = f"NDCG@10 {metrics['ndcg_at_10']:.4f}, popularity {metrics['popularity_ndcg_at_10']:.4f}"
    if low > 0:
        return Decision(promote=True, reason=f"{said}: better by {gain:.4f}, at least {low:.4f}")
    return Decision(promote=False, reason=f"{said}: not surely better, the gain may be as low as {low:.4f}")
