"""What a recipe is worth on the training part of a library, with what costs most worked out once."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.evaluation.rankers import Ranker, ServedRanker, Top
from models.evaluation.report import NothingToJudge, headline
from models.evaluation.splits import leave_last, validation
from models.features import FEATURES, Candidates, Known
from models.rerank import Trees
from models.taste import Taste
from models.training import blender, itemitem
from models.training.als import NothingToLearn
from models.training.blender import BlendParams, Examples
from models.training.interactions import Interactions
from models.training.itemitem import ItemItemParams
from models.training.library import Library
from models.training.recipe import Arrays, Recipe, learn

MOST_READERS = 4_000
"""Who are judged at most: what a trial costs is bounded, and the interval of the mean is about .005 wide then."""

__all__ = ["Judge", "NothingToJudge", "NothingToLearn", "Rehearsal"]


class Judge:
    """NDCG@10 on the last fifth of every reader's earlier ratings; the latest ones are never looked at."""

    def __init__(self, library: Library, factors: Recipe, seed: int) -> None:
        """Takes the whole library apart.

        Args:
            library: All of it: that nothing of its latest ratings is used is seen to here.
            factors: Its factors are taken for all linear scores.
            seed: Of the readers that are judged, where there are very many.

        Raises:
            NothingToJudge: Nobody came to like anything.
            NothingToLearn: No rating speaks for any book.
        """
        split = validation(leave_last(library.interactions))
        self.split = replace(split, future=_of_some(split.future, seed))
        self.past = library.of(split.train)
        self._base = learn(self.past, replace(factors, taste=None, blend=None))
        headline(self.split, _Nobody())

    def fitted(self, params: ItemItemParams) -> Arrays:
        """The arrays of a linear taste, without its recency.

        Raises:
            NothingToLearn: No rating speaks for any book, the stars being weighed so.
        """
        catalogue = self.past.catalogue
        found = itemitem.fit(self.past.interactions, catalogue.author, catalogue.series, params)
        return self._base | {
            "neighbour_index": found.index,
            "neighbour_weight": found.weight,
            "star_weights": np.array(params.star_weights, dtype=np.float64),
        }

    def linear(self, arrays: Arrays, recency: float) -> float:
        """Of the order by the linear score, by the very code that answers readers."""
        taste = Taste(arrays | {"recency": np.array(recency, dtype=np.float64)})
        return self.mean(ServedRanker(taste))

    def mean(self, ranker: Ranker) -> float:
        return float(headline(self.split, ranker).mean())

    def whole(self, recipe: Recipe) -> float:
        """Of everything that the recipe says; 0 where it finds nothing to learn from."""
        try:
            return self.mean(ServedRanker(Taste(learn(self.past, recipe))))
        except NothingToLearn:
            return 0.0


class Rehearsal:
    """The re-ranker on top of one linear taste: candidates and features are the same for all its parameters.

    Attributes:
        blend: The parameters to begin with; they say which examples are learned from.
    """

    def __init__(self, judge: Judge, recipe: Recipe) -> None:
        """Prepares nothing yet: what was tried before may be all that is wanted.

        Args:
            judge: What to learn from, and who is judged.
            recipe: All but the parameters that ``score`` varies.
        """
        self.blend = recipe.blend or BlendParams()
        self._judge = judge
        self._recipe = replace(recipe, blend=None)

    @property
    def learns(self) -> bool:
        """Whether there is enough to learn a re-ranker from."""
        return self._examples is not None and int(self._examples.liked.sum()) >= self.blend.fewest_likes

    @cached_property
    def _taste(self) -> "_Remembering":
        return _Remembering(learn(self._judge.past, self._recipe))

    @cached_property
    def _examples(self) -> Examples | None:
        """As ``models.training.recipe.learn`` makes them; None where the first part of the ratings says nothing."""
        split = leave_last(self._judge.past.interactions)
        try:
            arrays = learn(self._judge.past.of(split.train), self._recipe)
        except NothingToLearn:
            return None
        return blender.examples(Taste(arrays), split, self.blend)

    def score(self, params: BlendParams) -> float:
        """As of everything that the recipe says, with this re-ranker."""
        arrays = blender.learned(self._examples, params) if self._examples is not None else None
        self._taste.trees = Trees(arrays, len(FEATURES)) if arrays is not None else None
        return self._judge.mean(ServedRanker(self._taste))


class _Remembering(Taste):
    """Works out the candidates of each reader once, and leaves everything else to the code that answers readers."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        super().__init__(arrays)
        self._found: dict[tuple[bytes, ...], Candidates] = {}

    def candidates(self, known: Known, eligible: NDArray[np.bool_] | None = None) -> Candidates:
        asked = (
            known.rows.tobytes(),
            known.stars.tobytes(),
            b"" if eligible is None else np.packbits(eligible).tobytes(),
        )
        if asked not in self._found:
            found = super().candidates(known, eligible)
            reasons = np.zeros((len(found.rows), 0), dtype=np.float32)  # nobody asks for them, and they are the most
            self._found[asked] = replace(found, parts=reasons)
        return self._found[asked]


class _Nobody:
    def top(self, history: Interactions, readers: NDArray[np.integer], depth: int) -> Top:  # noqa: ARG002 - a Ranker's
        return np.full((len(readers), depth), -1, dtype=np.int32)


def _of_some(future: Interactions, seed: int) -> Interactions:
    """The ratings of ``MOST_READERS`` readers, drawn at random where there are more."""
    there = np.unique(future.reader)
    if len(there) <= MOST_READERS:
        return future
    drawn = np.random.default_rng(seed).choice(there, MOST_READERS, replace=False)
    return future.only(np.isin(future.reader, drawn))
