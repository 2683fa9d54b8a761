"""Tables in parts by pseudonym: rows are spilled to the part they belong to, and merged part by part.

So memory holds a chunk or a part, never a table, and nobody sorts more than a part.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.lake.manifest import Extract, Part, checksum
from data.lake.tables import Parted

BITS = 4
PARTS = 1 << BITS
_OF_PART = pl.col("reader") // (1 << 64 - BITS) + PARTS // 2  # in the order of the pseudonyms, which are hashes


@dataclass(frozen=True)
class Spilled:
    """Rows by part, in files that hold a chunk's share each."""

    files: dict[int, list[Path]]

    def rows(self, part: int) -> pl.DataFrame | None:
        paths = self.files.get(part)
        return pl.concat([pl.read_ipc(path) for path in paths]) if paths else None


def spill(frames: Iterable[pl.DataFrame], folder: Path) -> Spilled:
    """Write the frames to ``folder``, which does not exist yet, by part."""
    folder.mkdir()
    files: dict[int, list[Path]] = {}
    for number, frame in enumerate(frames):
        for (part,), rows in frame.with_columns(part=_OF_PART).partition_by("part", as_dict=True).items():
            path = folder / f"{part}-{number}.ipc"
            rows.drop("part").write_ipc(path, compression="lz4")
            files.setdefault(int(part), []).append(path)
    return Spilled(files)


def merged(table: Parted, base: pl.DataFrame | None, gone: Sequence[pl.DataFrame], new: pl.DataFrame) -> pl.DataFrame:
    """The rows of one part: those of before, without those whose keys are gone or new, and the new ones; in order."""
    if base is None:
        return new.sort(table.order).rechunk()
    keys: dict[tuple[str, ...], list[pl.DataFrame]] = {}
    for frame in (*gone, new.select(table.key)):
        keys.setdefault(tuple(frame.columns), []).append(frame)
    for columns, frames in keys.items():
        base = base.join(pl.concat(frames).unique(), on=columns, how="anti", maintain_order="left")
    # Most rows are in order already: a stable sort uses that, and takes a quarter of the time.
    return pl.concat([base, new]).sort(table.order, maintain_order=True).rechunk()


def write_part(frame: pl.DataFrame, number: int, folder: Path) -> Part:
    """The same rows give the same bytes, as long as polars is the same: the manifest says which."""
    aside = folder / f"{number:02}"
    frame.write_parquet(aside, compression="lz4")  # a fifth larger than zstd, in half the time
    sha256 = checksum(aside)
    path = aside.replace(folder / f"{number:02}-{sha256[:16]}.parquet")
    return Part(path.name, len(frame), path.stat().st_size, sha256)


def number_of(part: Part) -> int:
    return int(part.file[:2])


def together(parts: Sequence[Part], counted: int) -> Extract:
    sha256 = hashlib.sha256("".join(f"{part.sha256}\n" for part in parts).encode()).hexdigest()
    return Extract(sum(part.rows for part in parts), counted, sum(part.bytes for part in parts), sha256, tuple(parts))
