"""Nights in a row, without Dagster, Postgres or MLflow: new books, new readers, new ratings, and what the gate says.

A library's own ratings are replayed day by day. Some of its books arrive during the nights that are simulated: until
then nobody can have rated them, and their earlier ratings are left out.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.loading import Source
from models.bundle import Arrays
from models.evaluation.splits import leave_last
from models.training.library import Books, Library, library
from models.training.recipe import Recipe, learn
from pipelines.judging import adopt, drawn
from pipelines.training import books_of

DAY = 86_400_000_000  # microseconds
LATE_BOOKS = 0.15
READERS_JUDGED = 500


@dataclass(frozen=True)
class World:
    """Everything that will have happened when the last night is over.

    Attributes:
        reader: (n,) codes.
        book: (n,) rows of the books.
        stars: (n,) 1 to 5.
        at: (n,) microseconds since 1970.
        books: m.
        arrival: (m,) microseconds since 1970: when each book came; the least int64 for those that were always there.
        start: Microseconds since 1970: the moment of night 0.
    """

    reader: NDArray[np.int64]
    book: NDArray[np.int64]
    stars: NDArray[np.int8]
    at: NDArray[np.int64]
    books: Books
    arrival: NDArray[np.int64]
    start: int

    def known(self, night: int) -> Library:
        """What Postgres would hold in that night."""
        now = self.start + night * DAY
        there = np.flatnonzero(self.arrival <= now)
        chosen = (self.at <= now) & (self.at >= self.arrival[self.book])
        ids = np.array([book.bytes for book in self.books.ids], dtype="S16")
        keys = np.frombuffer(ids.tobytes(), dtype=np.uint8).reshape(-1, 16)
        return library(
            self.reader[chosen], keys[self.book[chosen]], self.stars[chosen], self.at[chosen], only(self.books, there)
        )

    def late(self, night: int) -> set[bytes]:
        """The ids of the books that came after night 0 and until this one."""
        now = self.start + night * DAY
        came = (self.arrival > self.start) & (self.arrival <= now)
        return {self.books.ids[row].bytes for row in np.flatnonzero(came).tolist()}


def only(books: Books, rows: NDArray[np.intp]) -> Books:
    return Books(*([column[row] for row in rows] for column in vars(books).values()))


def world_of(source: Source, nights: int, seed: int = 0) -> World:
    """The last ``nights`` days of a source lie ahead; a share of its books arrives in them."""
    shelf, ratings = list(source.books()), list(source.reviews())
    row = {book.id: number for number, book in enumerate(shelf)}
    reader = {one.id: number for number, one in enumerate(source.readers())}
    at = np.array([rating.created_at for rating in ratings], dtype=object)
    moments = np.array([int(moment.timestamp() * 1_000_000) for moment in at], dtype=np.int64)
    start = int(moments.max()) - nights * DAY
    rng = np.random.default_rng(seed)
    arrival = np.full(len(shelf), np.iinfo(np.int64).min)
    late = rng.random(len(shelf)) < LATE_BOOKS
    arrival[late] = start + rng.integers(1, nights * DAY, size=int(late.sum()))
    return World(
        reader=np.array([reader[rating.user_id] for rating in ratings], dtype=np.int64),
        book=np.array([row[rating.book_id] for rating in ratings], dtype=np.int64),
        stars=np.array([rating.rating for rating in ratings], dtype=np.int8),
        at=moments,
        books=books_of(shelf),
        arrival=arrival,
        start=start,
    )


@dataclass(frozen=True)
class Night:
    """What one night came to.

    Attributes:
        number: 0 is the first.
        ratings: Known in that night.
        books: There in that night.
        new_books: Of them, those that came since night 0.
        proposed: Whether another recipe than the champion's was put forward.
        refused: Whether what was put forward was refused.
        promoted: Whether the champion was renewed or replaced.
        age: Of the champion the morning after, in days.
        known: Share of the new books that the champion knows; NaN while there are none.
        by_taste: Share of the new books that liking another book speaks for, in the champion.
        score: NDCG@10 of what was put forward.
        seconds: That the night took.
    """

    number: int
    ratings: int
    books: int
    new_books: int
    proposed: bool
    refused: bool
    promoted: bool
    age: int
    known: float
    by_taste: float
    score: float
    seconds: float

    def to_json(self) -> dict[str, float | None]:
        return {name: None if np.isnan(value) else value for name, value in vars(self).items()}


@dataclass(frozen=True)
class _Champion:
    recipe: Recipe
    arrays: Arrays
    learned: int


def nights(
    world: World, count: int, recipes: Mapping[int, Recipe], *, readers: int = READERS_JUDGED
) -> Iterator[Night]:
    """Refreshes night after night, as the pipeline does.

    Args:
        world: What happens.
        count: Of nights.
        recipes: From which night on which recipe is put forward, as tuning stores one; night 0 must have one.
        readers: To be judged a night.
    """
    recipe = recipes[0]
    champion: _Champion | None = None
    for number in range(count):
        started = time.monotonic()
        recipe = recipes.get(number, recipe)
        known = world.known(number)
        split = leave_last(known.interactions)
        part = known.of(split.train)
        former = champion.recipe if champion else None

        def of_part(other: Recipe, part: Library = part) -> Arrays:
            return learn(part, other)

        adopted = adopt(drawn(split, readers), recipe, of_part(recipe), former, of_part)
        promoted = adopted.decisions[-1].promote
        if promoted:
            arrays = learn(known, adopted.recipe, earlier=adopted.arrays)
            champion = _Champion(adopted.recipe, arrays, number)
        told = _told(world, number, known, champion)
        yield replace(
            told,
            proposed=former is not None and former != recipe,
            refused=not adopted.decisions[0].promote,
            promoted=promoted,
            score=adopted.decisions[0].figures["gate_score"],
            seconds=time.monotonic() - started,
        )


def _told(world: World, number: int, known: Library, champion: _Champion | None) -> Night:
    new = world.late(number)
    has, speaks = _reach(champion.arrays) if champion else (set(), set())
    nan = float("nan")
    return Night(
        number=number,
        ratings=len(known.interactions),
        books=known.interactions.book_count,
        new_books=len(new),
        proposed=False,
        refused=False,
        promoted=False,
        age=number - champion.learned if champion else number,
        known=len(new & has) / len(new) if new else nan,
        by_taste=len(new & speaks) / len(new) if new else nan,
        score=nan,
        seconds=nan,
    )


def _reach(arrays: Arrays) -> tuple[set[bytes], set[bytes]]:
    """The books of a bundle, and those of them that liking another book speaks for."""
    keys = [key.tobytes() for key in arrays["book_ids"]]
    if "neighbour_index" in arrays:
        index, weight = arrays["neighbour_index"], arrays["neighbour_weight"]
        others = index != np.arange(len(index))[:, None]
        rows = np.unique(index[(weight.astype(np.float64) > 0) & others])
    else:
        rows = np.flatnonzero(np.abs(arrays["item_factors"]).sum(axis=1))
    return set(keys), {keys[row] for row in rows}


def proposals(*, whole: bool) -> dict[int, Recipe]:
    """What is put forward from which night on.

    First a recipe that forgets the order of the ratings, then this program's own, which is better; then for three
    nights one with a slightly longer memory.
    """
    own = Recipe() if whole else Recipe(blend=None)
    return {0: replace(own, recency=0.0), 10: own, 20: replace(own, recency=0.6), 23: own}


def table(told: Sequence[Night]) -> str:
    """One line a night."""
    head = "night  ratings  books  new  put forward   promoted  age  new known  by taste  NDCG@10  seconds"
    lines = [
        f"{night.number:>5}  {night.ratings:>7,}  {night.books:>5,}  {night.new_books:>3}  {_words(night):<12}"
        f"  {'yes' if night.promoted else 'no':>8}  {night.age:>3}  {_share(night.known):>9}"
        f"  {_share(night.by_taste):>8}  {night.score:>7.4f}  {night.seconds:>7.1f}"
        for night in told
    ]
    return "\n".join([head, *lines])


def _share(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.1%}"


def _words(night: Night) -> str:
    return f"{'another' if night.proposed else 'the same'}{', no' if night.refused else ''}"


def summary(told: Sequence[Night]) -> str:
    """For people."""
    new = [night for night in told if night.new_books]
    proposals = [night for night in told if night.proposed]
    lines = [
        f"{len(told)} nights: the champion was renewed or replaced in {sum(night.promoted for night in told)}",
        f"other recipes before the gate in {len(proposals)}, refused in {sum(night.refused for night in proposals)}",
        f"age of the champion: {np.mean([night.age for night in told]):.2f} days, at most {max(n.age for n in told)}",
    ]
    if new:
        lines.append(
            f"new books that the champion knows: {np.mean([night.known for night in new]):.1%}, "
            f"that taste can recommend: {np.mean([night.by_taste for night in new]):.1%}"
        )
    return "\n".join(lines)
