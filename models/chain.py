"""A chain of sources: each fills what those before it have left open."""

import math
from collections.abc import Callable, Hashable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import UUID

from models.reader import Pick, Reader

EDITIONS = 10
"""So many books more are asked for where other editions of what is there already have to go."""


class Source(Protocol):
    """What can recommend books to a reader."""

    @property
    def name(self) -> str: ...

    def picks(self, reader: Reader, n: int, within: AbstractSet[UUID] | None = None) -> list[Pick]:
        """At most ``n`` picks, best first, scores in 0..1; fewer or none is how a source abstains.

        Args:
            reader: Whose list it is; nothing they have rated or hidden may be in it.
            n: How many are wanted, ≥ 0.
            within: When given, only these books may be picked.
        """
        ...


class Shelf(Protocol):
    """What a list must know of the books in it."""

    def work(self, book: UUID) -> Hashable:
        """The same for editions of one work, and for nothing else; of an unknown book the book itself."""
        ...

    def in_order(self, books: Sequence[UUID]) -> Sequence[int]:
        """Their places, rearranged where a volume would stand before an earlier one of its series."""
        ...


@dataclass
class Page:
    """What the reader gets; ``degraded`` when a source failed, so that the list is not what it should have been."""

    picks: list[Pick] = field(default_factory=list)
    degraded: bool = False


def page(
    sources: Sequence[Source],
    reader: Reader,
    n: int,
    *,
    within: AbstractSet[UUID] | None = None,
    shelf: Shelf | None = None,
    on_failure: Callable[[str, Exception], None],
) -> Page:
    """Asks one source after another until ``n`` books are found; the first to choose a book keeps it.

    Whatever the sources do, the page holds no book that is rated, hidden, repeated or outside ``within``, and its
    scores are finite, in 0..1 and never rise: a later source is scaled to begin where the one before it ended, so that
    its own proportions survive.

    Args:
        sources: Best first.
        reader: Whose page it is.
        n: Its length, where the library suffices.
        within: When given, only these books may be picked.
        shelf: When given, no work is there twice or in an edition of what is barred, and volumes stand in their order.
        on_failure: Told the name of a source that raised, and what; the sources after it go on.
    """
    answer = Page()
    work: Callable[[UUID], Hashable] = shelf.work if shelf is not None else _itself
    taken = set(map(work, reader.barred))
    for source in sources:
        missing = n - len(answer.picks)
        if missing <= 0:
            break
        try:
            # Books taken already may come again: ask for as many more.
            offered = source.picks(reader, missing + len(answer.picks) + (EDITIONS if shelf is not None else 0), within)
        except Exception as failure:  # noqa: BLE001 - a source is a plug-in; its failure is reported and shown, never hidden
            on_failure(source.name, failure)
            answer.degraded = True
            continue
        ceiling = answer.picks[-1].score if answer.picks else 1.0
        for key, pick in list(_sound(offered, work, taken, within).items())[:missing]:
            score = min(ceiling * pick.score, answer.picks[-1].score if answer.picks else 1.0)
            answer.picks.append(replace(pick, score=score))
            taken.add(key)
    if shelf is not None:
        answer.picks = _rearranged(answer.picks, shelf.in_order([pick.book_id for pick in answer.picks]))
    return answer


def _itself(book: UUID) -> Hashable:
    return book


def _sound(
    offered: Sequence[Pick],
    work: Callable[[UUID], Hashable],
    taken: AbstractSet[Hashable],
    within: AbstractSet[UUID] | None,
) -> dict[Hashable, Pick]:
    """What may go on the page of what a source offers, by work: allowed books with usable scores, each once."""
    kept: dict[Hashable, Pick] = {}
    for pick in offered:
        key = work(pick.book_id)
        allowed = key not in taken and (within is None or pick.book_id in within)
        if allowed and math.isfinite(pick.score) and 0 <= pick.score <= 1:
            kept.setdefault(key, pick)
    return kept


def _rearranged(picks: Sequence[Pick], order: Sequence[int]) -> list[Pick]:
    """The scores belong to the places, so that they go on never to rise."""
    return [replace(picks[at], score=place.score) for at, place in zip(order, picks, strict=True)]
