"""The simulated readers: a taste that drifts, series read in order, stars that say how well a book was met.

README.md beside this file states the model with its formulas; names here are the names there. Nothing is drawn from
floating-point weights: they are rounded to integers first, so that another processor's last bit changes no choice.
"""

from dataclasses import dataclass

import numpy as np

from data.sample import clock
from data.sample.shelf import DAYS, STYLES, Floats, Ints, Shelf

READERS = 2000
ACTIVITY = (3.02, 1.0)  # mean and deviation of the logarithm of a reader's number of ratings
FEWEST, MOST = 3, 250
CHOOSINESS = 1.8  # beta: how strongly taste bends what a reader picks up
HEARSAY = 0.08  # share of books that are read because everybody does
CONSTANCY = 1.0  # how strongly the mixture of kinds speaks
MEMORY = 0.86  # rho: what is left of a mood one book later
PULL = 0.24  # gamma: how a book just read bends the mood, per star above or below NEUTRAL
NEUTRAL = 3.4
MOOD_SWINGS = 0.1  # chance after each book that something quite different is wanted
SWING = 2.6  # how strongly
# By the stars of the last book (0 unused): the chance to take up its next volume at once.
GO_ON = (0.0, 0.0, 0.0, 0.08, 0.32, 0.46)
GATE_UNREAD = 0.04  # how likely a volume is begun whose forerunner is unread
GATES = (0.0, 0.01, 0.03, 0.5, 1.8, 3.0)  # …or was given so many stars
LOYALTY = 0.35  # per star above or below 3 to one of the author's books
LOYALTY_LIMIT = 1.1
STARS = {"mean": 3.7, "harshness": 0.4, "match": 0.4, "match_scale": 2.0, "noise": 0.92}
MOST_STARS = 5
FAVOURITE = 0.22  # share of the five-star books that are made a favourite
GRAIN = float(2**31)  # weights become integers of this size


@dataclass(frozen=True)
class Log:
    """One reader's ratings, oldest first. All arrays (n,); minutes are after OPENED."""

    joined: int
    book: Ints
    stars: Ints
    minutes: Ints
    favourite: Ints


def simulate(shelf: Shelf, number: int, seed: int) -> Log:
    """Reader ``number`` (1..READERS); each has a stream of random numbers of their own."""
    rng = np.random.default_rng([seed, 2, number])
    arrival = clock.arrival_day(rng)
    minutes = clock.times(rng, arrival, _activity(rng, arrival))
    book, stars = _read(rng, shelf, (minutes // clock.MINUTES_A_DAY) // 7)
    favourite = (stars == MOST_STARS) & (rng.random(len(stars)) < FAVOURITE)
    joined = max(0, int(minutes[0]) - 1 - int(30 * rng.random()))
    return Log(joined, book, stars, minutes, favourite.astype(np.int64))


def _activity(rng: np.random.Generator, arrival: float) -> int:
    """Log-normal; who came last week has not rated two hundred books yet."""
    mean, deviation = ACTIVITY
    wanted = int(np.exp(mean + deviation * rng.standard_normal()))
    return int(np.clip(wanted, FEWEST, min(MOST, FEWEST + 0.5 * (DAYS - arrival))))


def _kinds(rng: np.random.Generator, shelf: Shelf, swings: int) -> tuple[Ints, Ints]:
    """The three kinds of a reader, and the kinds that their moods may swing to: all kin of the first."""
    first = _draw(shelf.kind_shares, rng.random())
    kin = [_draw(shelf.kin[first], draw) for draw in rng.random(2 + swings)]
    return np.array([first, *kin[:2]], dtype=np.int64), np.array(kin[2:], dtype=np.int64)


def _nature(rng: np.random.Generator, shelf: Shelf, kinds: Ints) -> Floats:
    """(F,) what a reader likes for good: a mixture of their kinds, a bent of their own, a taste in styles."""
    mix = np.array([1.0, 0.65, 0.4]) * (0.3 + rng.random(3))
    nature = (mix / mix.sum() * CONSTANCY) @ shelf.kinds[kinds]
    nature += 0.3 * rng.standard_normal(len(nature))
    nature[-STYLES:] = 0.9 * rng.standard_normal(STYLES)
    return np.asarray(nature)


def _read(rng: np.random.Generator, shelf: Shelf, weeks: Ints) -> tuple[Ints, Ints]:
    """One book after another. ``weeks`` (n,) says when; returns rows and stars, both (n,)."""
    kinds, swings = _kinds(rng, shelf, len(weeks))
    base = shelf.features @ _nature(rng, shelf, kinds)
    harshness = STARS["harshness"] * rng.standard_normal()
    mood = np.zeros_like(base)
    loyalty = np.zeros(int(shelf.author.max()) + 1)
    gate = np.where(shelf.volume_before >= 0, GATE_UNREAD, 1.0)
    books, stars = np.zeros(len(weeks), dtype=np.int64), np.zeros(len(weeks), dtype=np.int64)
    chance, noise = rng.random((len(weeks), 4)), rng.standard_normal(len(weeks))
    sequel = -1
    for step, week in enumerate(weeks):
        exposure = shelf.exposure[week]
        taste = base + mood + loyalty[shelf.author]
        if sequel >= 0 and gate[sequel] > 0 and chance[step, 0] < GO_ON[stars[step - 1]]:
            book = sequel
        else:
            book = _choose(exposure * gate, taste, chance[step, 1], by_hearsay=chance[step, 2] < HEARSAY)
        match = np.tanh((taste[book] - exposure @ taste) / STARS["match_scale"])
        felt = STARS["mean"] + harshness + shelf.quality[book] + STARS["match"] * match + STARS["noise"] * noise[step]
        given = int(np.clip(np.rint(felt), 1, MOST_STARS))
        books[step], stars[step] = book, given
        gate[book], sequel = 0.0, int(shelf.volume_after[book])
        if sequel >= 0 and gate[sequel] > 0:
            gate[sequel] = GATES[given]
        author = shelf.author[book]
        loyalty[author] = np.clip(loyalty[author] + LOYALTY * (given - 3), -LOYALTY_LIMIT, LOYALTY_LIMIT)
        mood = MEMORY * mood + PULL * (given - NEUTRAL) * shelf.likeness[book]
        if chance[step, 3] < MOOD_SWINGS:
            mood = 0.3 * mood + SWING * (shelf.features @ shelf.kinds[swings[step]])
    return books, stars


def _choose(weight: Floats, taste: Floats, draw: float, *, by_hearsay: bool) -> int:
    """A row drawn by weight · exp(beta · taste), or by weight alone. Where weight is 0 it is never drawn."""
    if not by_hearsay:
        weight = weight * np.exp(CHOOSINESS * (taste - taste.max()))
    return _draw(weight, draw)


def _draw(weight: Floats, draw: float) -> int:
    """A row drawn by weight, ``draw`` uniform in [0, 1)."""
    grains = np.cumsum(np.rint(weight * (GRAIN / weight.max())).astype(np.int64))
    return int(np.searchsorted(grains, int(draw * int(grains[-1])), side="right"))
