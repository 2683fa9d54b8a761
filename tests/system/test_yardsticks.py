"""What is exchanged with RecTools and LensKit, and, where their environment has been made, that they run."""

import json
import re
import sys
from pathlib import Path
from uuid import UUID

import numpy as np
import polars as pl
import pytest

from deploy.yardsticks import compare as yardsticks
from deploy.yardsticks.compare import THEIRS, Cost, TheirsFailed, everything, facts, table, theirs
from deploy.yardsticks.exchange import (
    Lists,
    ListsRefused,
    judged_readers,
    read_lists,
    read_ratings,
    write_lists,
    write_split,
)
from models.evaluation.rankers import PopularRanker
from models.evaluation.report import DEPTH, compare
from models.evaluation.splits import Split, leave_last
from models.training.interactions import interactions
from models.training.yardsticks.tuning import Recipe

ROOT = Path(__file__).parents[2]
HERE = ROOT / "deploy" / "yardsticks"


@pytest.fixture
def split() -> Split:
    """60 readers of two tastes among 30 books, ten ratings each; the last two are the future."""
    rng = np.random.default_rng(2)
    rows = [
        (reader, int(book), 5 if book % 2 == reader % 2 else int(rng.integers(1, 4)))
        for reader in range(60)
        for book in rng.permutation([n for n in range(30) if n % 2 == reader % 2 or n % 5 == 0])[:10]
    ]
    reader, book, stars = zip(*rows, strict=True)
    return leave_last(interactions(reader, [UUID(int=n) for n in book], stars, np.arange(len(rows))))


def test_a_split_comes_back_as_it_was_and_the_future_stays_here(split: Split, tmp_path: Path) -> None:
    write_split(split, tmp_path, depth=7)
    for name, sent in (("train", split.train), ("history", split.history)):
        back = read_ratings(tmp_path / f"{name}.parquet", sent)
        for column in ("reader", "book", "stars", "at"):
            assert np.array_equal(getattr(back, column), getattr(sent, column))
            assert getattr(back, column).dtype == getattr(sent, column).dtype
    assert pl.read_parquet(tmp_path / "readers.parquet")["reader"].to_list() == judged_readers(split).tolist()
    assert json.loads((tmp_path / "task.json").read_text()) == {"depth": 7, "liked_from": 4}
    assert {path.name for path in tmp_path.iterdir()} == {
        "train.parquet", "history.parquet", "readers.parquet", "task.json",
    }  # fmt: skip


def unrated(split: Split, depth: int) -> Lists:
    readers = judged_readers(split)
    books = np.full((len(readers), depth), -1, dtype=np.int32)
    for row, reader in enumerate(readers):
        fresh = np.setdiff1d(np.arange(30), split.history.book[split.history.reader == reader])[: depth - row % 3]
        books[row, : len(fresh)] = fresh
    return Lists(readers, books)


def test_lists_come_back_as_they_were_and_rank_whoever_has_one(split: Split, tmp_path: Path) -> None:
    sent = unrated(split, 5)
    write_lists(sent, tmp_path / "lists.parquet")
    back = read_lists(tmp_path / "lists.parquet", split, 5)
    assert np.array_equal(back.readers, sent.readers)
    assert np.array_equal(back.books, sent.books)
    asked = np.array([sent.readers[1], 10**6, sent.readers[0]])
    assert back.top(split.history, asked, 7)[:, :5].tolist() == [
        sent.books[1].tolist(),
        [-1] * 5,
        sent.books[0].tolist(),
    ]
    assert back.top(split.history, asked, 2).shape == (3, 2)
    assert (Lists(sent.readers[:0], sent.books[:0]).top(split.history, asked, 2) == -1).all()


