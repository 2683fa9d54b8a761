import numpy as np
import pytest

from models.training.genre_features import Books
from models.training.genre_report import GenreReport, OfGenre, evaluate, per_genre
from models.training.genres import GenreParams, TooFewBooks

WORDS = {"Fantasy": ["dragon", "wizard"], "Crime": ["murder", "alibi"], "Romance": ["heart", "kiss"]}


def library(n: int, *, known: float = 1.0) -> tuple[Books, list[list[str]]]:
    """n books of one genre each, whose titles give it away, by authors of eight books each; not all titles tell."""
    rng = np.random.default_rng(0)
    told = [[list(WORDS)[row // 8 % 3]] for row in range(n)]
    titles = [str(rng.choice(WORDS[own])) if rng.random() < known else "thing" for [own] in told]
    nothing = [None] * n
    zeros = np.zeros(n)
    return (
        Books(
            titles, [f"Author {row // 8}" for row in range(n)], nothing, nothing, zeros.astype(np.float32), nothing,
            np.zeros((n, 1), np.float32), zeros.astype(np.int64),
        ),
        told,
    )  # fmt: skip


@pytest.fixture(scope="module")
def report() -> GenreReport:
    return evaluate(*library(240))


def test_held_out_books_are_counted_and_the_same_seed_says_the_same(report: GenreReport) -> None:
    assert (report.books, len(report.genres)) == (48, 3)
    assert report.micro_f1 > 0.95
    assert report.macro_f1 > 0.95
    assert report.coverage == 1
    assert report.metrics == evaluate(*library(240)).metrics
    assert sum(own.support for own in report.genres) == 48


def test_without_its_author_a_book_is_harder(report: GenreReport) -> None:
    """Half of the titles say nothing; with a known author that does not matter."""
    books, told = library(240, known=0.5)
    known, unknown = (evaluate(books, told, split=split) for split in ("random", "author"))
    assert known.micro_f1 > 0.95
    assert unknown.micro_f1 < 0.85
    assert unknown.books == 48


def test_probabilities_are_calibrated() -> None:
    books, told = library(600, known=0.5)
    assert evaluate(books, told, split="random").reliability.error < 0.05


def test_abstentions_count_as_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.training.genres.thresholds", lambda _, truth: np.full(truth.shape[1], 1.1))
    silent = evaluate(*library(240))
    assert (silent.micro_f1, silent.macro_f1, silent.coverage) == (0, 0, 0)


def test_a_genre_that_could_not_be_learned_counts_as_missed_in_the_macro_mean() -> None:
    books, told = library(240)
    told = [[*own, f"Rare {row % 60}"] for row, own in enumerate(told)]
    report = evaluate(books, told)
    assert len(report.genres) > 20
    assert report.macro_f1 < 0.2 < report.micro_f1


def test_with_too_few_books_it_says_so() -> None:
    books, told = library(2)
    with pytest.raises(TooFewBooks, match="none can be held out"):
        evaluate(books, told, GenreParams())
    with pytest.raises(TooFewBooks, match="nothing to learn from"):
        evaluate(*library(8))


def test_the_table_has_a_row_a_genre_and_the_splits_beside_each_other(report: GenreReport) -> None:
    fewer = GenreReport(0, 0, 0, 1, (OfGenre("Crime|True", 0.5, 0.25, 1 / 3, 4),), report.reliability)
    lines = per_genre({"random": report, "author": fewer}).splitlines()
    assert lines[0].count("|") == 10
    assert lines[2].startswith("| Crime | ")
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| Crime", "| Crime\\|True", "| Fantasy", "| Romance"]
    assert lines[3].endswith("| 0.50 | 0.25 | 0.33 | 4 |")
