"""Which genres a book without any might belong to, from its words, its readers and its author's other books."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, BadZipFile

import numpy as np
import skops.io
from numpy.typing import NDArray
from scipy.special import expit
from skops.io.exceptions import UntrustedTypesFoundException
from threadpoolctl import threadpool_limits

from models.training.genre_features import Books, Floats, Shelf, Truth, common_languages
from models.training.genre_stages import Judge, Words, calibration, out_of_fold, thresholds

MODEL, FACTS = "genres.skops", "genres.json"
BLOCK = 10_000  # books proposed for at once: bounds the memory


class TooFewBooks(ValueError):
    """No genre has enough books to learn from."""


class GenreModelRefused(ValueError):
    """The files are not a genre model, or hold a type that a genre model does not need."""


class Proposal(NamedTuple):
    genre: str
    probability: float


@dataclass(frozen=True)
class GenreParams:
    """A recipe. The defaults were chosen on held-out books of goodbooks (10,000 books, 40 genres, no descriptions).

    What was tried there, micro / macro F1, a fifth of the books held out (another split moves them by .005):

    - one kind of evidence: author .68/.59, words with author .71/.61, the ten nearest in taste .74/.62, all by taste
      vector .73/.61; everything together .80/.72, and for authors that nobody has seen .70/.57;
    - taste from the factors of ALS: .80/.71 and .68/.55 for new authors; 64 dimensions: .80/.71, 256: .81/.72;
    - without the first stage, on everything but words: .80/.70;
    - authors, series and neighbours of a book learned from by all other books instead of those of other folds:
      .802/.715 instead of .804/.719, and worse calibrated;
    - penalty 10: .787/.70, 50: .801/.714, 150: .802/.715, 300: .801/.717, 800: .80/.69; of 1,000 books 15: .66/.51,
      50: .68/.51, 150: .67/.50;
    - thresholds: one for all .806/.711, each genre its own .800/.714;
    - a hidden layer of 64: .80/.70; boosted trees a genre: .80/.70, their mean with this model .81/.72 for twice the
      time;
    - the beginning of the ISBN, which is the publisher: .003 better, and .004 worse for new authors.

    Attributes:
        inverse_penalty: C of the logistic regressions on words.
        penalty: Of the squared coefficients of the second stage, against the sum of the losses.
        folds: In how many parts books are judged by a model that does not know them: for the second stage's first
            column, for calibration and thresholds.
        fewest_books: A genre with fewer is not learned.
        most_books: Of a larger library the most read so many are learned from.
        seed: Same seed, same folds.
    """

    inverse_penalty: float = 10.0
    penalty: float = 150.0
    folds: int = 5
    fewest_books: int = 5
    most_books: int = 30_000
    seed: int = 0


@dataclass(frozen=True)
class GenreModel:
    """Words, then everything; calibrated.

    Attributes:
        genres: The order of all columns.
        params: Its recipe.
        words: The first stage.
        shelf: The books learned from.
        judge: The second stage.
        slope: Of the calibration.
        offset: Of the calibration.
        thresholds: (genres,) a genre less probable than its threshold is not proposed.
    """

    genres: tuple[str, ...]
    params: GenreParams
    words: Words
    shelf: Shelf
    judge: Judge
    slope: float
    offset: float
    thresholds: NDArray[np.float64]

    def probabilities(self, books: Books) -> NDArray[np.float64]:
        """Shape (books, genres); genres do not exclude each other, so a row need not add up to 1."""
        parts = [self._log_odds(books.rows(block)) for block in _blocks(len(books))]
        together = np.concatenate(parts) if parts else np.empty((0, len(self.genres)), np.float32)
        return _calibrated(together, self.slope, self.offset)

    def _log_odds(self, books: Books) -> Floats:
        return self.judge.log_odds(self.shelf.features(books, self.words.log_odds(books)))

    def propose(self, books: Books) -> list[list[Proposal]]:
        """For each book the genres at or above their thresholds, most probable first.

        None is how the model abstains.
        """
        return [
            [
                Proposal(self.genres[column], float(row[column]))
                for column in np.argsort(-row, kind="stable")
                if row[column] >= self.thresholds[column]
            ]
            for row in self.probabilities(books)
        ]


def fit(books: Books, genres: Sequence[Collection[str]], params: GenreParams | None = None) -> GenreModel:
    """Learns from the books that have genres; the others are left out, theirs are not known.

    Takes about 25 s of one core for 10,000 books and 40 genres.

    Args:
        books: n.
        genres: The genres of each, by whatever name or id proposals are to carry.
        params: The recipe.

    Raises:
        TooFewBooks: No genre has ``fewest_books``.
    """
    params = params or GenreParams()
    labelled = np.array([row for row, own in enumerate(genres) if own], dtype=np.intp)
    labelled = np.sort(labelled[np.argsort(-books.readers[labelled], kind="stable")[: params.most_books]])
    known = books.rows(labelled)
    everything, names = table([genres[row] for row in labelled])
    # A genre that every book has needs no classifier, and cannot have one.
    learnable = (everything.sum(axis=0) >= params.fewest_books) & ~everything.all(axis=0)
    if not learnable.any():
        raise TooFewBooks(f"no genre has at least {params.fewest_books} books among others: nothing to learn from")
    truth = everything[:, learnable]
    folds = np.random.default_rng(params.seed).permutation(len(labelled)) % params.folds
    try:
        words, apart = Words.learn(known, truth, params.inverse_penalty, folds)
    except ValueError as why:  # scikit-learn's way to say that no word is left
        raise TooFewBooks(f"the books say too little to learn from: {why}") from why
    languages = common_languages(known)

    def without(train: NDArray[np.intp], test: NDArray[np.intp]) -> Floats:
        shelf = Shelf.learn(known.rows(train), truth[train], languages)
        return shelf.features(known.rows(test), apart[test])

    features = out_of_fold(folds, without)
    judge, slope, offset, limits = _judged(features, truth, params, folds, taste=known.taste.shape[1])
    shelf = Shelf.learn(known, truth, languages)
    chosen = tuple(name for name, learned in zip(names, learnable, strict=True) if learned)
    return GenreModel(chosen, params, words, shelf, judge, slope, offset, limits)


def _judged(
    features: Floats, truth: Truth, params: GenreParams, folds: NDArray[np.int64], taste: int
) -> tuple[Judge, float, float, NDArray[np.float64]]:
    """The second stage of all books; and from what it says of each fold without it, calibration and thresholds."""

    def without(train: NDArray[np.intp], test: NDArray[np.intp]) -> Floats:
        return Judge.learn(features[train], truth[train], params.penalty, taste).log_odds(features[test])

    with threadpool_limits(limits=1, user_api="blas"):  # on few cores BLAS threads spend their time waiting
        apart = out_of_fold(folds, without)
        judge = Judge.learn(features, truth, params.penalty, taste)
    slope, offset = calibration(apart, truth)
    return judge, slope, offset, thresholds(_calibrated(apart, slope, offset), truth)


def save(model: GenreModel, folder: Path) -> tuple[Path, Path]:
    """Writes the model without pickle: what is scikit-learn's by skops, the rest as JSON. Both files, for a bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {
        "words": vars(model.words),
        "shelf": model.shelf.to_parts(),
        "judge": vars(model.judge),
        "thresholds": model.thresholds,
    }
    skops.io.dump(parts, folder / MODEL, compression=ZIP_DEFLATED)
    facts = {
        "genres": model.genres,
        "params": asdict(model.params),
        "calibration": {"slope": model.slope, "offset": model.offset},
    }
    (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return folder / MODEL, folder / FACTS


def load(folder: Path) -> GenreModel:
    """Raises GenreModelRefused when the files are damaged or hold a type that skops does not trust by itself."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        parts = skops.io.load(folder / MODEL, trusted=[])
        genres = tuple(facts["genres"])
        return GenreModel(
            genres=genres,
            params=GenreParams(**facts["params"]),
            words=Words(**parts["words"]),
            shelf=Shelf.from_parts(parts["shelf"], len(genres)),
            judge=Judge(**parts["judge"]),
            slope=float(facts["calibration"]["slope"]),
            offset=float(facts["calibration"]["offset"]),
            thresholds=parts["thresholds"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BadZipFile, UntrustedTypesFoundException) as why:
        raise GenreModelRefused(f"genre model in {folder} refused: {why}") from why


def table(genres: Sequence[Collection[str]], names: Sequence[str] | None = None) -> tuple[Truth, list[str]]:
    """Who has what, (books, genres), and the genres of its columns: all that occur, sorted, unless given."""
    columns = list(names) if names is not None else sorted({genre for own in genres for genre in own})
    place = {genre: column for column, genre in enumerate(columns)}
    table = np.zeros((len(genres), len(columns)), dtype=np.bool_)
    for row, own in enumerate(genres):
        table[row, [place[genre] for genre in own]] = True
    return table, columns


def _calibrated(log_odds: Floats, slope: float, offset: float) -> NDArray[np.float64]:
    return np.asarray(expit(slope * log_odds.astype(np.float64) + offset))


def _blocks(n: int) -> Iterator[NDArray[np.intp]]:
    for start in range(0, n, BLOCK):
        yield np.arange(start, min(start + BLOCK, n))
