import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import skops.io

from models.ids import pack
from models.training import genres
from models.training.genre_features import Books, author_names, taste_vectors
from models.training.genres import GenreModel, GenreModelRefused, GenreParams, TooFewBooks
from models.training.interactions import interactions

KINDS = {
    "Fantasy": (["dragon", "wizard", "sword", "realm"], ["A. Mage", "B. Elf"]),
    "Crime": (["murder", "detective", "corpse", "alibi"], ["C. Clue", "D. Noir"]),
    "Romance": (["heart", "kiss", "wedding", "summer"], ["E. Love", "F. Rose"]),
}


def shelf(
    titles: list[str],
    authors: list[str] | None = None,
    descriptions: list[str | None] | None = None,
    *,
    series: list[str | None] | None = None,
    taste: np.ndarray | None = None,
) -> Books:
    """Books of which nothing is known but what is given."""
    n = len(titles)
    vectors = np.zeros((n, 3), np.float32) if taste is None else taste.astype(np.float32)
    return Books(
        titles,
        authors or ["Nobody Known"] * n,
        descriptions or [None] * n,
        series or [None] * n,
        np.zeros(n, np.float32),
        [None] * n,
        vectors,
        np.zeros(n, np.int64) + vectors.any(axis=1),
    )


def library(n: int, seed: int = 0) -> tuple[Books, list[list[str]]]:
    """n invented books whose words and authors give their genre away; every fifth is of two genres."""
    rng = np.random.default_rng(seed)
    titles, authors, descriptions, told = [], [], [], []
    for number in range(n):
        own = list(rng.choice(list(KINDS), size=2 if number % 5 == 0 else 1, replace=False))
        titles.append(" and the ".join(str(rng.choice(KINDS[kind][0])) for kind in own))
        authors.append(", ".join(str(rng.choice(KINDS[kind][1])) for kind in own))
        descriptions.append(" ".join(str(rng.choice(KINDS[kind][0])) for kind in own) if number % 3 else None)
        told.append(own)
    return shelf(titles, authors, descriptions), told


def mute(told: list[list[str]], *, seed: int = 3) -> Books:
    """Books whose words and authors say nothing, but whose readers are those of their genres."""
    rng = np.random.default_rng(seed)
    towards = np.array([[kind in own for kind in KINDS] for own in told]) + rng.normal(0, 0.05, (len(told), len(KINDS)))
    unit = towards / np.linalg.norm(towards, axis=1, keepdims=True)
    words = [" ".join(rng.choice(["one", "two", "three", "four"], 2)) for _ in told]
    return shelf(words, [f"Author {number}" for number in range(len(told))], taste=unit)


@pytest.fixture(scope="module")
def model() -> GenreModel:
    return genres.fit(*library(200))


def test_proposals_are_likely_genres_most_probable_first(model: GenreModel) -> None:
    both, crime = model.propose(
        shelf(["The dragon and the corpse", "Alibi"], ["A. Mage, D. Noir", "C. Clue"], ["A wizard detective.", None])
    )
    assert {proposal.genre for proposal in both} == {"Fantasy", "Crime"}
    assert [proposal.genre for proposal in crime] == ["Crime"]
    for proposals in (both, crime):
        told = [proposal.probability for proposal in proposals]
        assert told == sorted(told, reverse=True)
        assert all(0 < probability <= 1 for probability in told)


def test_it_abstains_where_it_is_not_sure(model: GenreModel) -> None:
    careful = replace(model, thresholds=np.full(3, 0.7))
    assert careful.propose(shelf(["Quantum chromodynamics"])) == [[]]


def test_readers_tell_the_genre_of_books_that_say_nothing() -> None:
    _, told = library(300)
    books = mute(told)
    known, new = np.arange(250), np.arange(250, 300)
    by_taste = genres.fit(books.rows(known), told[:250]).propose(books.rows(new))
    right = [{proposal.genre for proposal in own} == set(told[row]) for row, own in zip(new, by_taste, strict=True)]
    assert np.mean(right) > 0.9
    unread = replace(books, taste=np.zeros_like(books.taste), readers=np.zeros_like(books.readers))
    without = genres.fit(unread.rows(known), told[:250]).probabilities(unread.rows(new))
    assert np.ptp(without, axis=0).max() < 0.3


def test_other_books_of_a_series_tell_the_genre() -> None:
    _, told = library(300)
    told = [own[:1] for own in told]
    quiet = mute(told)
    series: list[str | None] = [f"{told[row][0]} saga {row % 20}" for row in range(300)]
    books = replace(quiet, series=series, titles=["?"] * 300, taste=np.zeros_like(quiet.taste))
    model = genres.fit(books.rows(range(250)), told[:250])
    guessed = model.probabilities(books.rows(range(250, 300))).argmax(axis=1)
    assert np.mean([model.genres[best] == told[row][0] for row, best in enumerate(guessed, 250)]) > 0.9


def test_a_book_is_not_told_by_what_the_others_of_its_author_lack() -> None:
    """Every author writes two books a genre: which one is missing among the others must not be what is learned."""
    titles = ["The dragon", "The murder", "The kiss"] * 30
    told = [[list(KINDS)[row % 3]] for row in range(90)]
    books = shelf(titles, [f"Author {row // 6}" for row in range(90)])
    model = genres.fit(books, told)
    for author in ("Author 3", "Somebody New"):
        new = shelf(titles[:3], [author] * 3)
        assert [[one.genre for one in own] for own in model.propose(new)] == told[:3]


