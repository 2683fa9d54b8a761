"""Recipes before the gate: where they come from, what they show on the same later ratings, which one is adopted."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.bundle import Json
from models.diversity import DEFAULT
from models.evaluation.facts import BookFacts
from models.evaluation.rankers import ChainRanker, PopularRanker, Ranker, ServedRanker, Top
from models.evaluation.report import HEADLINE, YARDSTICK, Comparison, compare
from models.evaluation.splits import Split
from models.taste import Taste
from models.training.interactions import Interactions
from models.training.recipe import Recipe, UnknownRecipe
from pipelines.gate import Decision, Showing, decide

RECIPE = "recipe.json"
OURS, CHAMPION = "model", "champion's recipe"
LIST = 10
MOST_READERS = 5_000
"""To be judged: their interval is narrow, and a night has other things to do than to serve a million lists."""

Arrays = Mapping[str, NDArray[np.generic]]


def stored_recipe(work: Path) -> Recipe:
    """What is put forward: the recipe that tuning left, or the one this program comes with.

    Raises:
        UnknownRecipe: The file is no recipe of this version.
    """
    try:
        told = json.loads((work / RECIPE).read_text())
    except FileNotFoundError:
        return Recipe()
    except ValueError as why:
        raise UnknownRecipe(f"{work / RECIPE} is not JSON: remove it, or tune again") from why
    if not isinstance(told, dict):
        raise UnknownRecipe(f"{work / RECIPE} is no recipe: remove it, or tune again")
    return Recipe.from_json(told)


def put_forward(work: Path, warn: Callable[[str], None]) -> Recipe:
    """The stored recipe; the program's own where another release stored one, which must keep nobody from their work.

    Args:
        work: Where tuning left it.
        warn: Is told what was left aside.
    """
    try:
        return stored_recipe(work)
    except UnknownRecipe as why:
        warn(f"the stored recipe is left aside: {why}")
        return Recipe()


def recipe_of(params: Mapping[str, Json] | None) -> Recipe | None:
    """A published version's recipe; None where there is no version, or one of another program's making."""
    if params is None:
        return None
    try:
        return Recipe.from_json(params)
    except UnknownRecipe:
        return None


def drawn(split: Split, most: int = MOST_READERS, seed: int = 0) -> Split:
    """The same split, with the future of ``most`` readers at most, drawn at random."""
    later = np.unique(split.future.reader)
    if len(later) <= most:
        return split
    chosen = np.random.default_rng(seed).choice(later, most, replace=False)
    return replace(split, future=split.future.only(np.isin(split.future.reader, chosen)))


class Counted:
    """A ranker, and how many of the lists that it was asked for it could fill by itself.

    Full is ten books, or a tenth of the books where they are fewer than a hundred.
    """

    def __init__(self, ranker: Ranker, books: int) -> None:
        self._ranker = ranker
        self._enough = min(LIST, max(1, books // LIST))
        self._lists = self._full = 0

    def top(self, history: Interactions, readers: NDArray[np.integer], depth: int) -> Top:
        found = self._ranker.top(history, readers, depth)
        self._lists += len(found)
        self._full += int((found[:, : self._enough] >= 0).all(axis=1).sum())
        return found

    @property
    def share(self) -> float:
        return self._full / self._lists if self._lists else 0.0


@dataclass(frozen=True)
class Judged:
    """``showing`` has the recipe put forward first, then the champion's where that is another one."""

    comparison: Comparison
    showing: tuple[Showing, ...]

    @property
    def popularity(self) -> NDArray[np.float64]:
        return self.comparison.models[YARDSTICK].per_reader[HEADLINE]


def judge(split: Split, arrays: Arrays, champion: Arrays | None = None, facts: BookFacts | None = None) -> Judged:
    """What readers would have been served beside what they came to like; the yardstick is popularity.

    Args:
        split: Whose training part everything was learned from.
        arrays: Of the recipe put forward.
        champion: Of the champion's recipe, where that is another one.
        facts: For slices by genre.

    Raises:
        NothingToJudge: No reader came to like anything.
    """
    popularity = PopularRanker(split.train)
    tastes = {OURS: arrays} if champion is None else {OURS: arrays, CHAMPION: champion}
    counted = {
        name: Counted(ServedRanker(Taste(found), DEFAULT), split.train.book_count) for name, found in tastes.items()
    }
    models: dict[str, Ranker] = {name: ChainRanker(one, popularity) for name, one in counted.items()}
    comparison = compare(drawn(split), {**models, YARDSTICK: popularity}, facts)
    possible = min(1.0, LIST * len(comparison.readers) / split.train.book_count)

    def shown(name: str, ranker: Counted) -> Showing:
        quality = comparison.models[name]
        return Showing(quality.per_reader[HEADLINE], quality.coverage / possible, ranker.share)

    return Judged(comparison, tuple(shown(name, ranker) for name, ranker in counted.items()))


@dataclass(frozen=True)
class Adopted:
    """What the gate made of it.

    Attributes:
        recipe: To be fitted on everything: the one put forward, or the champion's where that one was refused.
        decisions: On the recipe put forward, and on the champion's where it came to that.
        arrays: What that recipe made of the training part.
        judged: With all figures.
    """

    recipe: Recipe
    decisions: tuple[Decision, ...]
    arrays: Arrays
    judged: Judged


def adopt(
    split: Split,
    recipe: Recipe,
    arrays: Arrays,
    champion: Recipe | None,
    learn: Callable[[Recipe], Arrays],
    facts: BookFacts | None = None,
) -> Adopted:
    """Puts a recipe before the gate; where it is refused, the champion's own is renewed, so that new books get in.

    Args:
        split: Whose training part is learned from.
        recipe: Put forward.
        arrays: What it made of the training part.
        champion: The champion's recipe, None where there is none.
        learn: Makes the arrays of another recipe of the training part; called only for a champion's that differs.
        facts: For slices by genre.

    Raises:
        NothingToJudge: No reader came to like anything.
    """
    if champion is None or champion == recipe:
        judged = judge(split, arrays, facts=facts)
        (own,) = judged.showing
        known = None if champion is None else own.score
        return Adopted(recipe, (decide(own, judged.popularity, known, same=champion is not None),), arrays, judged)
    former = learn(champion)
    judged = judge(split, arrays, former, facts)
    own, other = judged.showing
    decision = decide(own, judged.popularity, other.score)
    if decision.promote:
        return Adopted(recipe, (decision,), arrays, judged)
    renewed = decide(other, judged.popularity, other.score, same=True)
    return Adopted(champion, (decision, renewed), former, judged)
