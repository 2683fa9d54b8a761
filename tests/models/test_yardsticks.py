from collections.abc import Callable
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import ElasticNet

from models.evaluation.rankers import Ranker
from models.evaluation.splits import leave_last, validation
from models.training.interactions import Interactions, interactions
from models.training.yardsticks import tuning
from models.training.yardsticks.factors import StockAls, bpr, lmf
from models.training.yardsticks.linear import PureSvd, ease, ease_weights
from models.training.yardsticks.lists import ItemWeights, Query, likes
from models.training.yardsticks.neighbours import cosine_knn, regressed, slim, tfidf_knn
from models.training.yardsticks.tuning import FAMILIES, Family, Recipe, Trial, best, chosen, trials

Shelf = list[tuple[int, int]]
MODELS: dict[str, Callable[[Interactions], Any]] = {
    "cosine": lambda train: cosine_knn(train, 4),
    "tf-idf": lambda train: tfidf_knn(train, 4),
    "EASE": lambda train: ease(train, 1.0),
    "SLIM": lambda train: slim(train, 5, l1=0.01, l2=0.1),
    "PureSVD": lambda train: PureSvd.learned(train, 2),
    "ALS": lambda train: StockAls.learned(train, 2, 0.1, 1.0),
}


def library(shelves: list[Shelf], book: Callable[[int], UUID]) -> Interactions:
    """Each reader's ratings (book, stars) in order; books must be 0 … m without a gap to keep their numbers."""
    rows = [(reader, number, stars) for reader, shelf in enumerate(shelves) for number, stars in shelf]
    return interactions(
        [reader for reader, *_ in rows], [book(n) for _, n, _ in rows], [s for *_, s in rows], np.arange(len(rows))
    )


@pytest.fixture
def checkerboard(book: Callable[[int], UUID]) -> Interactions:
    """Even readers like the even books of ten, odd readers the odd ones; each has left out one of theirs."""
    return library(
        [[(n, 5) for n in range(10) if n % 2 == reader % 2 and n != reader] for reader in range(10)]
        + [[(n, 4) for n in range(side, 10, 2)] for side in (0, 1) for _ in range(10)],
        book,
    )


@pytest.mark.parametrize("model", MODELS)
def test_everybody_is_offered_first_the_one_book_of_their_colour_that_they_have_not_read(
    checkerboard: Interactions, model: str
) -> None:
    top = MODELS[model](checkerboard).top(checkerboard, np.arange(10), 3)
    assert top[:, 0].tolist() == list(range(10))


@pytest.mark.parametrize("learn", [lambda t: bpr(t, 8, 0.1, 200), lambda t: lmf(t, 2, 0.1, 60)], ids=["BPR", "LMF"])
def test_models_that_cannot_fold_in_rank_for_those_they_have_learned_alone(
    checkerboard: Interactions, learn: Callable[[Interactions], Ranker]
) -> None:
    """Reader 3 is absent from training, and has a history all the same."""
    model = learn(checkerboard.only(checkerboard.reader != 3))
    top = model.top(checkerboard, np.arange(10), 1)[:, 0]
    assert top[3] == -1
    assert np.delete(top, 3).tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("model", MODELS)
def test_nothing_rated_is_offered_whatever_the_stars_and_nothing_to_who_likes_nothing(
    book: Callable[[int], UUID], model: str
) -> None:
    rng = np.random.default_rng(3)
    shelves = [
        [(int(n), int(rng.integers(1, 6))) for n in rng.permutation(12)[: rng.integers(3, 9)]] for _ in range(25)
    ]
    history = library([*shelves, [(n, 1) for n in range(11)], [(n, 5) for n in range(12)]], book)
    top = MODELS[model](history).top(history, np.arange(history.reader_count), 12)
    for reader, shelf in enumerate(shelves):
        offered = top[reader][top[reader] >= 0].tolist()
        assert not {n for n, _ in shelf} & set(offered)
        assert len(offered) == len(set(offered))
    assert (top[25:] == -1).all()


def test_the_query_counts_likes_alone_but_every_rating_takes_a_place(book: Callable[[int], UUID]) -> None:
    history = library([[(0, 5), (1, 2), (2, 4)], [(3, 3)], [(1, 4)]], book)
    assert Query(recency=1.0).rows(history, np.array([2, 0])).toarray() == pytest.approx(
        np.array([[0, 1, 0, 0], [1 / 3, 0, 1, 0]])
    )
    assert likes(history, Query(recency=1.0)).toarray().tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_recency_makes_the_newest_book_decide(book: Callable[[int], UUID]) -> None:
    """Books 0, 1 and 2 speak for book 3 with .4 each, book 4 alone for book 5 with 1."""
    weights = np.zeros((6, 6), dtype=np.float32)
    weights[:3, 3], weights[4, 5] = 0.4, 1.0
    history = library([[(0, 5), (1, 5), (2, 5), (4, 5)], [(n, 1) for n in range(6)]], book)
    stock = ItemWeights(weights, Query())
    assert stock.top(history, np.array([0]), 2).tolist() == [[3, 5]]
    assert stock.asked(Query(1.0)).top(history, np.array([0]), 2).tolist() == [[5, 3]]
    sparse = ItemWeights(csr_matrix(weights), Query(1.0))
    assert sparse.top(history, np.array([0]), 2).tolist() == [[5, 3]]


