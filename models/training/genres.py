"""Which genres a book without any might belong to, read from its title, author and description."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import skops.io
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier
from skops.io.exceptions import UntrustedTypesFoundException

MODEL, FACTS = "genres.skops", "genres.json"
WHOLE_NAMES = r"[^,\s][^,]*"
PARTS = ("words", "authors", "classifier")


class TooFewBooks(ValueError):
    """No genre has enough books to learn from."""


class GenreModelRefused(ValueError):
    """The files are not a genre model, or hold a type that a genre model does not need."""


class Texts(NamedTuple):
    """What is read of n books, column by column; several authors of a book are separated by commas."""

    titles: Sequence[str]
    authors: Sequence[str]
    descriptions: Sequence[str | None]

    def rows(self, chosen: Sequence[int] | NDArray[np.integer]) -> "Texts":
        titles, authors, descriptions = self
        return Texts(
            [titles[row] for row in chosen], [authors[row] for row in chosen], [descriptions[row] for row in chosen]
        )


class Proposal(NamedTuple):
    genre: str
    probability: float


@dataclass(frozen=True)
class GenreParams:
    """A recipe. The defaults were chosen on held-out books of goodbooks (10,000 titles and authors, 40 genres).

    What was tried there, micro / macro F1 (another random split moves them by .01): inverse_penalty 3: .719/.599,
    10: .721/.629, 30: .717/.631; balanced class weights .718/.640, but what they give are no probabilities; threshold
    .2: .711/.636, .3: .721/.629, .4: .715/.607, .5: .700/.582.

    Attributes:
        inverse_penalty: C of the logistic regressions.
        threshold: A genre less probable than this is not proposed.
        fewest_books: A genre with fewer is not learned.
    """

    inverse_penalty: float = 10.0
    threshold: float = 0.3
    fewest_books: int = 5


@dataclass(frozen=True)
class GenreReport:
    """How the proposals for held-out books compare with their genres.

    Attributes:
        micro_f1: Over all pairs of book and genre; what was not proposed counts as missed.
        macro_f1: Mean over genres, those with too few books to be learned included.
        coverage: Share of the books with at least one proposal.
        books: How many were held out.
        genres: How many genres they have.
    """

    micro_f1: float
    macro_f1: float
    coverage: float
    books: int
    genres: int

    @property
    def metrics(self) -> dict[str, float]:
        """Flat, for MLflow."""
        return {f"genres_{name}": float(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class GenreModel:
    """TF-IDF of words and of whole author names, one logistic regression a genre.

    Attributes:
        genres: The column order of ``classifier``.
        params: Its recipe.
        words: Of title and description.
        authors: Of the names between commas.
        classifier: One-vs-rest.
    """

    genres: tuple[str, ...]
    params: GenreParams
    words: TfidfVectorizer
    authors: TfidfVectorizer
    classifier: OneVsRestClassifier

    def probabilities(self, texts: Texts) -> NDArray[np.float64]:
        """Shape (books, genres); genres do not exclude each other, so a row need not add up to 1."""
        features = _together(self.words.transform(_prose(texts)), self.authors.transform(texts.authors))
        return np.asarray(self.classifier.predict_proba(features), dtype=np.float64)

    def propose(self, texts: Texts) -> list[list[Proposal]]:
        """For each book the genres at or above the threshold, most probable first; none is how the model abstains."""
        if not len(texts.titles):
            return []
        return [
            [
                Proposal(self.genres[column], float(row[column]))
                for column in np.argsort(-row, kind="stable")
                if row[column] >= self.params.threshold
            ]
            for row in self.probabilities(texts)
        ]


def fit(texts: Texts, genres: Sequence[Collection[str]], params: GenreParams | None = None) -> GenreModel:
    """Learns from the books that have genres; the others are left out, theirs are not known.

    Takes about a second for 10,000 books and 40 genres.

    Args:
        texts: n books.
        genres: The genres of each, by whatever name or id proposals are to carry.
        params: The recipe.

    Raises:
        TooFewBooks: No genre has ``fewest_books``.
    """
    params = params or GenreParams()
    labelled = [row for row, own in enumerate(genres) if own]
    known = texts.rows(labelled)
    truth, names = _table([genres[row] for row in labelled])
    # A genre that every book has needs no classifier, and cannot have one.
    learnable = (truth.sum(axis=0) >= params.fewest_books) & ~truth.all(axis=0)
    if not learnable.any():
        raise TooFewBooks(f"no genre has at least {params.fewest_books} books among others: nothing to learn from")
    words = TfidfVectorizer(sublinear_tf=True, min_df=2, strip_accents="unicode")
    authors = TfidfVectorizer(token_pattern=WHOLE_NAMES, strip_accents="unicode")
    try:
        features = _together(words.fit_transform(_prose(known)), authors.fit_transform(known.authors))
    except ValueError as why:  # scikit-learn's way to say that no word is left
        raise TooFewBooks(f"the books say too little to learn from: {why}") from why
    one_each = LogisticRegression(solver="liblinear", C=params.inverse_penalty)
    classifier = OneVsRestClassifier(one_each).fit(features, truth[:, learnable].astype(np.int8))
    chosen = tuple(name for name, learned in zip(names, learnable, strict=True) if learned)
    return GenreModel(chosen, params, words, authors, classifier)


def evaluate(
    texts: Texts,
    genres: Sequence[Collection[str]],
    params: GenreParams | None = None,
    *,
    share: float = 0.2,
    seed: int = 0,
) -> GenreReport:
    """Fits on a random part of the books that have genres and proposes for the rest.

    Authors are on both sides of this split, as they will be of a real library's new books.

    Args:
        texts: n books.
        genres: The genres of each.
        params: The recipe.
        share: How much is held out.
        seed: Same seed, same split.

    Raises:
        TooFewBooks: One side of the split has nothing.
    """
    labelled = np.array([row for row, own in enumerate(genres) if own], dtype=np.intp)
    shuffled = np.random.default_rng(seed).permutation(labelled)
    held_out = round(share * len(shuffled))
    test, train = shuffled[:held_out], shuffled[held_out:]
    if not held_out:
        raise TooFewBooks(f"{len(shuffled)} books with genres: none can be held out")
    model = fit(texts.rows(train), [genres[row] for row in train], params)
    proposed = [[proposal.genre for proposal in own] for own in model.propose(texts.rows(test))]
    truth, names = _table([genres[row] for row in test])
    # Genres that only proposals name are wrong wherever they are: they count, too.
    names = sorted({*names, *(genre for own in proposed for genre in own)})
    truth, guess = _table([genres[row] for row in test], names)[0], _table(proposed, names)[0]
    return GenreReport(
        micro_f1=float(f1_score(truth, guess, average="micro", zero_division=0)),
        macro_f1=float(f1_score(truth, guess, average="macro", zero_division=0)),
        coverage=float(guess.any(axis=1).mean()),
        books=len(test),
        genres=len(names),
    )


def save(model: GenreModel, folder: Path) -> tuple[Path, Path]:
    """Writes the model without pickle: what is scikit-learn's by skops, the rest as JSON. Both files, for a bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    skops.io.dump({part: getattr(model, part) for part in PARTS}, folder / MODEL)
    facts = {"genres": model.genres, "params": asdict(model.params)}
    (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return folder / MODEL, folder / FACTS


def load(folder: Path) -> GenreModel:
    """Raises GenreModelRefused when the files are damaged or hold a type that skops does not trust by itself."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        parts = skops.io.load(folder / MODEL, trusted=[])
        return GenreModel(tuple(facts["genres"]), GenreParams(**facts["params"]), *(parts[part] for part in PARTS))
    except (OSError, ValueError, KeyError, TypeError, BadZipFile, UntrustedTypesFoundException) as why:
        raise GenreModelRefused(f"genre model in {folder} refused: {why}") from why


def _prose(texts: Texts) -> list[str]:
    return [f"{title} {more or ''}" for title, more in zip(texts.titles, texts.descriptions, strict=True)]


def _together(*features: csr_matrix) -> csr_matrix:
    return hstack(features).tocsr()


def _table(
    genres: Sequence[Collection[str]], names: Sequence[str] | None = None
) -> tuple[NDArray[np.bool_], list[str]]:
    """Who has what, (books, genres), and the genres of its columns: all that occur, sorted, unless given."""
    columns = list(names) if names is not None else sorted({genre for own in genres for genre in own})
    place = {genre: column for column, genre in enumerate(columns)}
    table = np.zeros((len(genres), len(columns)), dtype=np.bool_)
    for row, own in enumerate(genres):
        table[row, [place[genre] for genre in own]] = True
    return table, columns