def test_lists_that_break_the_rules_are_refused_with_the_reader_in_question(split: Split, tmp_path: Path) -> None:
    path = tmp_path / "lists.parquet"
    good = unrated(split, 3)
    reader, rated = int(good.readers[0]), int(split.history.book[split.history.reader == good.readers[0]][0])
    fresh = good.books[0].tolist()
    wrong = {
        "a book that its reader has rated": (0, rated),
        "a book that does not exist": (0, 30),
        "a place outside of 0 to 2": (3, fresh[0]),
    }
    for what, (place, book) in wrong.items():
        pl.DataFrame({"reader": [reader], "place": [place], "book": [book]}).write_parquet(path)
        with pytest.raises(ListsRefused, match=f"{what}.*reader {reader}"):
            read_lists(path, split, 3)
    pl.DataFrame({"reader": [reader] * 2, "place": [0, 1], "book": fresh[:1] * 2}).write_parquet(path)
    with pytest.raises(ListsRefused, match="a book twice"):
        read_lists(path, split, 3)
    pl.DataFrame({"reader": [reader] * 2, "place": [0, 0], "book": fresh[:2]}).write_parquet(path)
    with pytest.raises(ListsRefused, match="a place twice"):
        read_lists(path, split, 3)
    pl.DataFrame({"reader": [10**6], "place": [0], "book": [0]}).write_parquet(path)
    with pytest.raises(ListsRefused, match="not asked for"):
        read_lists(path, split, 3)
    path.write_text("no Parquet")
    with pytest.raises(ListsRefused, match="cannot be read"):
        read_lists(path, split, 3)


def test_one_table_holds_every_model_the_best_first(split: Split) -> None:
    recipes = [Recipe("item-kNN cosine", {"neighbours": 5}), Recipe("item-kNN cosine", {"neighbours": 5}, 1.0)]
    rankers, costs, failed = everything(split, PopularRanker, recipes, foreign=False)
    comparison = compare(split, rankers)
    rows = table(comparison, costs).splitlines()
    assert failed == []
    assert sorted(row.split(" | ")[0] for row in rows[2:]) == sorted(
        ["| BRS", "| popularity", "| item-kNN cosine", "| item-kNN cosine, recency 1"]
    )
    means = [float(re.findall(r"\.\d+|\d\.\d+", row)[0]) for row in rows[2:]]
    assert means == sorted(means, reverse=True)
    told = json.loads(json.dumps(facts(comparison, costs, failed)))
    assert told["models"]["BRS"]["gain"] == {}
    assert len(told["models"]["popularity"]["gain"]["ndcg_at_10"]) == 3


def test_one_of_theirs_that_stops_is_told_in_one_line(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment without their libraries: the interpreter that runs the tests."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setattr(yardsticks, "ENVIRONMENT", tmp_path)
    with pytest.raises(TheirsFailed, match=r"RecTools EASE stopped: .+"):
        theirs(split, tmp_path, "RecTools EASE", {"ridge": 1.0})
    monkeypatch.setattr(yardsticks, "PATIENCE", 0.01)
    with pytest.raises(TheirsFailed, match=r"RecTools EASE took longer than 0\.01 s"):
        theirs(split, tmp_path, "RecTools EASE", {"ridge": 1.0})


def test_theirs_are_pinned_with_hashes_and_without_addresses_or_graphics_cards() -> None:
    lock = (HERE / "requirements.lock").read_text()
    assert "://" not in lock
    blocks = [block for block in re.split(r"(?m)^(?=[a-z0-9])", lock) if "==" in block]
    assert {"rectools", "lenskit", "numpy"} <= {block.split("==")[0] for block in blocks}
    assert [block.split("==")[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert not re.search(r"(?m)^(torch|nvidia|cuda|triton)", lock)


def test_what_runs_there_imports_nothing_of_ours() -> None:
    imported = re.findall(r"(?m)^\s*(?:from|import) (\w+)", (HERE / "run.py").read_text())
    assert imported
    assert not {"data", "models", "pipelines", "serving", "deploy", "brs", "polars"} & set(imported)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not (ROOT / ".venv-yardsticks" / "installed").exists(), reason="`make yardsticks` has not been run")
@pytest.mark.parametrize("name", ["RecTools EASE", "LensKit item-kNN"])
def test_theirs_learn_and_answer(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(yardsticks, "ENVIRONMENT", ROOT / ".venv-yardsticks")
    write_split(split, tmp_path, DEPTH)
    ranker, cost = theirs(split, tmp_path, name, THEIRS[name])
    found = ranker.top(split.history, judged_readers(split), 5)
    same_taste = (found % 2 == (judged_readers(split) % 2)[:, None]) | (found % 5 == 0)
    assert same_taste[:, 0].mean() > 0.9
    assert isinstance(cost, Cost)
    assert cost.fit_seconds > 0
