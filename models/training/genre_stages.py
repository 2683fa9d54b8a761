"""The two stages of the genre model, from words and then from everything, and their calibration."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier

from models.training.genre_features import Books, Floats, Truth

WHOLE_NAMES = r"[^,\s][^,]*"
RARE = 1e-4  # log-odds of a genre that a fold does not have are those of this frequency
CONSTANT = 1e-3  # a feature that varies less, in its own units, does not vary
FARTHEST = 8.0  # standard deviations
CURVATURE = 1e-6  # added to the Newton steps of the calibration: both parameters may be undetermined
STEPS = 50
EVEN = 0.5
SUPPORT = 50  # a genre of so many books has a threshold half its own, half that of all


@dataclass(frozen=True)
class Words:
    """TF-IDF of words (of title, series and description) and of whole author names, one logistic regression a genre."""

    words: TfidfVectorizer
    authors: TfidfVectorizer
    classifier: OneVsRestClassifier

    @classmethod
    def learn(cls, books: Books, truth: Truth, inverse_penalty: float, folds: NDArray[np.int64]) -> tuple[Self, Floats]:
        """Learns from all, and says what it would have said of each book without that book's fold: (n, g) log-odds.

        Raises:
            ValueError: There are no words.
        """
        words = TfidfVectorizer(sublinear_tf=True, min_df=2, strip_accents="unicode")
        authors = TfidfVectorizer(token_pattern=WHOLE_NAMES, strip_accents="unicode")
        features = _together(words.fit_transform(_prose(books)), authors.fit_transform(books.authors))
        one_each = OneVsRestClassifier(LogisticRegression(solver="liblinear", C=inverse_penalty))

        def without(train: NDArray[np.intp], test: NDArray[np.intp]) -> Floats:
            known = truth[train].any(axis=0) & ~truth[train].all(axis=0)  # a classifier needs both
            told = np.full((len(test), truth.shape[1]), np.log(RARE), np.float32)
            told[:, truth[train].all(axis=0)] = -np.log(RARE)
            if known.any():
                fitted = one_each.fit(features[train], truth[train][:, known].astype(np.int8))
                told[:, known] = _columns(fitted.decision_function(features[test]))
            return told

        apart = out_of_fold(folds, without)
        one_each = OneVsRestClassifier(LogisticRegression(solver="liblinear", C=inverse_penalty))
        return cls(words, authors, one_each.fit(features, truth.astype(np.int8))), apart

    def log_odds(self, books: Books) -> Floats:
        features = _together(self.words.transform(_prose(books)), self.authors.transform(books.authors))
        return _columns(self.classifier.decision_function(features))


@dataclass(frozen=True)
class Judge:
    """Logistic regressions of all genres on standardized features.

    Attributes:
        centre: (f,).
        scale: (f,).
        classifier: scikit-learn's network without a hidden layer, which is one logistic regression a genre, fitted at
            once: ten times as fast as one after the other.
    """

    centre: Floats
    scale: Floats
    classifier: MLPClassifier

    @classmethod
    def learn(cls, features: Floats, truth: Truth, penalty: float, taste: int) -> Self:
        """Features with one scale of their own each, but for the last ``taste``, which share theirs."""
        centre, scale = features.mean(axis=0), features.std(axis=0)
        scale[len(scale) - taste :] = 1 / np.sqrt(taste)
        scale[scale < CONSTANT] = 1
        classifier = MLPClassifier((), solver="lbfgs", alpha=penalty, max_iter=80, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # held-out figures have long stopped to change by then
            classifier.fit(_standardized(features, centre, scale), _targets(truth))
        return cls(centre, scale, classifier)

    def log_odds(self, features: Floats) -> Floats:
        [weights], [intercept] = self.classifier.coefs_, self.classifier.intercepts_
        told: Floats = _standardized(features, self.centre, self.scale) @ weights + intercept
        return told


def out_of_fold(folds: NDArray[np.int64], without: Callable[[NDArray[np.intp], NDArray[np.intp]], Floats]) -> Floats:
    """Puts together what is said of each fold by who learned from the others: ``without(train, test)``."""
    tests = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
    told = [without(np.flatnonzero(~np.isin(np.arange(len(folds)), test)), test) for test in tests]
    together: Floats = np.concatenate(told)[np.argsort(np.concatenate(tests), kind="stable")]
    return together


def calibration(log_odds: Floats, truth: Truth) -> tuple[float, float]:
    """Slope a ≥ 0 and offset b with which expit(a x + b) are probabilities, by Newton's method.

    Platt (1999), with his targets a little within 0 and 1: where everything was told apart, a stays finite.

    Args:
        log_odds: (n, g), of books that had no part in what said them.
        truth: (n, g).
    """
    x, happened = log_odds.ravel().astype(np.float64), truth.ravel()
    hits, misses = happened.sum(), (~happened).sum()
    y = np.where(happened, (hits + 1) / (hits + 2), 1 / (misses + 2))
    design = np.stack([x, np.ones_like(x)], axis=1)
    both = np.array([1.0, 0.0])
    for _ in range(STEPS):
        p = expit(design @ both)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + CURVATURE * len(x) * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (p - y))
        both -= np.clip(step, -1, 1)  # no step leaves the region where the quadratic resembles the loss
        if np.abs(step).max() < CURVATURE:
            break
    return max(float(both[0]), 0.0), float(both[1])


def thresholds(probability: NDArray[np.float64], truth: Truth) -> NDArray[np.float64]:
    """(g,) from which probability on a genre is to be proposed, for the best F1 on these books.

    Each genre's own best, shrunken to the best for all pairs by how many books the genre has: of few books the best
    threshold is chance. Never above one half, which the best one of true probabilities never is: it is half the F1 that
    it gives (Lipton, Elkan and Naryanaswamy 2014, theorem 1).
    """
    shared = _best_threshold(probability.ravel(), truth.ravel())
    own = np.array([_best_threshold(p, y) for p, y in zip(probability.T, truth.T, strict=True)])
    trust = truth.sum(axis=0) / (truth.sum(axis=0) + SUPPORT)
    return np.asarray(np.minimum(trust * own + (1 - trust) * shared, EVEN), dtype=np.float64)


def _best_threshold(probability: NDArray[np.float64], happened: NDArray[np.bool_]) -> float:
    """Half way between the last to be proposed and the first not to be."""
    order = np.argsort(-probability, kind="stable")
    right = np.cumsum(happened[order])
    f1 = 2 * right / (np.arange(1, len(order) + 1) + right[-1])
    last = int(np.argmax(f1))
    return float(probability[order[last : last + 2]].mean())


def _prose(books: Books) -> list[str]:
    parts = zip(books.titles, books.series, books.descriptions, strict=True)
    return [" ".join(part for part in own if part) for own in parts]


def _standardized(features: Floats, centre: Floats, scale: Floats) -> Floats:
    """Not beyond what was learned from: a column that hardly varied there says nothing about what is far away."""
    standardized: Floats = np.clip((features - centre) / scale, -FARTHEST, FARTHEST)
    return standardized


def _together(*features: csr_matrix) -> csr_matrix:
    return hstack(features).tocsr()


def _columns(decision: NDArray[np.floating]) -> Floats:
    """(n, g) also where g is 1, which scikit-learn makes (n,)."""
    return np.asarray(decision, dtype=np.float32).reshape(len(decision), -1)


def _targets(truth: Truth) -> NDArray[np.int8]:
    """As scikit-learn wants them: one column alone is no table."""
    numbers = truth.astype(np.int8)
    return numbers[:, 0] if numbers.shape[1] == 1 else numbers
