"""One recipe by every protocol, beside its own parts: what the report tells."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from data import lake
from models.bundle import Arrays
from models.diversity import DEFAULT
from models.evaluation.bootstrap import Interval, interval
from models.evaluation.calibration import Reliability, reliability
from models.evaluation.facts import BookFacts
from models.evaluation.rankers import ChainRanker, PopularRanker, Ranker, ServedRanker
from models.evaluation.report import DEPTH, YARDSTICK, Comparison, compare, headline
from models.evaluation.splits import Split, beginners, leave_last, new_readers, one_clock
from models.ids import unpack
from models.reader import LIKED_FROM, Pick, Rating, Reader
from models.taste import Taste
from models.training.als import NothingToLearn
from models.training.library import Library
from models.training.recipe import TREES, Recipe, learn
from pipelines.judging import OURS, drawn
from pipelines.report_page import Basket, BasketPick

NEIGHBOURS = "neighbour_"
UNVARIED = "without diversity"
BASKETS, OF_BASKET, SHOWN = 5, 3, 10
PARTS = (0.25, 0.5)  # of the readers, for the learning curve
CURVE_READERS = 2_000
Announce = Callable[[str], None]


@dataclass(frozen=True)
class Compared:
    """``taste`` was learned from the training part alone, and ``split`` is what it was judged by."""

    comparison: Comparison
    taste: Taste
    split: Split


def compared(
    known: Library, recipe: Recipe, facts: BookFacts, announce: Announce = lambda _: None
) -> Iterator[Compared]:
    """P1, P2, P2 for beginners and P3, in this order; P3 is left out where all ratings are of one moment.

    Raises:
        NothingToJudge: No reader came to like anything.
    """
    ratings = known.interactions
    yield _by(leave_last(ratings), known, recipe, facts, announce)
    unseen = new_readers(ratings)
    found = _by(unseen, known, recipe, facts, announce)
    yield found
    # The same readers are absent from training, so that nothing is learned anew.
    begun = beginners(ratings)
    yield Compared(_judged(begun, found.taste, {}, facts), found.taste, begun)
    if ratings.at.min() < ratings.at.max():
        yield _by(one_clock(ratings), known, recipe, facts, announce)


def learning_curve(
    known: Library, recipe: Recipe, whole: Taste, announce: Announce = lambda _: None
) -> dict[str, Interval]:
    """NDCG@10 by how much was learned from: whether more ratings would still make a better model.

    Learned from the ratings of a quarter and of a half of the readers; judged always by the same readers, each with all
    that is known of them (P1).

    Args:
        known: Everything.
        recipe: What is learned.
        whole: What it made of the whole training part of P1.
        announce: Is told what is being done.

    Returns:
        Ratings learned from, as text, to the mean and its interval; smallest first. A part that is too small to learn
        from is left out.
    """
    split = leave_last(known.interactions)
    judged = drawn(split, CURVE_READERS)
    popularity = PopularRanker(split.train)
    order = np.random.default_rng(0).permutation(split.train.reader_count)
    curve = {}
    for share in PARTS:
        part = split.train.only(order[split.train.reader] < share * split.train.reader_count)
        announce(f"learning curve: {len(part):,} ratings")
        try:
            taste = Taste(learn(known.of(part), recipe))
        except NothingToLearn:
            continue
        served = ChainRanker(ServedRanker(taste, DEFAULT), popularity)
        curve[f"{len(part):,}"] = interval(headline(judged, served))
    served = ChainRanker(ServedRanker(whole, DEFAULT), popularity)
    return curve | {f"{len(split.train):,}": interval(headline(judged, served))}


def _by(split: Split, known: Library, recipe: Recipe, facts: BookFacts, announce: Announce) -> Compared:
    announce(f"{split.protocol}: learning from {len(split.train):,} ratings")
    arrays = learn(known.of(split.train), recipe)
    taste = Taste(arrays)
    return Compared(_judged(split, taste, _parts(arrays), facts), taste, split)


def _parts(arrays: Arrays) -> dict[str, Taste]:
    """What is left of a model without one of its parts: whether that part earns its place."""
    parts: dict[str, Taste] = {}
    linear = {name: array for name, array in arrays.items() if not name.startswith(TREES)}
    if len(linear) < len(arrays):
        parts["nor re-ranker"] = Taste(linear)
    factors = {name: array for name, array in linear.items() if not name.startswith(NEIGHBOURS)}
    if len(factors) < len(linear):
        parts["nor item-item weights"] = Taste(factors)
    return parts


def _judged(split: Split, taste: Taste, parts: Mapping[str, Taste], facts: BookFacts) -> Comparison:
    popularity = PopularRanker(split.train)
    asked: dict[str, Ranker] = {OURS: ServedRanker(taste, DEFAULT), UNVARIED: ServedRanker(taste)}
    asked |= {name: ServedRanker(one) for name, one in parts.items()}
    models: dict[str, Ranker] = {name: ChainRanker(one, popularity) for name, one in asked.items()}
    found = compare(drawn(split), {**models, YARDSTICK: popularity}, facts)
    variants = frozenset(asked) - {OURS}
    newcomers = found.newcomers and replace(found.newcomers, variants=variants)
    return replace(found, variants=variants, newcomers=newcomers)


def foretold(found: Compared) -> Reliability | None:
    """Whether the scores are the probabilities that they are shown as: of the fifty best of each reader who is judged.

    None without a re-ranker: a linear score claims to be no probability.
    """
    if found.taste.trees is None:
        return None
    split = drawn(found.split)
    readers = found.comparison.readers
    top, scores = ServedRanker(found.taste).scored(split.history, readers, DEPTH)
    future = split.future.only(split.future.stars >= LIKED_FROM)
    liked = future.reader.astype(np.int64) * future.book_count + future.book
    hit = np.isin(readers[:, None] * future.book_count + top, liked)
    return reliability(scores[top >= 0], hit[top >= 0])


def baskets(known: Library, taste: Taste, folder: Path) -> list[Basket]:
    """The three best-liked books of each of five genres, all with five stars, and what their reader would be shown.

    Genres are the ones with most likes; no book is in two baskets.
    """
    books = lake.scan(folder, "books").select("id", "title", "author").collect()
    about = {key: (title, author) for key, title, author in books.iter_rows()}
    names = dict(lake.scan(folder, "genres").select("id", "name").collect().iter_rows())
    ids, catalogue = unpack(known.interactions.book_ids), known.catalogue
    genres = catalogue.genres.astype(np.bool_)
    free = np.ones(len(ids), dtype=np.bool_)
    made = []
    for column in np.argsort(-(genres.T @ catalogue.likes), kind="stable"):
        rows = np.flatnonzero(genres[:, column] & free & (catalogue.likes > 0))
        chosen = rows[np.argsort(-catalogue.likes[rows], kind="stable")][:OF_BASKET]
        if len(chosen) < OF_BASKET:
            continue
        free[chosen] = False
        start = datetime(2026, 1, 1, tzinfo=UTC)
        ratings = tuple(Rating(ids[row], 5, start + timedelta(days=day)) for day, row in enumerate(chosen))
        picks = taste.picks(Reader(ratings=ratings), SHOWN, diversity=DEFAULT)
        name = str(names[str(unpack(catalogue.genre_ids)[column])])
        rated = [(about[str(rating.book_id)][0], rating.stars) for rating in ratings]
        made.append(Basket(name, rated, [_shown(pick, about) for pick in picks]))
        if len(made) == BASKETS:
            break
    return made


def _shown(pick: Pick, about: Mapping[str, tuple[str, str]]) -> BasketPick:
    reasons = [(about[str(reason.book_id)][0], reason.share) for reason in pick.because]
    title, author = about[str(pick.book_id)]
    return BasketPick(title, author, pick.source, reasons)


def overall(known: Library) -> dict[str, str | int | float]:
    """Facts of the data, for people."""
    ratings = known.interactions
    window = ratings.window
    counts: dict[str, str | int | float] = {
        "ratings": len(ratings),
        "readers": ratings.reader_count,
        "books": ratings.book_count,
        "books that nobody has rated": int((known.catalogue.raters == 0).sum()),
    }
    return counts if window is None else {**counts, "from": f"{window[0]:%F}", "to": f"{window[1]:%F}"}
