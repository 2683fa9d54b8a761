"""A recipe is everything but the data: what is learned, with which settings, in which order."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.bundle import Json
from models.evaluation.splits import leave_last
from models.taste import Taste
from models.training import als, blender, itemitem
from models.training.als import AlsParams
from models.training.blender import BlendParams
from models.training.interactions import Interactions
from models.training.itemitem import ItemItemParams
from models.training.library import Library

TREES = "tree_"  # begins the names of a re-ranker's arrays
Arrays = dict[str, NDArray[np.generic]]
Announce = Callable[[str], None]
Params = TypeVar("Params", ItemItemParams, AlsParams, BlendParams)


class UnknownRecipe(ValueError):
    """What is stored is no recipe of this version of the program."""


@dataclass(frozen=True)
class Recipe:
    """How a champion is made.

    Attributes:
        recency: Exponent of the decay of a rating with every later one, in the reader's query.
        taste: Item-item weights, the linear score that reasons come from; None: the factors are.
        factors: The second opinion.
        blend: The re-ranker; None: the linear score orders.
    """

    recency: float = 0.7
    taste: ItemItemParams | None = field(default_factory=ItemItemParams)
    factors: AlsParams = field(default_factory=AlsParams)
    blend: BlendParams | None = field(default_factory=BlendParams)

    def to_json(self) -> dict[str, Json]:
        return {name: _plain(value) for name, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_json(cls, told: Mapping[str, Json]) -> Self:
        """Raises UnknownRecipe."""
        try:
            return cls(
                recency=float(told["recency"]),  # type: ignore[arg-type]  # what is no number is refused below
                taste=_params(ItemItemParams, told["taste"]),
                factors=_params(AlsParams, told["factors"]) or AlsParams(),
                blend=_params(BlendParams, told["blend"]),
            )
        except (KeyError, TypeError, ValueError) as why:
            raise UnknownRecipe(f"not a recipe that this version knows: {why!r}") from why


def _plain(value: object) -> Json:
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{value!r} does not go into a recipe")


def _params(kind: type[Params], told: Json) -> Params | None:
    if told is None:
        return None
    if not isinstance(told, dict):
        raise TypeError(f"{kind.__name__} from {told!r}")
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    return kind(**given)  # type: ignore[arg-type]  # JSON's numbers; a wrong name raises TypeError


def learn(
    library: Library,
    recipe: Recipe,
    announce: Announce | None = None,
    *,
    earlier: Mapping[str, NDArray[np.generic]] | None = None,
) -> Arrays:
    """The arrays of a bundle, from everything that is given.

    The re-ranker learns first, on the last fifth of every reader's ratings with models that have not seen it; then
    the models are fitted again on all of them.

    Args:
        library: What is learned from.
        recipe: How.
        announce: Is told what is being done.
        earlier: What this recipe made of an earlier part of the library and was judged by. Its re-ranker is kept, so
            that what was judged is what orders, and is not learned twice; the models are fitted on everything.

    Raises:
        NothingToLearn: No rating speaks for any book.
    """
    if earlier is not None:
        trees: Arrays | None = {name: array for name, array in earlier.items() if name.startswith(TREES)}
    else:
        trees = _reranker(library, recipe, announce)
    return _base(library, recipe, announce) | (trees or {})


def _reranker(library: Library, recipe: Recipe, announce: Announce | None) -> Arrays | None:
    if recipe.blend is None:
        return None
    split = leave_last(library.interactions)
    try:
        taste = Taste(_base(library.of(split.train), recipe, announce))
    except als.NothingToLearn:
        return None  # so few ratings that their first part says nothing
    if announce:
        announce("the re-ranker learns from the last fifth of every reader's ratings")
    return blender.fit(taste, split, recipe.blend)


def _base(library: Library, recipe: Recipe, announce: Announce | None) -> Arrays:
    ratings, catalogue = library.interactions, library.catalogue
    if announce:
        announce(f"factors of {ratings.book_count:,} books from {len(ratings):,} ratings")
    arrays = _every_book(als.fit(ratings, recipe.factors), ratings)
    arrays |= catalogue.arrays()
    arrays["recency"] = np.array(recipe.recency, dtype=np.float64)
    if recipe.taste is not None:
        if announce:
            announce("item-item weights")
        fitted = itemitem.fit(ratings, catalogue.author, catalogue.series, recipe.taste, announce)
        arrays["neighbour_index"], arrays["neighbour_weight"] = fitted.index, fitted.weight
        arrays["star_weights"] = np.array(recipe.taste.star_weights, dtype=np.float64)
    return arrays


def _every_book(arrays: Arrays, ratings: Interactions) -> Arrays:
    """The factors with a row for every book, zeros for those that nobody likes yet."""
    row = {key.tobytes(): number for number, key in enumerate(ratings.book_ids)}
    known = [row[key.tobytes()] for key in arrays["book_ids"]]
    factors = np.zeros((ratings.book_count, arrays["item_factors"].shape[1]), dtype=np.float32)
    factors[known] = arrays["item_factors"]
    return arrays | {"book_ids": ratings.book_ids, "item_factors": factors}
