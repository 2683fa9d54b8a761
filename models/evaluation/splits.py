"""What is learned from, what is folded in, and what was in the future."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.training.interactions import Interactions


@dataclass(frozen=True)
class Split:
    """Ratings apart by time, within one numbering of readers and books.

    Attributes:
        protocol: Its name in EVALUATION's words, e.g. ``P1``.
        train: What a model may learn from.
        history: What is known of the readers to be judged at the moment of the request.
        future: What they rated after that.
    """

    protocol: str
    train: Interactions
    history: Interactions
    future: Interactions


def leave_last(interactions: Interactions, share: float = 0.2) -> Split:
    """P1: the last ``share`` of each reader's ratings, at least one, are the future; the rest is the past."""
    future = _last(interactions, share)
    past = interactions.only(~future)
    return Split("P1", past, past, interactions.only(future))


def new_readers(interactions: Interactions, share: float = 0.2, held_out: float = 0.15, seed: int = 0) -> Split:
    """P2: a share ``held_out`` of the readers is absent from training; they alone are judged, otherwise as in P1."""
    rng = np.random.default_rng(seed)
    new = np.zeros(interactions.reader_count, dtype=np.bool_)
    new[rng.permutation(interactions.reader_count)[: round(held_out * interactions.reader_count)]] = True
    of_new = new[interactions.reader]
    future = _last(interactions, share)
    return Split(
        "P2",
        interactions.only(~of_new),
        interactions.only(of_new & ~future),
        interactions.only(of_new & future),
    )


def _last(interactions: Interactions, share: float) -> NDArray[np.bool_]:
    """Which ratings, (n,), are among the last ``share`` of their reader's."""
    bounds = interactions.bounds
    count = np.diff(bounds)
    # The tiny addend: .2 · 15 must be 3 whatever the binary fractions say.
    left_out = np.maximum(1, np.floor(share * count + 1e-9)).astype(np.int64)
    first_of_future = bounds[1:] - left_out
    chosen: NDArray[np.bool_] = np.arange(len(interactions)) >= first_of_future[interactions.reader]
    return chosen
