"""Titles as Goodreads writes them, with the series behind: "The Hunger Games (The Hunger Games, #1)"."""

import re
from typing import NamedTuple

# The number stands alone, or another series follows: "Discworld, #40, Moist von Lipwig #3".
_ONE_VOLUME = re.compile(r"\s*([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*(?:,[^#]*[^#\s\d][^#]*#.*)?")
_COUNTER = re.compile(r"[\s,:]*\b(?:book|part|vol\.?|volume|no\.?)$", re.IGNORECASE)


class Title(NamedTuple):
    """``position`` is ``None`` for what is no single volume: omnibuses (#1-3), parts of a volume (#3, Part 1 of 2)."""

    title: str
    series: str | None
    position: float | None


def split_title(written: str) -> Title:
    """Take the series off a title. Brackets without a "#" belong to the title; of several series the first counts."""
    whole = " ".join(written.split())
    opening = _last_bracket(whole)
    head, inside = whole[:opening].rstrip(), whole[opening + 1 : -1]
    if opening < 1 or not head or "#" not in inside:
        return Title(whole, None, None)
    first, *others = inside.split(";")
    name, number_sign, number = first.partition("#")
    series = _COUNTER.sub("", name.strip(" ,:")).strip(" ,:")
    if not number_sign or not series:
        return Title(whole, None, None)
    volume = _ONE_VOLUME.fullmatch(number)
    alone = all("#" in other for other in others)  # else what follows says which part of the volume it is
    return Title(head, series, float(volume[1]) if volume and alone else None)


def _last_bracket(text: str) -> int:
    """Where the bracket opens that closes at the end of the text; -1 when there is none."""
    depth = 0
    if text.endswith(")"):
        for place in range(len(text) - 1, -1, -1):
            depth += {")": 1, "(": -1}.get(text[place], 0)
            if depth == 0:
                return place
    return -1
