"""Two models beside each other: which of them answers whom."""

import contextlib
import hashlib
import uuid
from collections.abc import Iterator

from serving.recommendations.champion import Champion, Follower

_BUCKETS = 2**64


def place(reader: uuid.UUID) -> float:
    """Where a reader stands between 0 and 1: the same on every host, in every process, for ever.

    Keyed with a word of its own, so that it says nothing of any other split of readers by their ids.
    """
    digest = hashlib.blake2b(reader.bytes, digest_size=8, key=b"brs challenger").digest()
    return int.from_bytes(digest, "big") / _BUCKETS


class Followed:
    """The champion, and for a share of the readers the challenger.

    Args:
        champion: Answers everybody else.
        challenger: ``None``: nobody is asked for one, and none is loaded.
        share: Of the signed-in readers that the challenger answers, 0 to 1.
    """

    def __init__(self, champion: Follower, challenger: Follower | None = None, share: float = 0.0) -> None:
        self._champion = champion
        self._challenger = challenger
        self._share = share

    @property
    def current(self) -> Champion | None:
        return self._champion.current

    def of(self, reader: uuid.UUID | None) -> Champion | None:
        """Who answers this reader; the champion where there is no challenger, or nobody is signed in."""
        if reader is not None and self._challenger is not None and place(reader) < self._share:
            return self._challenger.current or self._champion.current
        return self._champion.current

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Follows the registry until the block ends."""
        with contextlib.ExitStack() as both:
            for follower in filter(None, (self._champion, self._challenger)):
                both.enter_context(follower.following())
            yield
