"""What people do on the site: mostly look, sometimes sign in, now and then write."""

import random
import secrets
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple
from urllib.parse import quote

from deploy.local.bench.client import API, Shelf, search_path
from deploy.local.bench.wire import Request

_SORTS = ("title", "author", "average_rating", "total_reviews", "publication_date", "created_at")
_PAGES = 5


class Visitor:
    """One client: anonymous, or a reader with a token. Never reviews a book twice."""

    def __init__(self, known: Shelf, token: str | None, seed: int) -> None:
        self.known, self.token = known, token
        self.rng = random.Random(seed)  # noqa: S311 - which page is opened is no secret
        self._unreviewed: Iterator[str] = iter(self.rng.sample(list(known.popular), len(known.popular)))

    def book(self) -> str:
        return self.rng.choice(self.known.popular)

    def text(self) -> str:
        """Something to search for: every kind as often as the others."""
        return self.rng.choice(self.known.searches[self.rng.choice(list(self.known.searches))])

    def review(self) -> Request | None:
        """``None`` when all books are reviewed."""
        book = next(self._unreviewed, None)
        if book is None:
            return None
        body = {
            "rating": self.rng.randint(1, 5),
            "review_text": f"Words that nobody has written: {secrets.token_hex(16)}",
        }
        return Request("POST", f"{API}/books/{book}/reviews", body)

    def next(self) -> tuple[str, Request]:
        """A kind of request and one of that kind."""
        acts = ACTS if self.token is not None else _ANONYMOUS
        act = self.rng.choices(acts, [act.weight for act in acts])[0]
        return act.name, act.request(self) or _one_book(self)


class Act(NamedTuple):
    """``weight``: how many of a hundred requests of a reader are of this kind."""

    name: str
    weight: int
    request: Callable[[Visitor], Request | None]
    signed_in: bool = False


def _list(visitor: Visitor) -> Request:
    sort, order = visitor.rng.choice(_SORTS), visitor.rng.choice(("asc", "desc"))
    page = visitor.rng.randint(1, _PAGES)
    return Request("GET", f"{API}/books?sort_by={sort}&sort_order={order}&page={page}")


def _one_book(visitor: Visitor) -> Request:
    return Request("GET", f"{API}/books/{visitor.book()}")


def _reviews(visitor: Visitor) -> Request:
    sort = visitor.rng.choice(("created_at", "rating", "updated_at"))
    return Request("GET", f"{API}/books/{visitor.book()}/reviews?sort_by={sort}&per_page=20")


def _favorite(visitor: Visitor) -> Request:
    return Request("POST", f"{API}/users/favorites/{quote(visitor.book())}")


ACTS: Final = (
    Act("list", 24, _list),
    Act("one book", 26, _one_book),
    Act("search", 14, lambda visitor: Request("GET", search_path(visitor.text()))),
    Act("book reviews", 12, _reviews),
    Act("popular", 8, lambda _: Request("GET", f"{API}/recommendations/popular")),
    Act("personal", 7, lambda _: Request("GET", f"{API}/recommendations/personal?limit=10"), signed_in=True),
    Act("own favourites", 3, lambda _: Request("GET", f"{API}/users/favorites"), signed_in=True),
    Act("add a favourite", 3, _favorite, signed_in=True),
    Act("write a review", 3, lambda visitor: visitor.review(), signed_in=True),
)
_ANONYMOUS: Final = tuple(act for act in ACTS if not act.signed_in)
