"""Gradient-boosted trees as plain arrays, so that what scikit-learn has learned needs no scikit-learn to answer."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.bundle import BundleRefused

DEEPEST = 6
FEATURE, THRESHOLD, VALUE, BIAS = "tree_feature", "tree_threshold", "tree_value", "tree_bias"


class Trees:
    """Additive binary trees: logit = bias + Σ over trees of the value of the leaf that a row falls into.

    Every tree is complete, of one depth D: inner node i has children 2i + 1 (where feature ≤ threshold) and 2i + 2, so
    that no array of children is needed and one step down is the same arithmetic for all trees and rows. A tree that
    ends early repeats its leaf's value below. Arrays, for T trees:

    - ``tree_feature`` (T, 2^D - 1) int16, column of the features at each inner node, level by level, left to right;
    - ``tree_threshold`` (T, 2^D - 1) float32;
    - ``tree_value`` (T, 2^D) float64, leaves from left to right;
    - ``tree_bias`` () float64.

    Made by ``models.training.trees.export``; the tests hold its logits to scikit-learn's within 1e-12.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], features: int | None = None) -> None:
        """Takes the arrays of a bundle.

        Args:
            arrays: At least the four.
            features: How many columns ``logit`` will be given; not checked when None.

        Raises:
            BundleRefused: They are not such arrays.
        """
        check(arrays, features)
        feature = arrays[FEATURE].astype(np.intp)
        threshold = arrays[THRESHOLD].astype(np.float32, copy=False)
        self.depth = int(arrays[VALUE].shape[1]).bit_length() - 1
        self.columns = int(feature.max(initial=0)) + 1
        # Node k of tree t lies at t · 2^level + k of its level, so that its children lie at twice that, and one more.
        levels = [slice(2**level - 1, 2 ** (level + 1) - 1) for level in range(self.depth)]
        self._feature = [np.ascontiguousarray(feature[:, level]).ravel() for level in levels]
        self._threshold = [np.ascontiguousarray(threshold[:, level]).ravel() for level in levels]
        self._value = arrays[VALUE].astype(np.float64).ravel()
        self._bias = float(arrays[BIAS].astype(np.float64))
        self._trees = len(feature)

    def logit(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """The log odds of each row.

        Args:
            features: Shape (n, f), f ≥ ``columns``, no NaN; float32, as in training.

        Returns:
            Shape (n,).

        Raises:
            ValueError: The features are not so.
        """
        if features.dtype != np.float32 or features.ndim != 2 or features.shape[1] < self.columns:  # noqa: PLR2004 - a table
            raise ValueError(f"features are {features.dtype} {features.shape}, wanted float32 (n, ≥ {self.columns})")
        if np.isnan(features).any():
            raise ValueError("a feature is NaN: the trees know no way for it")
        rows = len(features)
        if not rows or not self._trees:
            return np.full(rows, self._bias)
        leaves = self._leaves(np.ascontiguousarray(features.T))
        return np.asarray(self._value.take(leaves).sum(axis=0) + self._bias)

    def probability(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """``1 / (1 + e^-logit)`` of each row: shape (n,), in 0..1."""
        # By tanh, which cannot overflow.
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * self.logit(features)))

    def _leaves(self, columns: NDArray[np.float32]) -> NDArray[np.intp]:
        """Where each row ends in each tree: shape (T, n), into the flat leaf values.

        Args:
            columns: Shape (f, n): the features, one a line, so that a tree's first question reads a whole line.
        """
        rows = columns.shape[1]
        at = np.repeat(np.arange(self._trees, dtype=np.intp)[:, None], rows, axis=1)
        if not self.depth:
            return at
        right = columns[self._feature[0]] > self._threshold[0][:, None]
        at += at
        at += right
        flat, row = columns.ravel(), np.arange(rows, dtype=np.intp)
        where, value, threshold = np.empty_like(at), np.empty(at.shape, np.float32), np.empty(at.shape, np.float32)
        for level in range(1, self.depth):
            # The indices are right by construction; any mode but "raise" lets numpy write straight into ``out``.
            (self._feature[level] * rows).take(at, out=where, mode="clip")
            where += row
            flat.take(where, out=value, mode="clip")
            self._threshold[level].take(at, out=threshold, mode="clip")
            np.greater(value, threshold, out=right)
            at += at
            at += right
        return at


def check(arrays: Mapping[str, NDArray[np.generic]], features: int | None = None) -> None:
    """Raises BundleRefused unless the arrays are trees as ``Trees`` describes them.

    Args:
        arrays: At least the four.
        features: Columns of the features, above which no tree may ask; not checked when None.
    """
    for name, dtype, dimensions in (
        (FEATURE, "int16", 2),
        (THRESHOLD, "float32", 2),
        (VALUE, "float64", 2),
        (BIAS, "float64", 0),
    ):
        if name not in arrays:
            raise BundleRefused(f"array {name} is missing")
        array = arrays[name]
        if array.dtype != dtype or array.ndim != dimensions:
            raise BundleRefused(
                f"array {name} is {array.dtype} {array.shape}, wanted {dtype} of {dimensions} dimensions"
            )
        if not np.isfinite(array.astype(np.float64)).all():
            raise BundleRefused(f"array {name} holds NaN or infinity")
    trees, leaves = arrays[VALUE].shape
    if leaves not in {2**depth for depth in range(DEEPEST + 1)}:
        raise BundleRefused(f"trees of {leaves} leaves: a complete tree of depth 0 to {DEEPEST} has a power of two")
    for name in (FEATURE, THRESHOLD):
        if arrays[name].shape != (trees, leaves - 1):
            raise BundleRefused(f"array {name} is {arrays[name].shape}, wanted {(trees, leaves - 1)}")
    asked = arrays[FEATURE].astype(np.int64)
    if asked.size and (asked.min() < 0 or (features is not None and asked.max() >= features)):
        raise BundleRefused(f"trees ask for features {asked.min()} to {asked.max()} of {features}")
