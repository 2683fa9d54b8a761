"""The re-ranker: trees that learn, from what readers rated next, how probable it is that they like a candidate."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from models.evaluation.splits import Split
from models.features import FEATURES
from models.reader import LIKED_FROM
from models.rerank import BIAS
from models.taste import Taste
from models.training.trees import export

NEWCOMER = 5
"""Ratings of a reader about whom little is known, at most."""


class Moment(NamedTuple):
    """A reader at a moment.

    ``rows`` and ``stars`` are what is known of them, oldest first; ``rated`` all that they had read by then, ``liked``
    what they came to like.
    """

    rows: NDArray[np.intp]
    stars: NDArray[np.intp]
    rated: NDArray[np.intp]
    liked: NDArray[np.intp]


@dataclass(frozen=True)
class BlendParams:
    """A recipe for the re-ranker.

    Attributes:
        iterations: Trees.
        learning_rate: Shrinkage of each tree.
        leaves: Of a tree at most.
        depth: Of a tree at most; ≤ 6, which is what ``models.rerank`` is laid out for.
        leaf_samples: Candidates in a leaf at least.
        penalty: L2, of the leaves' values.
        moments: Each reader's later ratings are asked about at these points of them: 0 is before the first, .5 when
            half of them are known. More moments, more to learn from.
        newcomers: Share of the readers who are shown once more as if only their last few ratings were known, so that
            short histories are learned from as well.
        negatives: Share of the candidates that were not liked that is learned from, drawn at random; the
            probabilities are corrected for it.
        most_candidates: Rows to learn from at most; readers are drawn at random where there are more.
        fewest_likes: With fewer liked candidates nothing is learned, and the linear score orders.
        seed: Same seed, same trees.
    """

    iterations: int = 150
    learning_rate: float = 0.06
    leaves: int = 31
    depth: int = 6
    leaf_samples: int = 100
    penalty: float = 10.0
    moments: tuple[float, ...] = (0.0, 0.5)
    newcomers: float = 0.0
    negatives: float = 0.3
    most_candidates: int = 500_000
    fewest_likes: int = 300
    seed: int = 0


def fit(taste: Taste, split: Split, params: BlendParams) -> dict[str, NDArray[np.generic]] | None:
    """Learns the arrays of ``models.rerank.Trees``.

    Args:
        taste: Learned from ``split.train`` alone, with a catalogue that counted ``split.train`` alone.
        split: Its numbering is that of the taste's rows.
        params: The recipe.

    Returns:
        None when there is too little to learn from.
    """
    return learned(examples(taste, split, params), params)


class Examples(NamedTuple):
    """What readers were shown and came to like: ``features`` (n, len(FEATURES)) float32, ``liked`` (n,) bool."""

    features: NDArray[np.float32]
    liked: NDArray[np.bool_]


def examples(taste: Taste, split: Split, params: BlendParams) -> Examples:
    """What ``fit`` learns from; of the recipe, ``moments``, ``negatives``, ``most_candidates`` and ``seed`` count."""
    rows = list(_examples(taste, split, params))
    if not rows:
        return Examples(np.zeros((0, len(FEATURES)), dtype=np.float32), np.zeros(0, dtype=np.bool_))
    return Examples(np.concatenate([features for features, _ in rows]), np.concatenate([likes for _, likes in rows]))


def learned(shown: Examples, params: BlendParams) -> dict[str, NDArray[np.generic]] | None:
    """What ``fit`` learns from these examples; None when they are too few."""
    if shown.liked.sum() < params.fewest_likes:
        return None
    classifier = HistGradientBoostingClassifier(
        max_iter=params.iterations,
        learning_rate=params.learning_rate,
        max_leaf_nodes=params.leaves,
        max_depth=params.depth,
        min_samples_leaf=min(params.leaf_samples, max(5, len(shown.liked) // 1000)),
        l2_regularization=params.penalty,
        early_stopping=False,
        random_state=params.seed,
    )
    classifier.fit(shown.features, shown.liked)
    trees = export(classifier)
    # What was left out would have lowered every logit by this much (King and Zeng 2001, prior correction). Weights
    # would say the same to the fit, and make scikit-learn 1.9 find its bins twenty times slower.
    trees[BIAS] = np.asarray(trees[BIAS] + np.log(params.negatives), dtype=np.float64)
    return trees


def _examples(
    taste: Taste, split: Split, params: BlendParams
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Features of candidates of a reader at a moment, and which of them the reader came to like."""
    random = np.random.default_rng(params.seed)
    made = 0
    for reader in random.permutation(split.history.reader_count):
        for moment in _moments(split, int(reader), params, random):
            known = taste.known(moment.rows, moment.stars)
            if not (known.newest().weights > 0).any():
                continue
            found = taste.candidates(known, taste.unread(moment.rated))
            hit = np.isin(found.rows, moment.liked)
            kept = hit | (random.random(len(hit)) < params.negatives)
            made += int(kept.sum())
            yield found.features[kept], hit[kept]
        if made >= params.most_candidates:
            return


def _moments(split: Split, reader: int, params: BlendParams, random: np.random.Generator) -> Iterator[Moment]:
    """What was known of a reader at some moments of their later ratings, and what they came to like after each."""
    before, after = split.history.bounds, split.future.bounds
    past, later = slice(before[reader], before[reader + 1]), slice(after[reader], after[reader + 1])
    rows = np.concatenate([split.history.book[past], split.future.book[later]]).astype(np.intp)
    stars = np.concatenate([split.history.stars[past], split.future.stars[later]]).astype(np.intp)
    cut, future = past.stop - past.start, later.stop - later.start
    moments = sorted({cut + int(moment * future) for moment in params.moments})
    spans = [(0, moment) for moment in moments]
    if random.random() < params.newcomers:
        spans.append((max(0, cut - int(random.integers(1, NEWCOMER + 1))), cut))
    for first, last in spans:
        liked = rows[last:][stars[last:] >= LIKED_FROM]
        if len(liked):
            yield Moment(rows[first:last], stars[first:last], rows[:last], liked)
