"""Searching books."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from data.database import connect
from data.loading import load
from data.sources.generator import Generator
from data.text import sort_key
from serving.books import search, search_queries
from serving.kit.db import LEAST_LIKENESS
from tests.serving.conftest import Library, Service, fields

# title, author, series, description
SHELF = [
    ("The Hobbit", "J. R. R. Tolkien", "Middle-earth", "Bilbo leaves his hole in the ground."),
    ("The Fellowship of the Ring", "J.R.R. Tolkien", "The Lord of the Rings", "Hobbits set out for Mordor."),
    ("The Two Towers", "J.R.R. Tolkien", "The Lord of the Rings", None),
    ("A Wizard of Earthsea", "Ursula K. Le Guin", "Earthsea Cycle", "A boy learns the names of things."),
    ("The Left Hand of Darkness", "Ursula K. Le Guin", None, None),
    ("The Trial", "Franz Kafka", None, "Josef K. is arrested."),
    ("Kafka on the Shore", "Haruki Murakami", None, None),
    ("Reading Murakami", "Jay Somebody", None, "With a chapter about Kafka."),
    ("Harry Potter and the Philosopher's Stone", "J.K. Rowling", "Harry Potter", "A letter comes."),
    ("Potters of the Coast", "Harry Clay", None, None),
    ("Cien años de soledad", "Gabriel García Márquez", None, None),
    ("Catch-22", "Joseph Heller", None, None),
    ("1984", "George Orwell", None, None),
    ("It", "Stephen King", None, None),
    ("King", "John Berger", None, None),
    ("Kings of the Wyld", "Nicholas Eames", None, None),
    ("The Kingdom", "Emmanuel Carrère", None, None),
    ("Война и мир", "Лев Толстой", None, None),
    ("O Pioneers!", "Willa Cather", None, None),
    ("The Things They Carried", "Tim O'Brien", None, None),
]


def titles(service: Service, q: str, **query: Any) -> list[str]:  # noqa: ANN401  query parameters of any kind
    answer = service.get("/books/search", params={"q": q, **query})
    assert answer.status_code == 200, answer.text
    return [book["title"] for book in answer.json()["data"]]


def put(
    library: Library, title: str, author: str, series: str | None, description: str | None, **more: object
) -> uuid.UUID:
    keys = {
        "series_key": series and sort_key(series),
        "description_key": description and sort_key(description),
    }
    return library.book(title, author, series=series, description=description, **keys, **more)


@pytest.fixture
def shelf(library: Library) -> dict[str, uuid.UUID]:
    """Equally good matches come in the order of SHELF: that of the ids."""
    return {book[0]: put(library, *book, id=uuid.UUID(int=place)) for place, book in enumerate(SHELF)}


# What is typed, and how the answer begins; an exclamation mark says that this is all of it.
ASKED = [
    ("the hobbit", "The Hobbit"),
    ("hobit", "The Hobbit!"),
    ("Hobbits", "The Fellowship of the Ring", "The Hobbit!"),
    ("tolkien ring", "The Fellowship of the Ring", "The Two Towers!"),
    ("RING tolkien", "The Fellowship of the Ring", "The Two Towers!"),
    ("rings lord", "The Fellowship of the Ring", "The Two Towers!"),
    ("towers tolkein", "The Two Towers!"),
    ("the lord of the rngs", "The Fellowship of the Ring"),
    ("le guin earthsea", "A Wizard of Earthsea!"),
    ("earthsea le guin", "A Wizard of Earthsea!"),
    ("ursula wizrad", "A Wizard of Earthsea!"),
    ("kafka", "Kafka on the Shore", "The Trial", "Reading Murakami!"),
    ("kafak", "The Trial", "Kafka on the Shore!"),
    ("franz kafka", "The Trial!"),
    ("josef", "The Trial", "Catch-22!"),
    ("harry pot", "Harry Potter and the Philosopher's Stone", "Potters of the Coast!"),
    ("pot harry", "Harry Potter and the Philosopher's Stone", "Potters of the Coast!"),
    ("ha po phi", "Harry Potter and the Philosopher's Stone!"),
    ("hary poter", "Harry Potter and the Philosopher's Stone", "Potters of the Coast!"),
    ("philosophers stone", "Harry Potter and the Philosopher's Stone!"),
    ("garcia marquez", "Cien años de soledad!"),
    ("AÑOS Garcìa", "Cien años de soledad!"),
    ("catch-22", "Catch-22!"),
    ("catch 22", "Catch-22!"),
    ("22 heller", "Catch-22!"),
    ("1984", "1984!"),
    ("emmanual carere", "The Kingdom!"),
    ("orewll", "1984!"),
    ("king", "King", "Kings of the Wyld", "It", "The Kingdom!"),
    ("j.r.r. tolkien", "The Hobbit", "The Fellowship of the Ring", "The Two Towers!"),
    ("jrr tolkien", "The Hobbit"),
    ("война", "Война и мир!"),
    ("ТОЛСТОЙ мир", "Война и мир!"),
    ("толстои", "Война и мир!"),
    ("o'brien", "The Things They Carried!"),
    ("o\u2019brien", "The Things They Carried!"),
    ('"the trial"', "The Trial!"),
    ("(trial) & !kafka | :*", "The Trial!"),
    ("trial:*A", "The Trial!"),
    ("trial' OR '1'='1", "The Trial!"),
    ("tri%l", "The Trial!"),
    ("100% nothing_like \\ this", "!"),
    ("& | ! : * ( )", "!"),
    ("'", "!"),
    ("...---...", "!"),
    ("\U0001f680", "!"),
    ("zzzzqqqq", "!"),
    ("xq", "!"),
]


def test_what_is_typed_finds_what_is_meant(service: Service, shelf: dict[str, uuid.UUID]) -> None:
    wrong = {}
    for q, *expected in ASKED:
        wanted = [title.rstrip("!") for title in expected if title != "!"]
        found = titles(service, q)
        if expected[-1].endswith("!") and found[: len(wanted)] == wanted and len(found) == len(wanted):
            continue
        if expected[-1].endswith("!") or found[: len(wanted)] != wanted:
            wrong[q] = found
    assert wrong == {}


def test_the_better_kind_of_match_comes_first_and_the_more_popular_book_among_equals(
    service: Service, library: Library
) -> None:
    put(library, "Seven Stories", "Ann Other", None, "In one of them there is a dune.")
    put(library, "Heretics", "Frank Herbert", "Dune Chronicles", None)
    put(library, "Arrakis", "Dune Winters", None, None)
    put(library, "Dunes of the North", "Ann Other", None, None)
    first = put(library, "Dune Messiah", "Frank Herbert", None, None)
    put(library, "The Dune", "Ann Other", None, None)
    put(library, "Dune", "Frank Herbert", None, None)
    second = put(library, "Dune Buggy", "Bob Other", None, None)
    library.rated(first, 3, 3)
    assert titles(service, "dune") == [
        "Dune", "The Dune", "Dune Messiah", "Dune Buggy", "Dunes of the North", "Arrakis", "Heretics", "Seven Stories",
    ]  # fmt: skip
    library.rated(second, 1, 1, 1)  # popular is what many have read
    assert titles(service, "dune")[2:4] == ["Dune Buggy", "Dune Messiah"]


def test_pages_continue_each_other_and_the_total_is_exact(service: Service, library: Library) -> None:
    for place in range(25):
        put(library, f"Volume {place:02}", "Same Author", None, None)
    pages = [
        service.get("/books/search", params={"q": "same volume", "per_page": 10, "page": page}).json()
        for page in (1, 2, 3, 4)
    ]
    assert [len(page["data"]) for page in pages] == [10, 10, 5, 0]
    assert len({book["id"] for page in pages for book in page["data"]}) == 25
    assert {page["pagination"]["total"] for page in pages} == {25}
    assert [page["pagination"]["has_next"] for page in pages] == [True, True, False, False]
    nearly = service.get("/books/search", params={"q": "smae volume", "per_page": 10, "page": 4}).json()
    assert (nearly["data"], nearly["pagination"]["total"]) == ([], 25)


def test_an_isbn_finds_its_book_and_nothing_else(service: Service, library: Library) -> None:
    library.book("The Hunger Games", isbn="9780439023481")
    library.book("Another", isbn="9780439023498")
    library.book("With X", isbn="9780804429573")
    for q in ("9780439023481", "978-0-439-02348-1", "0439023483", "0-439-02348-3", " 0 439 02348 3 "):
        assert titles(service, q) == ["The Hunger Games"], q
    assert titles(service, "080442957X") == titles(service, "0-8044-2957-x") == ["With X"]
    assert titles(service, "9780439023481", page=2) == []
    assert titles(service, "9780439023482") == titles(service, "9791032305690") == []


def test_filters_narrow_the_search(service: Service, library: Library) -> None:
    genre = library.genre("Fantasy")
    good, bad = library.book("Dune One", genres=[genre]), library.book("Dune Two")
    library.rated(good, 5)
    library.rated(bad, 2)
    library.run("UPDATE books SET isbn = '9780439023481' WHERE id = %s", bad)
    assert titles(service, "dune", genre_id=genre) == titles(service, "dune", min_rating=4.5) == ["Dune One"]
    assert titles(service, "duen", genre_id=genre) == titles(service, "duen", min_rating=4.5) == ["Dune One"]
    assert sorted(titles(service, "dune", min_rating=2)) == ["Dune One", "Dune Two"]
    assert titles(service, "9780439023481", min_rating=2) == ["Dune Two"]
    assert titles(service, "9780439023481", min_rating=3) == titles(service, "9780439023481", genre_id=genre) == []


@pytest.mark.parametrize("q", ["dune", "!!!", "9780439023481"])
def test_an_unknown_genre_is_404(service: Service, library: Library, q: str) -> None:
    library.book("Dune")
    answer = service.get("/books/search", params={"q": q, "genre_id": str(uuid.uuid4())})
    assert (answer.status_code, answer.json()["errors"]["code"]) == (404, "GENRE_NOT_FOUND")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "q"),
        ({"q": ""}, "q"),
        ({"q": "  "}, "q"),
        ({"q": "x" * 201}, "q"),
        ({"q": "a\x00b"}, "q"),
        ({"q": "a\nb"}, "q"),
        ({"q": "x", "page": 0}, "page"),
        ({"q": "x", "per_page": 101}, "per_page"),
        ({"q": "x", "min_rating": "nan"}, "min_rating"),
        ({"q": "x", "genre_id": "x"}, "genre_id"),
    ],
)
def test_bad_queries_are_422(service: Service, query: dict[str, Any], field: str) -> None:
    answer = service.get("/books/search", params=query)
    assert (answer.status_code, answer.json()["errors"]["code"], fields(answer)) == (422, "VALIDATION_ERROR", [field])


def test_the_longest_and_strangest_texts_are_harmless(service: Service, shelf: dict[str, uuid.UUID]) -> None:
    assert titles(service, "  " + "hobbit".center(200) + " ") == ["The Hobbit", "The Fellowship of the Ring"]
    strange = [" ".join("abcdefghijklmnopqrstuvwxyz" * 4)[:200], "a-" * 100, "'" * 200, "\\" * 200, "é\u0301" * 60]
    for q in [
        *strange,
        "http://a.b/c?d=e",
        "a@b.c",
        "<b>x</b>",
        "x:y",
        "\u202e",
        "ﷺ",
        "-1.5e10",
        "a:*b",
        "$1 %(q)s {0}",
    ]:
        assert service.get("/books/search", params={"q": q}).status_code == 200, q


def test_a_search_costs_one_statement_and_two_for_an_empty_genre(service: Service, library: Library) -> None:
    genre = library.genre("Nobody writes this")
    for place in range(40):
        library.book(f"Dune {place}")
    with structlog.testing.capture_logs() as lines:
        assert len(titles(service, "dune", per_page=40)) == len(titles(service, "duen", per_page=40)) == 40
        assert titles(service, "9780439023481") == titles(service, "zzzz", genre_id=genre) == []
    assert [line["statements"] for line in lines if line["event"] == "request"] == [1, 1, 1, 2]


def test_of_words_that_most_books_have_the_best_come_first_and_a_thousand_are_counted(
    service: Service, library: Library, database_url: str
) -> None:
    load(database_url, Generator(10, 1_500, 100, seed=1))  # "… Tales by …" in every description
    library.rated(put(library, "Nowhere Tales", "Ann Other", None, None), *[5] * 30)
    for title in ("Tales of Nowhere", "The Tales", "Tales"):
        put(library, title, "Ann Other", None, None)
    assert titles(service, "tales")[:4] == ["Tales", "The Tales", "Tales of Nowhere", "Nowhere Tales"]
    pages = [
        service.get("/books/search", params={"q": "tales", "per_page": 100, "page": page}).json()
        for page in range(1, 12)
    ]
    assert [len(page["data"]) for page in pages] == [*[100] * 10, 0]
    assert len({book["id"] for page in pages for book in page["data"]}) == search_queries.MOST
    assert {page["pagination"]["total"] for page in pages} == {search_queries.MOST}
    [(rated,)] = library.run("SELECT count(*) FROM books WHERE average_rating >= 3")
    narrowed = service.get("/books/search", params={"q": "tales", "min_rating": 3}).json()
    assert 0 < narrowed["pagination"]["total"] == rated < search_queries.MOST


@pytest.fixture
def ten_thousand(database_url: str) -> Iterator[Library]:
    load(database_url, Generator(10, 10_000, 100, seed=1))
    with connect(database_url, autocommit=True) as connection:
        connection.execute(f"SET pg_trgm.word_similarity_threshold = {LEAST_LIKENESS}")
        yield Library(connection)


def test_on_ten_thousand_books_both_indexes_are_used_and_the_second_only_when_needed(ten_thousand: Library) -> None:
    """The plan, not the clock."""
    [(title, author)] = ten_thousand.run("SELECT title_key, author_key FROM books ORDER BY id LIMIT 1")
    for q, mistyped in ((f"{title} {author}", False), ("the", False), (author[:-2] + author[:-3:-1], True)):
        asked = search.read(q)
        assert asked is not None
        statement = search_queries.statement(len(asked.long), frozenset())
        params = {**search_queries.parameters(asked), "limit": 20, "offset": 0}
        plan = "\n".join(row for (row,) in ten_thousand.connection.execute("EXPLAIN (ANALYZE) " + statement, params))
        assert all("never executed" in line for line in plan.splitlines() if "Seq Scan on books" in line), q
        assert "Bitmap Index Scan on ix_books_search_vector" in plan, q
        begun = [
            line for line in plan.splitlines() if "ix_books_search_text_trgm" in line and "never executed" not in line
        ]
        assert bool(begun) is mistyped, q
