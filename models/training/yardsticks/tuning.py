"""Stock models at their best: every family's settings are chosen on a split carved out of the training part."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from models.evaluation.rankers import ChainRanker, PopularRanker, Ranker
from models.evaluation.report import HEADLINE, compare
from models.evaluation.splits import Split
from models.training.interactions import Interactions
from models.training.yardsticks.factors import StockAls, bpr, lmf
from models.training.yardsticks.linear import PureSvd, ease
from models.training.yardsticks.lists import Query, Stock
from models.training.yardsticks.neighbours import cosine_knn, slim, tfidf_knn

Settings = Mapping[str, float]
RECENCIES = (0.0, 0.7, 1.0, 1.3)


@dataclass(frozen=True)
class Recipe:
    """How to learn one stock model.

    Attributes:
        family: A key of ``FAMILIES``.
        settings: Arguments of its function.
        recency: In the reader's query; 0 is stock.
    """

    family: str
    settings: Settings = field(default_factory=dict)
    recency: float = 0.0

    @property
    def name(self) -> str:
        return self.family if not self.recency else f"{self.family}, recency {self.recency:g}"

    def learned(self, train: Interactions) -> Ranker:
        """The family's model with these settings; the recency does not matter for learning."""
        return FAMILIES[self.family].learn(train, **self.settings)

    def asked(self, model: Ranker, train: Interactions) -> Ranker:
        """What ``learned`` returned with the recency in its query, popularity filling what it leaves open.

        Every reader counts, and nobody sees a short list.
        """
        if FAMILIES[self.family].folds_in:
            model = cast("Stock", model).asked(Query(self.recency))
        return ChainRanker(model, PopularRanker(train))


@dataclass(frozen=True)
class Trial:
    recipe: Recipe
    ndcg_at_10: float


@dataclass(frozen=True)
class Family:
    """Models that differ in their settings.

    Attributes:
        learn: From ratings and settings.
        grid: Settings worth trying.
        folds_in: Whether readers are folded in, so that their query can be weighted.
    """

    learn: Callable[..., Ranker]
    grid: tuple[Settings, ...]
    folds_in: bool = True


def _each(name: str, *values: float) -> tuple[Settings, ...]:
    return tuple({name: value} for value in values)


FAMILIES: Mapping[str, Family] = {
    "item-kNN cosine": Family(cosine_knn, _each("neighbours", 50, 200, 500, 1000, 2000)),
    "item-kNN tf-idf": Family(tfidf_knn, _each("neighbours", 50, 200, 500, 1000, 2000)),
    "PureSVD": Family(PureSvd.learned, _each("factors", 32, 64, 128, 256)),
    "EASE": Family(ease, _each("ridge", 100.0, 200.0, 400.0)),
    "SLIM": Family(
        slim,
        tuple(
            {"neighbours": k, "l1": l1, "l2": l2}
            for k, l1, l2 in ((100, 1.0, 50.0), (200, 1.0, 50.0), (200, 0.5, 100.0))
        ),
    ),
    "ALS 128": Family(
        partial(StockAls.learned, factors=128),
        tuple({"regularization": r, "alpha": a} for r in (10.0, 30.0) for a in (1.0, 3.0, 10.0)),
    ),
    "ALS 512": Family(
        partial(StockAls.learned, factors=512),
        tuple({"regularization": r, "alpha": a} for r, a in ((10.0, 1.0), (30.0, 3.0), (60.0, 10.0))),
    ),
    "BPR": Family(
        bpr,
        tuple(
            {"factors": k, "learning_rate": rate, "iterations": n}
            for k, rate, n in ((64, 0.01, 100), (64, 0.05, 100), (32, 0.02, 300))
        ),
        folds_in=False,
    ),
    "LMF": Family(
        lmf,
        _each("factors", 8, 16, 32),
        folds_in=False,
    ),
}


def trials(family: str, split: Split) -> Iterator[Trial]:
    """Every setting of the family's grid, learned once, with every recency where readers are folded in.

    Args:
        family: A key of ``FAMILIES``.
        split: Made by ``models.evaluation.splits.validation``, so that the future of the real one stays unseen.
    """
    kind = FAMILIES[family]
    for settings in kind.grid:
        model = kind.learn(split.train, **settings)
        for recency in RECENCIES if kind.folds_in else (0.0,):
            recipe = Recipe(family, settings, recency)
            compared = compare(split, {family: recipe.asked(model, split.train)})
            yield Trial(recipe, compared.models[family].intervals[HEADLINE].mean)


def best(tried: list[Trial]) -> list[Recipe]:
    """The best as it comes, without recency, and the best of all where that is another."""
    stock = max((trial for trial in tried if not trial.recipe.recency), key=lambda trial: trial.ndcg_at_10)
    top = max(tried, key=lambda trial: trial.ndcg_at_10)
    return [stock.recipe] if top is stock else [stock.recipe, top.recipe]


def chosen() -> list[Recipe]:
    """The best that was tried on goodbooks (P1 validation, 2,304 readers), without and with recency, NDCG@10 there.

    item-kNN .0720 / .1224 and .0730 / .1219, PureSVD .0655 / .0982, EASE .0735 / .1189, SLIM .0773 / .1199, ALS 128
    .0717 / .1069, BPR .047; ALS 512 and LMF are not tuned. Neighbouring settings differ by .001, which is noise.
    """
    found: Mapping[str, tuple[Settings, tuple[Settings, float] | None]] = {
        "item-kNN cosine": ({"neighbours": 2000}, ({"neighbours": 2000}, 1.0)),
        "item-kNN tf-idf": ({"neighbours": 500}, ({"neighbours": 1000}, 1.0)),
        "PureSVD": ({"factors": 256}, ({"factors": 256}, 1.0)),
        "EASE": ({"ridge": 100.0}, ({"ridge": 200.0}, 1.0)),
        "SLIM": ({"neighbours": 100, "l1": 1.0, "l2": 50.0}, ({"neighbours": 200, "l1": 0.5, "l2": 100.0}, 1.0)),
        "ALS 128": ({"regularization": 10.0, "alpha": 1.0}, ({"regularization": 30.0, "alpha": 10.0}, 1.0)),
        "ALS 512": ({"regularization": 30.0, "alpha": 3.0}, ({"regularization": 30.0, "alpha": 3.0}, 1.0)),
        "BPR": ({"factors": 64, "learning_rate": 0.01, "iterations": 100}, None),
        "LMF": ({"factors": 32}, None),
    }
    recipes = []
    for family, (stock, recent) in found.items():
        recipes.append(Recipe(family, stock))
        if recent is not None:
            recipes.append(Recipe(family, *recent))
    return recipes
