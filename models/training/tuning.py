"""Looks for a better recipe for one library: bounded, seeded, and going on where it was cut off.

In two stages, so that it stays cheap. The first varies the linear score alone, of which reasons are made, and fits once
a trial. The second varies the re-ranker on top of the best of them, whose candidates and features are worked out once.
Where to look is said in ``models.training.space``; what is found is judged by ``models.training.judging`` on a part of
the training part, so that the evaluation of what comes out of here is of ratings that had no say in it.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from optuna.storages.journal import JournalStorage

from models.training import space
from models.training.blender import BlendParams
from models.training.itemitem import ItemItemParams
from models.training.judging import MOST_READERS, Judge, NothingToJudge, NothingToLearn, Rehearsal
from models.training.library import Library
from models.training.recipe import Announce, Arrays, Recipe
from models.training.searches import Journal, Search, Trial
from models.training.space import Values

LINEAR, BLEND = "linear", "re-ranker"
LINEAR_SHARE = 0.6
"""Of the time, for the first stage; the second has two recipes to work out before it can begin."""


@dataclass(frozen=True)
class Tuned:
    """What came of it.

    Attributes:
        recipe: The best; what there was when nothing was better.
        score: Its NDCG@10 on the validation part; None when there was nobody to judge by.
        baseline: Of what there was.
        trials: All, stage by stage, in order.
        importance: Stage to parameter to the share of the scores' spread that it explains; a stage of few trials
            is missing.
        why: In a sentence.
    """

    recipe: Recipe
    score: float | None
    baseline: float | None
    trials: tuple[Trial, ...]
    importance: Mapping[str, Mapping[str, float]]
    why: str


def tune(  # noqa: PLR0913 - all but two by name
    library: Library,
    journals: Path,
    *,
    start: Recipe,
    budget_seconds: float,
    trials: int,
    seed: int = 0,
    announce: Announce | None = None,
) -> Tuned:
    """Looks for a recipe that beats ``start``.

    The same seed, library, start and number of trials give the same recipe, interrupted or not, as long as the
    time does not end first.

    Args:
        library: All of it; the last fifth of every reader's ratings is not looked at.
        journals: A folder of ours for what was tried. What belongs to another library or start is deleted.
        start: What there is. Its ``factors`` stay. What it lacks is tried with the defaults as first values.
        budget_seconds: No trial begins that would end later, as far as can be told; each stage makes at least one.
        trials: Of both stages together, two at least; a first stage of one half, rounded up.
        seed: Of all that is drawn.
        announce: Told what is being done, and each score.
    """
    limits = _Limits(seed, time.monotonic(), budget_seconds, trials, announce)
    try:
        judge = Judge(library, start, seed)
    except (NothingToJudge, NothingToLearn) as why:
        return Tuned(start, None, None, (), {}, f"Kept what there was: {why}.")
    key = _key(library, start, seed)
    storage = JournalStorage(Journal(_alone(journals / f"{key}.journal")))
    linear = Search(storage, LINEAR, key, space.linear_ranges(judge.past), seed)
    base = _best_linear(judge, linear, start, limits)
    found, searches = [(linear.best.score, base)], [linear]
    whole = replace(base, blend=start.blend or BlendParams())
    rehearsal = Rehearsal(judge, whole)
    blend = Search(storage, BLEND, _digest(key, json.dumps(whole.to_json())), space.BLEND, seed)
    if blend.remembered("learns", lambda: float(rehearsal.learns)):
        found.append(_best_blend(rehearsal, blend, whole, limits))
        searches.append(blend)
    else:  # its parameters make no difference yet; they wait for a larger library
        found = [(linear.best.score, replace(base, blend=start.blend))]
    baseline = linear.remembered("baseline", lambda: judge.whole(start))
    return _chosen(start, baseline, found, searches)


@dataclass(frozen=True)
class _Limits:
    seed: int
    began: float
    seconds: float
    trials: int
    announce: Announce | None


def _best_linear(judge: Judge, search: Search, start: Recipe, limits: _Limits) -> Recipe:
    """The best order by the linear score."""
    before = start.taste or ItemItemParams()
    recencies = sorted({*space.RECENCIES, start.recency})

    def objective(values: Values) -> tuple[float, Values]:
        try:
            arrays = judge.fitted(space.with_linear(before, values))
        except NothingToLearn:
            return 0.0, {"recency": 0.0}
        scores = [judge.linear(arrays, recency) for recency in recencies]
        best = int(np.argmax(scores))
        return scores[best], {"recency": recencies[best]}

    known = space.linear_values(before, search.ranges)
    search.run(
        objective,
        first=[known | {name: value for name, value in one.items() if name in known} for one in space.LINEAR_FIRST],
        trials=limits.trials - limits.trials // 2,
        until=limits.began + limits.seconds * LINEAR_SHARE,
        announce=limits.announce,
    )
    values = dict(search.best.values)
    return replace(start, recency=values.pop("recency"), taste=space.with_linear(before, values), blend=None)


def _best_blend(rehearsal: Rehearsal, search: Search, base: Recipe, limits: _Limits) -> tuple[float, Recipe]:
    """The best re-ranker on top of ``base``, which names one to begin with."""
    before = rehearsal.blend
    known = space.blend_values(before)
    search.run(
        lambda values: (rehearsal.score(space.with_blend(before, values)), {}),
        first=[{**known, **one} for one in space.BLEND_FIRST],
        trials=limits.trials // 2,
        until=limits.began + limits.seconds,
        announce=limits.announce,
    )
    return search.best.score, replace(base, blend=space.with_blend(before, search.best.values))


def _chosen(start: Recipe, baseline: float, found: list[tuple[float, Recipe]], searches: list[Search]) -> Tuned:
    score, recipe = max(found, key=lambda one: one[0])  # of equals the first: a re-ranker must show its worth
    trials = tuple(trial for search in searches for trial in search.trials)
    importance = {search.stage: told for search in searches if (told := search.importance())}
    if score > baseline:
        why = f"Better than what there was: NDCG@10 {score:.4f} against {baseline:.4f} on the validation part."
        return Tuned(recipe, score, baseline, trials, importance, why)
    why = f"Kept what there was: the best of {len(trials)} trials has NDCG@10 {score:.4f} against its {baseline:.4f}."
    return Tuned(start, baseline, baseline, trials, importance, why)


def _key(library: Library, start: Recipe, seed: int) -> str:
    """Names what a trial's score depends on, beside its values."""
    ratings = library.interactions
    arrays: Arrays = {"reader": ratings.reader, "book": ratings.book, "stars": ratings.stars, "at": ratings.at}
    arrays |= {"book_ids": ratings.book_ids, **library.catalogue.arrays()}
    told = [f"{name} {array.dtype} {array.shape}".encode() + array.tobytes() for name, array in sorted(arrays.items())]
    return _digest(*told, json.dumps([space.VERSION, MOST_READERS, seed, start.to_json()]))


def _digest(*parts: bytes | str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()[:16]


def _alone(journal: Path) -> Path:
    """The file, without those of other searches beside it: nobody goes on with them."""
    for other in journal.parent.glob("*.journal"):
        if other != journal:
            other.unlink()
    return journal
