"""What is learned from, what is folded in, and what was in the future."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

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
        apart: Whether readers without a history are judged by themselves, so that they do not blur the others.
        carve: Splits any ratings as these were split; None where nobody said how.
    """

    protocol: str
    train: Interactions
    history: Interactions
    future: Interactions
    apart: bool = False
    carve: Callable[[Interactions], "Split"] | None = field(default=None, repr=False, compare=False)

    @property
    def known_readers(self) -> NDArray[np.bool_]:
        """(R,): whether anything is known of a reader at the moment of the request."""
        return np.bincount(self.history.reader, minlength=self.history.reader_count) > 0

    @property
    def known_books(self) -> NDArray[np.bool_]:
        """(books,): whether anybody has rated the book in the training part."""
        return np.bincount(self.train.book, minlength=self.train.book_count) > 0

    @property
    def counts(self) -> dict[str, int]:
        """What lies on which side; new readers and new books are those of the future of whom nothing was known."""
        later = np.unique(self.future.reader)
        shown = np.unique(self.future.book)
        return {
            "ratings to learn from": len(self.train),
            "readers to learn from": len(np.unique(self.train.reader)),
            "books learned of": int(self.known_books.sum()),
            "later ratings": len(self.future),
            "readers with later ratings": len(later),
            "new readers": int((~self.known_readers[later]).sum()),
            "new books": int((~self.known_books[shown]).sum()),
            "later ratings of new books": int((~self.known_books[self.future.book]).sum()),
        }

    def named(self, protocol: str) -> Self:
        return replace(self, protocol=protocol)


def leave_last(interactions: Interactions, share: float = 0.2) -> Split:
    """P1: the last ``share`` of each reader's ratings, at least one, are the future; the rest is the past."""
    future = _last(interactions, share)
    past = interactions.only(~future)
    return Split("P1", past, past, interactions.only(future), carve=partial(leave_last, share=share))


def new_readers(interactions: Interactions, share: float = 0.2, held_out: float = 0.15, seed: int = 0) -> Split:
    """P2: a share ``held_out`` of the readers is absent from training; they alone are judged, otherwise as in P1."""
    rng = np.random.default_rng(seed)
    there = np.unique(interactions.reader)
    new = np.zeros(interactions.reader_count, dtype=np.bool_)
    new[there[rng.permutation(len(there))[: round(held_out * len(there))]]] = True
    of_new = new[interactions.reader]
    future = _last(interactions, share)
    return Split(
        "P2",
        interactions.only(~of_new),
        interactions.only(of_new & ~future),
        interactions.only(of_new & future),
        carve=partial(new_readers, share=share, held_out=held_out, seed=seed),
    )


def beginners(
    interactions: Interactions, known: int = 5, ahead: int = 20, held_out: float = 0.15, seed: int = 0
) -> Split:
    """P2 at the start: the readers of ``new_readers``, judged when little was known of them.

    Each has made 1 … ``known`` ratings, how many is drawn evenly, and the next ``ahead`` are the future: what a library
    of seasoned readers can say about those who have just come.
    """
    grown = new_readers(interactions, held_out=held_out, seed=seed)
    rng = np.random.default_rng((seed, known))
    bounds = interactions.bounds
    begun = np.minimum(rng.integers(1, known + 1, size=interactions.reader_count), np.diff(bounds) - 1)
    place = np.arange(len(interactions)) - bounds[interactions.reader]
    of_new = np.isin(interactions.reader, np.unique(grown.future.reader))
    before = place < begun[interactions.reader]
    soon = ~before & (place < begun[interactions.reader] + ahead)
    return Split(
        f"P2, 1 to {known} ratings",
        grown.train,
        interactions.only(of_new & before),
        interactions.only(of_new & soon),
        carve=partial(beginners, known=known, ahead=ahead, held_out=held_out, seed=seed),
    )


def one_clock(interactions: Interactions, share: float = 0.2) -> Split:
    """P3: one moment for all; what was rated before it is the past, the newest ``share`` of all ratings the future.

    Ratings of one moment stay together, after the cut, so that the future may be larger than ``share``. Readers who
    came after the cut have no history and are judged apart; books that came after it are in no training part.

    Raises:
        ValueError: All ratings are of one moment.
    """
    if len(interactions) == 0 or interactions.at.min() == interactions.at.max():
        raise ValueError("all ratings are of one moment: there is no time to cut")
    newest = max(1, int(share * len(interactions) + 1e-9))
    cut = np.partition(interactions.at, len(interactions) - newest)[len(interactions) - newest]
    if cut == interactions.at.min():  # more than the wanted part is of the first moment: that moment is the past
        cut = interactions.at[interactions.at > cut].min()
    past = interactions.only(interactions.at < cut)
    future = interactions.only(interactions.at >= cut)
    return Split("P3", past, past, future, apart=True, carve=partial(one_clock, share=share))


def from_moment(interactions: Interactions, cut: int, end: int) -> Split:
    """P3 with a clock of one's own: known is what was rated before ``cut``, the future goes on until before ``end``.

    Both in microseconds since 1970 UTC. Readers who came after the cut are judged apart, as in ``one_clock``; either
    side may be empty.
    """
    past = interactions.only(interactions.at < cut)
    future = interactions.only((interactions.at >= cut) & (interactions.at < end))
    return Split("P3", past, past, future, apart=True)


def validation(split: Split) -> Split:
    """A split of the training part alone, made in the same way: for tuning, so that the future stays unseen.

    Raises:
        ValueError: The split does not say how it was made.
    """
    if split.carve is None:
        raise ValueError(f"the split {split.protocol} does not say how it was made")
    return split.carve(split.train).named(f"{split.protocol} validation")


def _last(interactions: Interactions, share: float) -> NDArray[np.bool_]:
    """Which ratings, (n,), are among the last ``share`` of their reader's."""
    bounds = interactions.bounds
    count = np.diff(bounds)
    # The tiny addend: .2 · 15 must be 3 whatever the binary fractions say.
    left_out = np.maximum(1, np.floor(share * count + 1e-9)).astype(np.int64)
    first_of_future = bounds[1:] - left_out
    chosen: NDArray[np.bool_] = np.arange(len(interactions)) >= first_of_future[interactions.reader]
    return chosen
