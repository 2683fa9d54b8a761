"""Tuning on small libraries of several kinds, in each of which the right answer is known."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from models.evaluation.rankers import ServedRanker
from models.taste import Taste
from models.training import space
from models.training.als import AlsParams
from models.training.blender import BlendParams
from models.training.itemitem import ItemItemParams
from models.training.judging import Judge, Rehearsal
from models.training.library import Books, Library, library
from models.training.recipe import Recipe, learn
from models.training.tuning import Tuned, tune

ROOT = Path(__file__).parents[2]
SMALL = Recipe(
    taste=ItemItemParams(ridge=20.0, neighbours=50, threads=1),
    factors=AlsParams(factors=8, iterations=2, threads=1),
    blend=BlendParams(iterations=50, leaves=8, fewest_likes=10_000),  # trees take most of the time: none by default
)
LEARNED = BlendParams(iterations=50, leaves=8, fewest_likes=20)
WHOLE = replace(SMALL, blend=LEARNED)


def made(
    readers: int = 60,
    books: int = 40,
    rated: tuple[int, int] = (6, 14),
    stars: tuple[int, ...] = (2, 3, 4, 5),
    *,
    drift: bool = True,
) -> Library:
    """Readers of four tastes; with ``drift`` each changes to another in the middle, else they like both all along."""
    rng = np.random.default_rng(5)
    reader, book, at = [], [], []
    for number in range(readers):
        count = int(rng.integers(*rated, endpoint=True))
        first, second = rng.choice(4, 2, replace=False)
        place = np.arange(count) * 2 // count if drift else rng.integers(2, size=count)
        shelf = rng.permutation(books // 4)
        chosen = np.where(place > 0, second, first) + 4 * shelf[np.arange(count) % len(shelf)]
        chosen = list(dict.fromkeys(chosen.tolist()))
        reader += [number] * len(chosen)
        book += chosen
        at += range(len(chosen))
    ids = [UUID(int=number + 1) for number in range(books)]
    return library(
        reader,
        [ids[number] for number in book],
        rng.choice(stars, len(book)),
        np.array(at, dtype=np.int64),
        Books(
            ids=ids,
            titles=[
                f"Title {number - 8 if number > books - 4 else number}" for number in range(books)
            ],  # three editions
            authors=[f"Author {number % 8}" for number in range(books)],
            series=[None] * books,
            positions=[None] * books,
            languages=[None] * books,
            years=[None] * books,
            genres=[[UUID(int=1000 + number % 4)] for number in range(books)],
        ),
    )


def tuned(folder: Path, *, seed: int = 3, trials: int = 7, start: Recipe = SMALL, **of_library: object) -> Tuned:
    return tune(made(**of_library), folder, start=start, budget_seconds=600, trials=trials, seed=seed)  # type: ignore[arg-type]


def without_times(found: Tuned) -> object:
    return found.recipe, found.score, found.baseline, [replace(trial, seconds=0) for trial in found.trials]


def test_both_stages_are_tried_and_what_is_better_comes_out(tmp_path: Path) -> None:
    bad = replace(WHOLE, recency=0.0, taste=ItemItemParams(ridge=900.0, ridge_share=1.0, neighbours=50, threads=1))
    found = tuned(tmp_path, start=bad)

    assert [(trial.stage, trial.number) for trial in found.trials] == [
        *(("linear", number) for number in range(4)),
        *(("re-ranker", number) for number in range(3)),
    ]
    assert found.score is not None
    assert found.baseline is not None
    assert found.score > found.baseline
    assert found.recipe != bad
    assert found.score == max(trial.score for trial in found.trials)
    assert Recipe.from_json(json.loads(json.dumps(found.recipe.to_json()))) == found.recipe


def test_the_score_is_that_of_the_recipe_as_it_would_be_learned_and_served(tmp_path: Path) -> None:
    whole = made()
    found = tune(whole, tmp_path, start=WHOLE, budget_seconds=600, trials=7)

    judge = Judge(whole, SMALL, 0)
    served = judge.mean(ServedRanker(Taste(learn(judge.past, found.recipe))))
    assert found.score == pytest.approx(served, abs=1e-12)


def test_a_rehearsed_re_ranker_orders_as_the_one_that_is_served() -> None:
    judge = Judge(made(), SMALL, 0)
    arrays = learn(judge.past, WHOLE)
    assert "tree_value" in arrays
    assert Rehearsal(judge, WHOLE).score(LEARNED) == judge.mean(ServedRanker(Taste(arrays)))


def test_the_latest_ratings_are_never_looked_at(tmp_path: Path) -> None:
    whole = made()
    latest = np.zeros(len(whole.interactions), dtype=np.bool_)
    latest[whole.interactions.bounds[1:] - 1] = True
    stars = np.where(latest, 1, whole.interactions.stars).astype(np.int8)
    other = replace(whole, interactions=replace(whole.interactions, stars=stars))

    one = tune(whole, tmp_path / "one", start=SMALL, budget_seconds=600, trials=4)
    two = tune(other, tmp_path / "two", start=SMALL, budget_seconds=600, trials=4)
    assert without_times(one) == without_times(two)


def test_the_same_seed_gives_the_same_trials_and_another_seed_others(tmp_path: Path) -> None:
    one, two, three = (tuned(tmp_path / name, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4)))

    assert without_times(one) == without_times(two)
    assert one.trials[3].values != three.trials[3].values


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_tuning
test_tuning.tuned(Path(sys.argv[2]), start=test_tuning.WHOLE)
"""


