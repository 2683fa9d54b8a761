import json
from pathlib import Path

import numpy as np
import pytest
import skops.io

from models.training import genres
from models.training.genres import GenreModel, GenreModelRefused, GenreParams, Texts, TooFewBooks

KINDS = {
    "Fantasy": (["dragon", "wizard", "sword", "realm"], ["A. Mage", "B. Elf"]),
    "Crime": (["murder", "detective", "corpse", "alibi"], ["C. Clue", "D. Noir"]),
    "Romance": (["heart", "kiss", "wedding", "summer"], ["E. Love", "F. Rose"]),
}


def library(n: int, seed: int = 0) -> tuple[Texts, list[list[str]]]:
    """n invented books whose words and authors give their genre away; every fifth is of two genres."""
    rng = np.random.default_rng(seed)
    titles, authors, descriptions, told = [], [], [], []
    for number in range(n):
        own = list(rng.choice(list(KINDS), size=2 if number % 5 == 0 else 1, replace=False))
        titles.append(" and the ".join(str(rng.choice(KINDS[kind][0])) for kind in own))
        authors.append(", ".join(str(rng.choice(KINDS[kind][1])) for kind in own))
        descriptions.append(" ".join(str(rng.choice(KINDS[kind][0])) for kind in own) if number % 3 else None)
        told.append(own)
    return Texts(titles, authors, descriptions), told


@pytest.fixture(scope="module")
def model() -> GenreModel:
    return genres.fit(*library(200))


def test_proposals_are_likely_genres_most_probable_first(model: GenreModel) -> None:
    both, crime = model.propose(
        Texts(["The dragon and the corpse", "Alibi"], ["A. Mage, D. Noir", "C. Clue"], ["A wizard detective.", None])
    )
    assert {proposal.genre for proposal in both} == {"Fantasy", "Crime"}
    assert [proposal.genre for proposal in crime] == ["Crime"]
    for proposals in (both, crime):
        told = [proposal.probability for proposal in proposals]
        assert told == sorted(told, reverse=True)
        assert all(model.params.threshold <= probability <= 1 for probability in told)


def test_it_abstains_where_it_is_not_sure() -> None:
    texts, told = library(200)
    careful = genres.fit(texts, told, GenreParams(threshold=0.6))
    assert careful.propose(Texts(["Quantum chromodynamics"], ["Nobody Known"], [None])) == [[]]


def test_books_without_genres_are_not_taken_for_books_of_none(model: GenreModel) -> None:
    texts, told = library(200)
    more, _ = library(100, seed=1)
    together = Texts(
        [*texts.titles, *more.titles], [*texts.authors, *more.authors], [*texts.descriptions, *more.descriptions]
    )
    with_unlabelled = genres.fit(together, told + [[]] * 100)
    assert np.allclose(with_unlabelled.probabilities(texts), model.probabilities(texts))


def test_genres_with_too_few_books_and_genres_of_every_book_are_not_learned() -> None:
    texts, told = library(60)
    told = [[*own, "Book"] for own in told]
    told[0] = [*told[0], "Unique"]
    assert set(genres.fit(texts, told).genres) == set(KINDS)


@pytest.mark.parametrize("told", [[[], []], [["Fantasy"], ["Crime"]]])
def test_with_too_few_books_it_says_so(told: list[list[str]]) -> None:
    with pytest.raises(TooFewBooks, match="nothing to learn from"):
        genres.fit(Texts(["a", "b"], ["c", "d"], [None, None]), told)
    with pytest.raises(TooFewBooks):
        genres.evaluate(Texts(["a", "b"], ["c", "d"], [None, None]), told)


def test_books_without_words_are_too_little() -> None:
    with pytest.raises(TooFewBooks, match="too little"):
        genres.fit(Texts(["?"] * 20, ["!"] * 20, [None] * 20), [["A"], ["B"]] * 10)


def test_nobody_asks_nobody_answers(model: GenreModel) -> None:
    assert model.propose(Texts([], [], [])) == []


def test_evaluation_counts_held_out_books_and_is_repeatable() -> None:
    report = genres.evaluate(*library(200))
    assert report.books == 40
    assert report.genres == 3
    assert report.micro_f1 > 0.95
    assert report.macro_f1 > 0.95
    assert report.coverage == 1
    assert report == genres.evaluate(*library(200))
    assert set(report.metrics) == {f"genres_{name}" for name in ("micro_f1", "macro_f1", "coverage", "books", "genres")}


def test_abstentions_count_as_missed() -> None:
    texts, told = library(200)
    silent = genres.evaluate(texts, told, GenreParams(threshold=1.01))
    assert (silent.micro_f1, silent.macro_f1, silent.coverage) == (0, 0, 0)


def test_a_genre_that_could_not_be_learned_counts_as_missed_in_the_macro_mean() -> None:
    texts, told = library(200)
    told = [[*own, f"Rare {number % 50}"] for number, own in enumerate(told)]
    report = genres.evaluate(texts, told)
    assert report.genres > 20
    assert report.macro_f1 < 0.2 < report.micro_f1


def test_what_was_saved_proposes_the_same(model: GenreModel, tmp_path: Path) -> None:
    files = genres.save(model, tmp_path / "genres")
    assert [file.name for file in files] == ["genres.skops", "genres.json"]
    texts, _ = library(20, seed=9)
    assert genres.load(tmp_path / "genres").propose(texts) == model.propose(texts)


def test_damaged_or_foreign_files_are_refused(model: GenreModel, tmp_path: Path) -> None:
    with pytest.raises(GenreModelRefused, match="No such file"):
        genres.load(tmp_path)
    skops_file, facts = genres.save(model, tmp_path)
    told = json.loads(facts.read_text())
    facts.write_text(json.dumps({**told, "params": {"unheard_of": 1}}))
    with pytest.raises(GenreModelRefused, match="unheard_of"):
        genres.load(tmp_path)
    facts.write_text(json.dumps(told))
    skops.io.dump({"words": Path}, skops_file)
    with pytest.raises(GenreModelRefused):
        genres.load(tmp_path)
    skops_file.write_bytes(b"PK")
    with pytest.raises(GenreModelRefused):
        genres.load(tmp_path)