def test_books_without_genres_are_not_taken_for_books_of_none(model: GenreModel) -> None:
    books, told = library(200)
    more, _ = library(100, seed=1)
    together = shelf(
        [*books.titles, *more.titles], [*books.authors, *more.authors], [*books.descriptions, *more.descriptions]
    )
    with_unlabelled = genres.fit(together, told + [[]] * 100)
    assert np.allclose(with_unlabelled.probabilities(books), model.probabilities(books))


def test_genres_with_too_few_books_and_genres_of_every_book_are_not_learned() -> None:
    books, told = library(60)
    told = [[*own, "Book"] for own in told]
    told[0] = [*told[0], "Unique"]
    assert set(genres.fit(books, told).genres) == set(KINDS)


def test_one_genre_alone_can_be_learned() -> None:
    books, told = library(60)
    model = genres.fit(books, [[kind for kind in own if kind == "Crime"] or ["Rest"] for own in told])
    only = genres.fit(books, [["Every", *(["Crime"] if "Crime" in own else [])] for own in told])
    assert (model.genres, only.genres) == (("Crime", "Rest"), ("Crime",))
    assert only.probabilities(books).shape == (60, 1)


@pytest.mark.parametrize("told", [[[], []], [["Fantasy"], ["Crime"]]])
def test_with_too_few_books_it_says_so(told: list[list[str]]) -> None:
    with pytest.raises(TooFewBooks, match="nothing to learn from"):
        genres.fit(shelf(["a", "b"]), told)


def test_books_without_words_are_too_little() -> None:
    with pytest.raises(TooFewBooks, match="too little"):
        genres.fit(shelf(["?"] * 20, ["!"] * 20), [["A"], ["B"]] * 10)


def test_of_a_large_library_the_most_read_books_are_learned_from() -> None:
    books, told = library(120)
    read = replace(books, readers=np.arange(120))
    model = genres.fit(read, told, GenreParams(most_books=50))
    assert model.shelf.truth.tolist() == genres.table(told[70:])[0].tolist()


def test_nobody_asks_nobody_answers(model: GenreModel) -> None:
    assert model.propose(shelf([])) == []


def test_many_books_are_judged_as_each_alone(model: GenreModel, monkeypatch: pytest.MonkeyPatch) -> None:
    books, _ = library(25, seed=4)
    together = model.probabilities(books)
    monkeypatch.setattr(genres, "BLOCK", 7)
    assert np.allclose(model.probabilities(books), together)


def test_what_was_saved_proposes_the_same(model: GenreModel, tmp_path: Path) -> None:
    files = genres.save(model, tmp_path / "genres")
    assert [file.name for file in files] == ["genres.skops", "genres.json"]
    books, _ = library(20, seed=9)
    assert genres.load(tmp_path / "genres").propose(books) == model.propose(books)


def test_damaged_or_foreign_files_are_refused(model: GenreModel, tmp_path: Path) -> None:
    with pytest.raises(GenreModelRefused, match="No such file"):
        genres.load(tmp_path)
    skops_file, facts = genres.save(model, tmp_path)
    told = json.loads(facts.read_text())
    for wrong, why in (
        ({"params": {"unheard_of": 1}}, "unheard_of"),
        ({"genres": ["Fantasy"]}, "do not fit together"),
        ({"calibration": 1}, "subscriptable"),
    ):
        facts.write_text(json.dumps({**told, **wrong}))
        with pytest.raises(GenreModelRefused, match=why):
            genres.load(tmp_path)
    facts.write_text(json.dumps(told))
    skops.io.dump({"words": Path}, skops_file)
    with pytest.raises(GenreModelRefused):
        genres.load(tmp_path)
    skops_file.write_bytes(b"PK")
    with pytest.raises(GenreModelRefused):
        genres.load(tmp_path)


def test_authors_are_the_names_between_commas() -> None:
    assert author_names("A. Mage, B. Elf,, A. Mage ") == ["A. Mage", "B. Elf"]


def test_books_of_the_same_readers_are_near_in_taste_and_unread_ones_nowhere() -> None:
    ids = [UUID(int=number) for number in range(20)]
    pairs = [(reader, book) for reader in range(30) for book in range(20) if book % 2 == reader % 2 and book != 19]
    pairs = [pair for pair in pairs if sum(pair) % 7]
    ratings = interactions(
        [reader for reader, _ in pairs], [ids[book] for _, book in pairs], [3] * len(pairs), np.arange(len(pairs))
    )
    taste, readers = taste_vectors(ratings, pack(reversed(ids)))
    taste, readers = taste[::-1], readers[::-1]
    assert readers[19] == 0
    assert not taste[19].any()
    assert np.allclose(np.linalg.norm(taste[:19], axis=1), 1)
    cosine = taste @ taste.T
    assert cosine[0, 2] > 0.8
    assert cosine[0, 1] < 0.2
    assert readers[0] == sum(book == 0 for _, book in pairs)


def test_without_ratings_nobody_has_taste() -> None:
    taste, readers = taste_vectors(interactions([], [], [], []), pack([UUID(int=1)]))
    assert (taste.tolist(), readers.tolist()) == ([[0.0]], [0])
