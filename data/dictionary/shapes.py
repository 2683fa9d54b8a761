"""What a description is made of."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """``source`` is its name in the lake, ``kind`` its type in DuckDB; in Parquet, ids are text."""

    source: str
    kind: str
    meaning: str


@dataclass(frozen=True)
class Table:
    """``source`` is the lake's file; columns keep their order."""

    source: str
    meaning: str
    columns: Mapping[str, Column]


@dataclass(frozen=True)
class View:
    """``columns`` names those of ``query`` and says what they mean, in its order."""

    meaning: str
    columns: Mapping[str, str]
    query: str
