"""A chain of sources: each fills what those before it have left open."""

import math
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import UUID

from models.reader import Pick, Reader


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
        on_failure: Told the name of a source that raised, and what; the sources after it go on.
    """
    answer = Page()
    taken = set(reader.barred)
    for source in sources:
        missing = n - len(answer.picks)
        if missing <= 0:
            break
        try:
            # Books taken already may come again: ask for as many more.
            offered = source.picks(reader, missing + len(answer.picks), within)
        except Exception as failure:  # noqa: BLE001 - a source is a plug-in; its failure is reported and shown, never hidden
            on_failure(source.name, failure)
            answer.degraded = True
            continue
        ceiling = answer.picks[-1].score if answer.picks else 1.0
        for pick in _sound(offered, taken, within)[:missing]:
            score = min(ceiling * pick.score, answer.picks[-1].score if answer.picks else 1.0)
            answer.picks.append(replace(pick, score=score))
            taken.add(pick.book_id)
    return answer


def _sound(offered: Sequence[Pick], taken: AbstractSet[UUID], within: AbstractSet[UUID] | None) -> list[Pick]:
    """What may go on the page of what a source offers: allowed books with usable scores, each once."""
    kept: dict[UUID, Pick] = {}
    for pick in offered:
        allowed = pick.book_id not in taken and (within is None or pick.book_id in within)
        if allowed and math.isfinite(pick.score) and 0 <= pick.score <= 1:
            kept.setdefault(pick.book_id, pick)
    return list(kept.values())
