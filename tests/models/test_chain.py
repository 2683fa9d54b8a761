from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from models.chain import page
from models.reader import Because, Pick, Reader


@dataclass
class Fixed:
    """A source that answers with what it was given, good or bad."""

    name: str
    answer: list[Pick]

    def picks(self, *_asked: object) -> list[Pick]:
        return self.answer


@dataclass
class Broken:
    name: str = "broken"

    def picks(self, *_asked: object) -> list[Pick]:
        raise ZeroDivisionError


def unexpected(name: str, failure: Exception) -> None:
    raise AssertionError(name) from failure


def test_the_first_source_to_choose_a_book_keeps_it_and_the_next_fills_up(
    someone: Callable[..., Reader], book: Callable[[int], UUID]
) -> None:
    why = (Because(book(9), 1.0),)
    first = Fixed("first", [Pick(book(0), 0.8, "first", why), Pick(book(1), 0.4, "first", why)])
    second = Fixed("second", [Pick(book(1), 1.0, "second"), Pick(book(2), 1.0, "second"), Pick(book(3), 0.5, "second")])
    answer = page([first, second], someone((9, 5)), 4, on_failure=unexpected)
    assert not answer.degraded
    assert answer.picks == [
        Pick(book(0), 0.8, "first", why),
        Pick(book(1), 0.4, "first", why),
        Pick(book(2), 0.4, "second"),
        Pick(book(3), 0.2, "second"),
    ]


def test_a_failing_source_is_reported_and_seen_and_the_next_goes_on(book: Callable[[int], UUID]) -> None:
    failures: list[tuple[str, Exception]] = []
    rest = Fixed("rest", [Pick(book(0), 0.5, "rest")])
    answer = page([Broken(), rest], Reader(), 3, on_failure=lambda name, why: failures.append((name, why)))
    assert [(name, type(why)) for name, why in failures] == [("broken", ZeroDivisionError)]
    assert answer.degraded
    assert [pick.book_id for pick in answer.picks] == [book(0)]


def test_a_source_behind_a_full_page_is_not_asked(book: Callable[[int], UUID]) -> None:
    full = Fixed("full", [Pick(book(0), 0.5, "full")])
    assert not page([full, Broken()], Reader(), 1, on_failure=unexpected).degraded


offers = st.lists(
    st.builds(
        Pick,
        st.integers(0, 9).map(lambda number: UUID(int=number + 1)),
        st.floats(-0.5, 1.5) | st.sampled_from([float("nan"), float("inf")]),
        st.just("wild"),
    )
)


@given(
    st.lists(offers.map(lambda answer: Fixed("wild", answer)), max_size=3),
    st.integers(0, 12),
    st.none() | st.frozensets(st.integers(1, 10).map(lambda number: UUID(int=number))),
)
def test_whatever_the_sources_do_the_page_keeps_its_promises(
    someone: Callable[..., Reader], sources: list[Fixed], n: int, within: frozenset[UUID] | None
) -> None:
    reader = someone((0, 5), (1, 1), hidden=(2,))
    picks = page(sources, reader, n, within=within, on_failure=unexpected).picks
    books = [pick.book_id for pick in picks]
    scores = [pick.score for pick in picks]
    assert len(books) <= n
    assert len(set(books)) == len(books)
    assert not set(books) & reader.barred
    assert within is None or set(books) <= within
    assert all(isfinite(score) and 0 <= score <= 1 for score in scores)
    assert scores == sorted(scores, reverse=True)
