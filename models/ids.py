"""Books are UUIDs outside and rows inside: how an array carries the UUIDs that its rows stand for."""

from collections.abc import Iterable
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

BookIds = NDArray[np.uint8]
"""Shape (n, 16): one UUID a row, as its sixteen bytes."""


def pack(ids: Iterable[UUID]) -> BookIds:
    return np.frombuffer(b"".join(one.bytes for one in ids), dtype=np.uint8).reshape(-1, 16)


def unpack(packed: BookIds) -> list[UUID]:
    raw = np.ascontiguousarray(packed).tobytes()
    return [UUID(bytes=raw[at : at + 16]) for at in range(0, len(raw), 16)]
