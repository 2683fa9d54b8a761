"""Searches that outlive their process: Optuna's sampler, and a journal on disk of what was tried."""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.importance import get_param_importances
from optuna.samplers import TPESampler
from optuna.storages.journal import BaseJournalBackend, JournalStorage
from optuna.trial import FrozenTrial, create_trial

from models.training.space import Range, Values

Objective = Callable[[Values], tuple[float, Mapping[str, float]]]
"""The score of some values, and what else is worth remembering of it."""

FIRST_AT_RANDOM = 8  # trials before the sampler believes what it has seen


@dataclass(frozen=True)
class Trial:
    """One recipe that was tried.

    Attributes:
        stage: Of the search.
        number: From 0, within its stage.
        values: By name, as ``models.training.space`` names them; with what the objective remembered.
        score: NDCG@10.
        seconds: It took.
    """

    stage: str
    number: int
    values: Mapping[str, float]
    score: float
    seconds: float


class Journal(BaseJournalBackend):
    """A file of one line an entry, for one process at a time.

    Optuna's own file backend is made for many writers: it leaves a lock behind when its process is killed, and half a
    line makes the next start fail. Here the lock is the caller's, and half a line is cut off.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with path.open("a+b") as file:
            file.seek(0)
            whole = file.read()
            file.truncate(whole.rfind(b"\n") + 1)

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        lines = self._path.read_bytes().splitlines()
        return [json.loads(line) for line in lines[log_number_from:]]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self._path.open("ab") as file:
            file.write("".join(json.dumps(log) + "\n" for log in logs).encode())
            file.flush()
            os.fsync(file.fileno())


class Search:
    """A maximum in one space, looked for step by step; what was tried before, in whichever process, counts.

    Whether it was interrupted makes no difference: each step draws from a seed of its own and from the finished trials
    before it, and what was cut off is tried again.

    Attributes:
        stage: Its name.
        ranges: Where it looks.
    """

    def __init__(self, storage: JournalStorage, stage: str, key: str, ranges: Mapping[str, Range], seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.stage = stage
        self.ranges = dict(ranges)
        self._seed = seed
        self._study = optuna.create_study(
            storage=storage, study_name=f"{stage} {key}", direction="maximize", load_if_exists=True
        )

    @property
    def trials(self) -> list[Trial]:
        """Those that were finished, in order."""
        return [
            Trial(self.stage, number, {**found.params, **found.user_attrs["also"]}, _score(found), _seconds(found))
            for number, found in enumerate(self._finished())
        ]

    @property
    def best(self) -> Trial:
        """The first of those with the best score.

        Raises:
            ValueError: Nothing was tried.
        """
        return max(self.trials, key=lambda trial: trial.score)

    def importance(self) -> dict[str, float]:
        """How much of the spread of the scores each parameter explains; sums to 1, empty where nothing can be said."""
        scores = {trial.score for trial in self.trials}
        if len(self.trials) < FIRST_AT_RANDOM or len(scores) < 3:  # noqa: PLR2004 - two scores have no pattern
            return {}
        return get_param_importances(self._study)

    def run(
        self,
        objective: Objective,
        *,
        first: Iterable[Values],
        trials: int,
        until: float,
        announce: Callable[[str], None] | None,
    ) -> None:
        """Goes on until so many trials are finished, or the time is up.

        Args:
            objective: To be maximised; the same for the same values.
            first: Tried before anything is drawn; each names every range.
            trials: In all processes together; at least one is made.
            until: By ``time.monotonic``: no trial begins that, going by the longest so far, would end later.
            announce: Told each score.
        """
        given = list(first)
        while (done := len(self._finished())) < max(trials, 1):
            if done and time.monotonic() + max(trial.seconds for trial in self.trials) > until:
                if announce:
                    announce(f"{self.stage}: out of time after {done} of {trials} trials")
                return
            began = time.monotonic()
            values = given[done] if done < len(given) else self._drawn(done)
            score, also = objective(values)
            attributes = {"also": dict(also), "seconds": time.monotonic() - began}
            self._study.add_trial(
                create_trial(value=score, params=dict(values), distributions={**self.ranges}, user_attrs=attributes)
            )
            if announce:
                announce(f"{self.stage} {done + 1}/{trials}: {score:.4f}, best {self.best.score:.4f}")

    def remembered(self, name: str, found: Callable[[], float]) -> float:
        """What was found once."""
        if name not in self._study.user_attrs:
            self._study.set_user_attr(name, found())
        return float(self._study.user_attrs[name])

    def _drawn(self, done: int) -> Values:
        """The journal holds finished trials alone, so that the sampler is asked in a study of its own."""
        own_seed = int(np.random.SeedSequence((self._seed, done)).generate_state(1)[0])
        sampler = TPESampler(seed=own_seed, n_startup_trials=FIRST_AT_RANDOM)
        scratch = optuna.create_study(sampler=sampler, direction="maximize")
        scratch.add_trials(self._finished())
        return scratch.ask(fixed_distributions={**self.ranges}).params

    def _finished(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)


def _score(found: FrozenTrial) -> float:
    return float(found.value or 0.0)


def _seconds(found: FrozenTrial) -> float:
    return float(found.user_attrs["seconds"])
