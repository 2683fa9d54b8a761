"""Whether a password can be guessed."""

import math
import re
import threading
from collections.abc import Iterable
from typing import Final, Protocol

import zxcvbn
from zxcvbn.matching import L33T_TABLE

LOWEST_SCORE: Final = 2  # of 0..4: safe from guessing over the network, more than 10**6 tries
LONGEST_JUDGED: Final = 72  # characters; zxcvbn takes no more
MOST_READINGS: Final = 48
# zxcvbn keeps the words of the last caller in a module's variable: two threads at once would judge by each other's.
_alone = threading.Lock()


class Person(Protocol):
    @property
    def email(self) -> str: ...

    @property
    def first_name(self) -> str: ...

    @property
    def last_name(self) -> str: ...


def _judged(password: str) -> str:
    """The first 72 characters, or fewer of a password with very many ways to read its digits and signs as letters.

    zxcvbn tries each of them (4 for a, 4 ways to write c, …), seconds of a core in all for somebody who means harm. Who
    writes 72 characters as people do has a handful.
    """
    judged = password[:LONGEST_JUDGED]
    while _readings(judged) > MOST_READINGS:
        judged = judged[:-1]
    return judged


def _readings(text: str) -> int:
    written = set(text)
    return math.prod(max(1, len(written.intersection(signs))) for signs in L33T_TABLE.values())


def score(password: str, known: Iterable[str]) -> int:
    """Zxcvbn's 0..4 for the beginning of ``password``; ``known`` is what everybody knows of the person."""
    words = {part for text in known for part in (text, *re.split(r"[\W_]+", text)) if part}
    with _alone:
        return int(zxcvbn.zxcvbn(_judged(password), sorted(words))["score"])


def is_guessable(password: str, person: Person) -> bool:
    known = (
        person.email,
        person.email.partition("@")[0],
        person.first_name,
        person.last_name,
        person.first_name + person.last_name,
        person.last_name + person.first_name,
    )
    return score(password, known) < LOWEST_SCORE
