"""The review texts of the simulated readers: sentences that fit the stars, the genre and what the reader read before.

Every text is unique and says nothing about what happens in a book (see phrases.toml).
"""

import tomllib
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from data.sample.catalogue import HERE, Book
from data.sample.population import Log

WRITERS = 0.33  # share of readers who ever write
EAGERNESS = (0.0, 0.40, 0.29, 0.16, 0.19, 0.32)  # upper bound of a writer's chance to write, by stars (0 unused)
SHORTEST = 10  # what the service accepts
BEGINNING = 12  # letters that make two texts begin alike
PATIENCE = 40  # draws after which they may
LEVELS = ("", "disliked", "weak", "mixed", "liked", "loved")
LENGTHS = (0.12, 0.42, 0.74, 0.92)  # cumulative shares of texts of 1, 2, 3, 4 sentences; the rest has 5
NO_CHAPTERS = {"Poetry", "Drama", "Short Stories"}  # what is said of characters and endings does not fit these
FACTUAL = {"Memoir", "Biography", "History", "True Crime", "Essays"}  # one of these anywhere makes it non-fiction
FACTUAL_FIRST = FACTUAL | {"Science", "Nature", "Philosophy", "Psychology", "Economics", "Travel", "Food"}
FACTUAL_FIRST |= {"Technology", "Society"}
GRAVE = {"War", "History", "True Crime", "Memoir"}  # unless they are also Humor
GRAVE_SPEAKS = GRAVE | {"Society", "Biography", "Essays", "Classics", "Literary Fiction", "Historical Fiction"}
LIKED = 4
COIN = 0.5
UNSAID = 0.4  # how often an aside that would fit is left out
NTH = {3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth"}
OLD = 1900


@dataclass(frozen=True)
class Past:
    """What the reader had rated here before this book."""

    by_author: int  # books of the same author, this one included
    earlier: tuple[str, int] | None  # title and stars of the volume before
    opens_series: bool


class Writing:
    """Draws texts until each is new: no two readers ever write the same, and seldom begin alike about one book."""

    def __init__(self) -> None:
        self.phrases: dict[str, Any] = tomllib.loads((HERE / "phrases.toml").read_text(encoding="utf-8"))
        self.taken: set[str] = set()
        self.beginnings: set[tuple[str, str]] = set()  # key of the book, first words of a text about it

    def of_reader(self, books: list[Book], log: Log, number: int, seed: int) -> dict[int, str]:
        """Texts by the position of the rating in the log; most readers write none."""
        rng = np.random.default_rng([seed, 3, number])
        if rng.random() >= WRITERS:
            return {}
        zeal = 0.4 + 1.2 * rng.random()
        read: dict[str, int] = {}
        texts: dict[int, str] = {}
        for step, (row, stars) in enumerate(zip(log.book.tolist(), log.stars.tolist(), strict=True)):
            book = books[row]
            past = _past(books, read, book)
            read[book.key] = stars
            if rng.random() < zeal * EAGERNESS[stars] and (stars >= LIKED or not _grave(book)):
                texts[step] = self._new_text(rng, book, stars, past)
        return texts

    def _new_text(self, rng: np.random.Generator, book: Book, stars: int, past: Past) -> str:
        for attempt in count():
            text = self._text(rng, book, stars, past)
            beginning = (book.key, text[:BEGINNING])
            misplaced = "chapter" in text and NO_CHAPTERS & set(book.genres)
            repeats = text in self.taken or (beginning in self.beginnings and attempt < PATIENCE)
            if len(text) >= SHORTEST and not misplaced and not repeats:
                break
        self.taken.add(text)
        self.beginnings.add(beginning)
        return text

    def _text(self, rng: np.random.Generator, book: Book, stars: int, past: Past) -> str:
        level, grave = LEVELS[stars], _grave(book)
        frame = f"grave_{level}" if grave else level
        length = 1 + int(np.searchsorted(LENGTHS, rng.random(), side="right"))
        middle = [self._of_genre(rng, book, stars)]
        if not grave and not NO_CHAPTERS & set(book.genres):
            middle.append(self._pick(rng, "nonfiction" if _factual(book) else "fiction", level))
        aside = self._aside(rng, book, stars, past)
        if aside:
            middle.insert(int(2 * rng.random()), aside)
        sentences = [self._pick(rng, "opening", frame), *middle[: max(0, length - 2)]]
        if length > 1:
            sentences.append(self._pick(rng, "closing", frame) if rng.random() < COIN else middle[-1])
        said = " ".join(dict.fromkeys(sentences))
        return self._filled(rng, said, book, past)

    def _of_genre(self, rng: np.random.Generator, book: Book, stars: int) -> str:
        """Mostly of the first genre. Three stars may be praise or blame."""
        fitting = [genre for genre in book.genres if genre in GRAVE_SPEAKS] if _grave(book) else list(book.genres)
        genre = fitting[int(len(fitting) * rng.random() ** 2)]
        praise = stars >= LIKED or (stars == LIKED - 1 and rng.random() < COIN)
        return self._pick(rng, "genre", genre, "good" if praise else "bad")

    def _aside(self, rng: np.random.Generator, book: Book, stars: int, past: Past) -> str | None:
        """What the reader's own past, the language or the age of the book suggest; None where nothing does."""
        mood = "liked" if stars >= LIKED else "disliked"
        options: list[tuple[str, ...]] = []
        if past.earlier:
            gain = stars - past.earlier[1]
            options += [("series", "better" if gain > 0 else "worse" if gain < 0 else "same")] * 3
        elif past.opens_series and stars != LIKED - 1:
            options += [("series", f"first_{mood}")] * 2
        if past.by_author in NTH:
            options.append(("author", mood))
        if book.language != "en":
            options.append(("translation", mood))
        if book.year is None or book.year < OLD:
            options.append(("age", mood))
        if not options or rng.random() < UNSAID:
            return None
        return self._pick(rng, *options[int(len(options) * rng.random())])

    def _pick(self, rng: np.random.Generator, *path: str) -> str:
        pool: Any = self.phrases
        for name in path:
            pool = pool[name]
        return str(pool[int(len(pool) * rng.random())])

    def _filled(self, rng: np.random.Generator, text: str, book: Book, past: Past) -> str:
        return text.format(
            title=book.title,
            author=book.author.replace(", ", " and "),
            when=self._pick(rng, "when"),
            often=self._pick(rng, "often"),
            earlier=past.earlier[0] if past.earlier else "",
            nth=NTH.get(past.by_author, ""),
        )


def _past(books: list[Book], read: dict[str, int], book: Book) -> Past:
    volumes = sorted((b.position or 0, b.key, b.title) for b in books if book.series and b.series == book.series)
    place = [key for _, key, _ in volumes].index(book.key) if volumes else 0
    before = volumes[place - 1] if place else None
    return Past(
        by_author=1 + sum(b.author == book.author and b.key in read for b in books),
        earlier=(before[2], read[before[1]]) if before and before[1] in read else None,
        opens_series=place == 0 and len(volumes) > 1,
    )


def _factual(book: Book) -> bool:
    return bool(FACTUAL & set(book.genres)) or book.genres[0] in FACTUAL_FIRST


def _grave(book: Book) -> bool:
    return bool(GRAVE & set(book.genres)) and "Humor" not in book.genres