def test_ease_solves_its_constrained_regression_directly() -> None:
    """Each column is the ridge regression of a book on all the others: what the closed form claims to be."""
    liked = (np.random.default_rng(1).random((30, 8)) < 0.4).astype(np.float32)
    found = ease_weights(csr_matrix(liked), 2.0)
    for j in range(8):
        others = np.delete(np.arange(8), j)
        x = liked[:, others].astype(np.float64)
        direct = np.linalg.solve(x.T @ x + 2.0 * np.eye(7), x.T @ liked[:, j])
        assert found[others, j] == pytest.approx(direct, abs=1e-5)
        assert found[j, j] == 0


def test_ease_of_two_books_by_hand() -> None:
    """Two readers like both, one the first alone: co-liked 2, so the weights are 2 / (3 + 1) and 2 / (2 + 1)."""
    found = ease_weights(csr_matrix(np.array([[1, 1], [1, 1], [1, 0]], dtype=np.float32)), 1.0)
    assert found == pytest.approx(np.array([[0, 2 / 4], [2 / 3, 0]]), abs=1e-6)


def test_slim_finds_what_scikit_learn_s_elastic_net_finds() -> None:
    liked = (np.random.default_rng(5).random((60, 7)) < 0.4).astype(np.float32)
    exact = liked.astype(np.float64)
    features = np.array([[n for n in range(7) if n != j] for j in range(7)])
    found = regressed(liked.T @ liked, np.arange(7), features, l1=1.5, l2=3.0, sweeps=500)
    for j in range(7):
        # Theirs is 1/(2n) |y - Xw|² + alpha · ratio |w|₁ + alpha (1 - ratio) / 2 |w|².
        alpha = (1.5 + 3.0) / 60
        net = ElasticNet(alpha=alpha, l1_ratio=1.5 / 4.5, positive=True, fit_intercept=False, tol=1e-8, max_iter=10**5)
        assert found[j] == pytest.approx(net.fit(exact[:, features[j]], exact[:, j]).coef_, abs=1e-3)
    assert (found == 0).any()
    assert (found > 0).any()


def test_cosine_by_hand(book: Callable[[int], UUID]) -> None:
    """Books 0 and 1 are liked together by two readers, 0 by a third: 2 / √(3 · 2). Book 2 has nobody in common."""
    train = library([[(0, 5), (1, 5)], [(0, 5), (1, 4)], [(0, 4)], [(2, 5)]], book)
    weights = cosine_knn(train, 2).weights
    assert isinstance(weights, csr_matrix)
    alike = 2 / 6**0.5
    assert weights.toarray() == pytest.approx(np.array([[0, alike, 0], [alike, 0, 0], [0, 0, 0]]), abs=1e-6)


def test_tuning_looks_at_every_setting_and_recency_and_keeps_stock_apart(
    checkerboard: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = ({"neighbours": 2}, {"neighbours": 4})
    monkeypatch.setattr(tuning, "FAMILIES", {"kNN": Family(cosine_knn, grid), "BPR": FAMILIES["BPR"]})
    tried = list(trials("kNN", validation(leave_last(checkerboard))))
    assert [(dict(t.recipe.settings), t.recipe.recency) for t in tried] == [
        (settings, recency) for settings in grid for recency in tuning.RECENCIES
    ]
    assert all(0 <= trial.ndcg_at_10 <= 1 for trial in tried)


def test_the_best_is_told_without_recency_and_with() -> None:
    plain, worse, recent = Recipe("EASE"), Recipe("EASE", {"ridge": 1.0}), Recipe("EASE", {"ridge": 1.0}, 1.0)
    tried = [Trial(worse, 0.1), Trial(plain, 0.2), Trial(recent, 0.3)]
    assert best(tried) == [plain, recent]
    assert best([*tried, Trial(Recipe("EASE", {"ridge": 9.0}), 0.4)]) == [Recipe("EASE", {"ridge": 9.0})]
    assert [plain.name, recent.name] == ["EASE", "EASE, recency 1"]


def test_every_family_has_its_chosen_recipes() -> None:
    assert {recipe.family for recipe in chosen() if not recipe.recency} == set(FAMILIES)
    assert {recipe.family for recipe in chosen() if recipe.recency} == {n for n, f in FAMILIES.items() if f.folds_in}
