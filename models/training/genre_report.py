"""How good a genre model is: on held-out books, and on books of held-out authors."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from models.evaluation.calibration import Reliability, reliability
from models.training.genre_features import Books, author_names
from models.training.genres import GenreParams, TooFewBooks, fit, table

SPLITS = ("random", "author")


@dataclass(frozen=True)
class OfGenre:
    """One genre's proposals: shares 0..1, and how many of the held-out books have it."""

    genre: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class GenreReport:
    """How the proposals for held-out books compare with their genres.

    Attributes:
        micro_f1: Over all pairs of book and genre; what was not proposed counts as missed.
        macro_f1: Mean over genres, those with too few books to be learned included.
        coverage: Share of the books with at least one proposal.
        books: How many were held out.
        genres: Each, by name.
        reliability: Of the probabilities of all pairs of a book and a learned genre.
    """

    micro_f1: float
    macro_f1: float
    coverage: float
    books: int
    genres: tuple[OfGenre, ...]
    reliability: Reliability

    @property
    def metrics(self) -> dict[str, float]:
        """Flat, for MLflow."""
        return {
            "genres_micro_f1": self.micro_f1,
            "genres_macro_f1": self.macro_f1,
            "genres_coverage": self.coverage,
            "genres_calibration_error": self.reliability.error,
            "genres_books": float(self.books),
            "genres_genres": float(len(self.genres)),
        }


def evaluate(
    books: Books,
    genres: Sequence[Collection[str]],
    params: GenreParams | None = None,
    *,
    split: str = "random",
    share: float = 0.2,
    seed: int = 0,
) -> GenreReport:
    """Fits on a part of the books that have genres and proposes for the rest.

    Ratings of held-out books are known, as those of a real library's books without genres are; their genres are not,
    neither to the fit nor to calibration and thresholds.

    Args:
        books: n.
        genres: The genres of each.
        params: The recipe.
        split: "random": authors are on both sides, as they will be for most new books. "author": whoever wrote a
            held-out book wrote none of those learned from.
        share: How much is held out, of the books or of the first authors.
        seed: Same seed, same split.

    Raises:
        TooFewBooks: One side of the split has nothing.
    """
    labelled = np.array([row for row, own in enumerate(genres) if own], dtype=np.intp)
    train, test = (_by_author if split == "author" else _at_random)(books, labelled, share, seed)
    if not len(test):
        raise TooFewBooks(f"{len(labelled)} books with genres: none can be held out")
    model = fit(books.rows(train), [genres[row] for row in train], params)
    probability = model.probabilities(books.rows(test))
    names = sorted({genre for row in test for genre in genres[row]} | set(model.genres))
    truth, _ = table([genres[row] for row in test], names)
    columns = [names.index(genre) for genre in model.genres]
    proposed = np.zeros_like(truth)
    proposed[:, columns] = probability >= model.thresholds
    # A genre that no held-out book has, and that is not proposed for any, says nothing about the model.
    told = truth.any(axis=0) | proposed.any(axis=0)
    truth_told, proposed_told = truth[:, told], proposed[:, told]
    precision, recall, f1, support = precision_recall_fscore_support(truth_told, proposed_told, zero_division=0)
    hits = np.sum(truth & proposed)
    return GenreReport(
        micro_f1=float(2 * hits / max(truth.sum() + proposed.sum(), 1)),
        macro_f1=float(np.mean(f1)),
        coverage=float(proposed.any(axis=1).mean()),
        books=len(test),
        genres=tuple(
            OfGenre(name, float(p), float(r), float(f), int(s))
            for name, p, r, f, s in zip(np.array(names)[told].tolist(), precision, recall, f1, support, strict=True)
        ),
        reliability=reliability(probability.ravel(), truth[:, columns].ravel()),
    )


def per_genre(reports: Mapping[str, GenreReport]) -> str:
    """A Markdown table: a row a genre, and beside each other what each split says of it."""
    names = sorted({own.genre for report in reports.values() for own in report.genres})
    of_split = [{own.genre: own for own in report.genres} for report in reports.values()]
    head = [f"{what} ({split})" for split in reports for what in ("precision", "recall", "F1", "books")]
    lines = [" | ".join(["genre", *head]), " | ".join(["---", *("---:" for _ in head)])]
    for name in names:
        cells = [cell for found in of_split for cell in _cells(found.get(name))]
        lines.append(" | ".join([name.replace("|", "\\|"), *cells]))
    return "\n".join(f"| {line} |" for line in lines)


def _cells(own: OfGenre | None) -> list[str]:
    if own is None:
        return ["", "", "", "0"]
    return [f"{own.precision:.2f}", f"{own.recall:.2f}", f"{own.f1:.2f}", str(own.support)]


Rows = NDArray[np.intp]


def _at_random(_: Books, labelled: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    shuffled = np.random.default_rng(seed).permutation(labelled)
    held_out = round(share * len(shuffled))
    return shuffled[held_out:], shuffled[:held_out]


def _by_author(books: Books, labelled: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """Books of which any author is held out are on neither side unless the first author is held out, too."""
    names = [author_names(books.authors[row]) or [""] for row in labelled]
    firsts = sorted({own[0] for own in names})
    chosen = np.random.default_rng(seed).permutation(len(firsts))[: round(share * len(firsts))]
    held_out = {firsts[number] for number in chosen}
    test = np.array([own[0] in held_out for own in names], dtype=np.bool_)
    touched = {name for own, held in zip(names, test, strict=True) if held for name in own}
    clean = np.array([touched.isdisjoint(own) for own in names], dtype=np.bool_)
    return labelled[~test & clean], labelled[test]