@pytest.mark.slow
def test_a_killed_search_goes_on_where_it_stopped_and_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    cut, folder = 0, tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 240
    while (cut := trials_in(folder)) < 2:
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if process.stderr:
        process.stderr.close()
    (journal,) = folder.glob("*.journal")
    before = journal.read_bytes()
    journal.write_bytes(before + before.splitlines()[-1][:20])  # as when it is killed while it writes
    assert process.returncode == -signal.SIGKILL
    assert 2 <= cut < 7

    said: list[str] = []
    on = tune(made(), folder, start=WHOLE, budget_seconds=600, trials=7, seed=3, announce=said.append)

    assert without_times(on) == without_times(tuned(tmp_path / "whole", start=WHOLE))
    assert journal.read_bytes().startswith(before)
    assert len([line for line in said if "best" in line]) <= 7 - cut


def trials_in(folder: Path) -> int:
    return sum(path.read_bytes().count(b'"value"') for path in folder.glob("*.journal"))


def test_a_finished_search_is_not_made_again_and_other_data_begin_anew(tmp_path: Path) -> None:
    first, said = tuned(tmp_path), list[str]()
    again = tune(made(), tmp_path, start=SMALL, budget_seconds=600, trials=7, seed=3, announce=said.append)
    (before,) = tmp_path.glob("*.journal")
    tuned(tmp_path, trials=2, books=44)
    (after,) = tmp_path.glob("*.journal")

    assert without_times(first) == without_times(again)
    assert said == []
    assert before != after


def test_without_time_each_stage_makes_one_trial(tmp_path: Path) -> None:
    said: list[str] = []
    found = tune(made(), tmp_path, start=WHOLE, budget_seconds=0, trials=40, announce=said.append)

    assert [trial.stage for trial in found.trials] == ["linear", "re-ranker"]
    assert "linear: out of time after 1 of 20 trials" in said


def test_what_there_was_is_kept_when_nothing_is_better(tmp_path: Path) -> None:
    best = tuned(tmp_path / "first").recipe
    again = tuned(tmp_path / "second", start=best, trials=2)  # the start itself is the only one that is tried

    assert again.recipe == best
    assert again.score == again.baseline
    assert again.why.startswith("Kept what there was")


def test_where_the_order_says_nothing_recency_and_kernel_can_vanish(tmp_path: Path) -> None:
    start = replace(
        SMALL, recency=1.3, taste=ItemItemParams(exponent=1.5, offset=0.5, ridge=20.0, threads=1), blend=None
    )
    found = tuned(tmp_path, start=start, drift=False, readers=150, books=80, rated=(10, 16), trials=3)

    assert found.recipe.recency <= 0.3
    assert found.trials[1].values["exponent"] == 0.0
    assert found.trials[1].values["backward"] == 1.0


@pytest.mark.parametrize(
    "kind",
    [
        {"rated": (3, 5)},  # sparse: a validation part of one rating
        {"stars": (5,)},  # likes alone
        {"readers": 6, "books": 16, "rated": (2, 6)},  # a handful
        {"stars": (3, 4), "books": 12},
    ],
    ids=["sparse", "likes", "handful", "narrow"],
)
def test_very_different_libraries_are_tuned(tmp_path: Path, kind: dict[str, object]) -> None:
    found = tuned(tmp_path, **kind)

    assert found.score is not None
    assert 0 <= found.score <= 1
    judge = Judge(made(**kind), SMALL, 0)  # type: ignore[arg-type]
    assert judge.whole(found.recipe) == pytest.approx(found.score, abs=1e-12)


@pytest.mark.parametrize(
    "kind", [{"stars": (1, 2)}, {"rated": (1, 1)}, {"readers": 0}], ids=["dislikes", "ones", "none"]
)
def test_where_nothing_can_be_judged_what_there_was_is_kept_and_it_is_said_why(
    tmp_path: Path, kind: dict[str, object]
) -> None:
    found = tuned(tmp_path, **kind)

    assert found.recipe == SMALL
    assert found.score is None
    assert found.trials == ()
    assert "nothing to" in found.why


def test_where_too_little_is_known_for_a_re_ranker_its_parameters_wait(tmp_path: Path) -> None:
    found = tuned(tmp_path)

    assert {trial.stage for trial in found.trials} == {"linear"}
    assert found.recipe.blend == SMALL.blend
    assert found.recipe != SMALL


def test_only_what_can_matter_is_varied() -> None:
    ranges = space.linear_ranges(made(stars=(5,)))
    assert not any("stars" in name for name in ranges)
    assert "author_weight" in ranges
    assert "series_weight" not in ranges
    assert {space.star_name(star) for star in (2, 3, 5)} <= set(space.linear_ranges(made()))


def test_the_defaults_lie_in_the_space_and_come_back_from_it() -> None:
    ranges = space.linear_ranges(made()) | space.OF_GROUPS
    params, blend = ItemItemParams(), BlendParams()
    assert space.with_linear(params, space.linear_values(params, ranges)) == params
    assert space.with_blend(blend, space.blend_values(blend)) == blend


def test_what_lies_outside_is_brought_to_the_nearest_end() -> None:
    ranges = space.linear_ranges(made())
    told = space.linear_values(ItemItemParams(ridge=1e6, exponent=9.0, neighbours=7), ranges)
    assert (told["ridge"], told["exponent"], told["neighbours"]) == (1000.0, 1.5, 50)
