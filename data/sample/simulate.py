"""Simulates the readers of the sample library and writes their files: ``python -m data.sample.simulate [FOLDER]``.

The same seed gives the same files, byte for byte. What is simulated and how stands in README.md beside this file.
"""

import csv
import gzip
import io
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from data.sample import shelf
from data.sample.catalogue import HERE, read_books
from data.sample.population import READERS, simulate
from data.sample.words import Writing

SEED = 20261101


def generate(seed: int = SEED) -> dict[str, bytes]:
    """The simulated files by name, as they lie in this folder."""
    books = read_books()
    library, writing = shelf.build(books, seed), Writing()
    names = tomllib.loads((HERE / "taste.toml").read_text(encoding="utf-8"))["names"]
    readers, ratings, reviews = [], [], []
    for number in range(1, READERS + 1):
        log = simulate(library, number, seed)
        texts = writing.of_reader(books, log, number, seed)
        first, last = (names[part][number % len(names[part])] for part in ("first", "last"))
        readers.append((number, first, last, log.joined))
        columns = (log.book.tolist(), log.stars.tolist(), log.minutes.tolist(), log.favourite.tolist())
        ratings += [(number, *row) for row in zip(*columns, strict=True)]
        reviews += [(number, log.book[step], text) for step, text in texts.items()]
    return {
        "readers.csv": _csv(("reader", "first_name", "last_name", "joined"), readers),
        "ratings.csv.gz": _gzip(_csv(("reader", "book", "stars", "minute", "favourite"), ratings)),
        "reviews.csv.gz": _gzip(_csv(("reader", "book", "text"), reviews)),
    }


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _gzip(content: bytes) -> bytes:
    """Without name and time, so that equal content gives equal bytes (with the same zlib)."""
    return gzip.compress(content, compresslevel=9, mtime=0)


def main(folder: Path = HERE) -> None:
    for name, content in generate().items():
        (folder / name).write_bytes(content)
        sys.stdout.write(f"{folder / name}: {len(content):,} bytes\n")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:2]))
