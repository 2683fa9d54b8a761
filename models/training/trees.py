"""From scikit-learn's boosted trees to the arrays that ``models.rerank.Trees`` answers from."""

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from models.rerank import BIAS, DEEPEST, FEATURE, THRESHOLD, VALUE

LARGEST = np.finfo(np.float32).max


def export(classifier: HistGradientBoostingClassifier) -> dict[str, NDArray[np.generic]]:
    """The trees of a fitted classifier, padded to one depth.

    scikit-learn compares in float64. For a float32 x and any threshold t, x ≤ t exactly when x ≤ the largest float32
    that is ≤ t; thresholds are rounded down to that, so every float32 row goes the same way as there.

    Args:
        classifier: Fitted on two classes, without NaN and without categorical features; depth ≤ 6.

    Returns:
        ``tree_feature``, ``tree_threshold``, ``tree_value`` and ``tree_bias`` as ``models.rerank.Trees`` wants them.

    Raises:
        ValueError: The classifier is not so.
    """
    if len(classifier.classes_) != 2:  # noqa: PLR2004 - yes or no
        raise ValueError(f"{len(classifier.classes_)} classes, wanted 2")
    forest = [stage[0].nodes for stage in classifier._predictors]  # noqa: SLF001 - scikit-learn has no public way to them
    if any(nodes["is_categorical"].any() for nodes in forest):
        raise ValueError("a tree asks for a category; only numbers are exported")
    depth = max((int(nodes["depth"].max()) for nodes in forest), default=0)
    if depth > DEEPEST:
        raise ValueError(f"a tree is {depth} deep, at most {DEEPEST} is exported: fit with max_depth={DEEPEST}")
    inner = 2**depth - 1
    feature = np.zeros((len(forest), inner), dtype=np.int16)
    threshold = np.zeros((len(forest), inner), dtype=np.float32)
    value = np.zeros((len(forest), inner + 1), dtype=np.float64)
    for tree, nodes in enumerate(forest):
        feature[tree], threshold[tree], value[tree] = _complete(nodes, depth)
    bias = np.float64(np.ravel(classifier._baseline_prediction)[0])  # noqa: SLF001 - as above
    return {FEATURE: feature, THRESHOLD: threshold, VALUE: value, BIAS: np.array(bias)}


def _complete(
    nodes: NDArray[np.void], depth: int
) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.float64]]:
    """One tree as a complete one: a leaf above the bottom stands for all that would be below it."""
    stands = np.zeros(2 ** (depth + 1) - 1, dtype=np.intp)  # which of scikit-learn's nodes is at each place
    for place in range(2**depth - 1):
        node = nodes[stands[place]]
        children = (stands[place],) * 2 if node["is_leaf"] else (node["left"], node["right"])
        stands[2 * place + 1], stands[2 * place + 2] = children
    above = nodes[stands[: 2**depth - 1]]
    # Below a leaf both ways lead to its value, so that any question will do.
    feature = np.where(above["is_leaf"], 0, above["feature_idx"]).astype(np.int16)
    threshold = rounded_down(np.where(above["is_leaf"], 0.0, above["num_threshold"]))
    return feature, threshold, nodes["value"][stands[2**depth - 1 :]].astype(np.float64)


def rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest finite float32 ≤ each; scikit-learn's +∞ ("everything goes left") becomes the largest of all.

    Raises:
        ValueError: A threshold is below every finite float32, or NaN.
    """
    if not (thresholds >= -float(LARGEST)).all():
        raise ValueError("a threshold is below every float32")
    near = np.minimum(thresholds, float(LARGEST)).astype(np.float32)
    return np.where(near.astype(np.float64) > thresholds, np.nextafter(near, np.float32(-np.inf)), near).astype(
        np.float32
    )
