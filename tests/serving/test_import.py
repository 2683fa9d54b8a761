"""Bringing a library from Goodreads."""

import concurrent.futures
import csv
import datetime as dt
import io
import uuid
from collections.abc import Sequence

import httpx2
import pytest
import structlog

from serving.users.schemas import LARGEST_EXPORT
from tests.serving.conftest import START, Json, Library, Service, bearer, codes, fields

HEADER = (
    "Book Id", "Title", "Author", "Author l-f", "Additional Authors", "ISBN", "ISBN13", "My Rating", "Average Rating",
    "Publisher", "Binding", "Number of Pages", "Year Published", "Original Publication Year", "Date Read", "Date Added",
    "Bookshelves", "Bookshelves with positions", "Exclusive Shelf", "My Review", "Spoiler", "Private Notes",
    "Read Count", "Owned Copies",
)  # fmt: skip


def entry(title: str, author: str, stars: object = 4, **more: str) -> dict[str, str]:
    quoted = {name: f'="{more.pop(name, "")}"' for name in ("ISBN", "ISBN13")}
    return {"Title": title, "Author": author, "My Rating": str(stars), **quoted, **more}


def shelf(*entries: dict[str, str]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER, lineterminator="\n")
    writer.writeheader()
    writer.writerows(entries)
    return text.getvalue().encode()


def send(service: Service, headers: dict[str, str], content: bytes) -> httpx2.Response:
    files = {"file": ("goodreads_library_export.csv", content, "text/csv")}
    return service.post("/users/import/goodreads", files=files, headers=headers)


def bring(service: Service, headers: dict[str, str], *entries: dict[str, str]) -> Json:
    answer = send(service, headers, shelf(*entries))
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


def statuses(told: Json) -> list[str]:
    return [row["status"] for row in told["rows"]]


def reviews(library: Library, reader: uuid.UUID) -> Sequence[tuple[object, ...]]:
    return library.run(
        "SELECT b.title, r.rating, r.created_at FROM reviews r JOIN books b ON b.id = r.book_id"
        " WHERE r.user_id = %s ORDER BY b.title",
        reader,
    )


def test_a_shelf_becomes_ratings_with_a_line_for_each_row(service: Service, library: Library) -> None:
    games = library.book("The Hunger Games", "Suzanne Collins", isbn="9780439023481")
    zola = library.book("Thérèse Raquin", "Émile Zola")
    headers, reader = service.signed_in()
    told = bring(
        service,
        headers,
        entry("Something else on the cover", "S. C.", 5, ISBN="0439023483", **{"Date Read": "2026/01/05"}),
        entry("THERESE RAQUIN (Les Classiques, #12)", "Emile Zola", 3, **{"Date Added": "2025/12/24"}),
        entry("A Book Nobody Has", "Some Body", 5),
        entry("To Be Read", "Some Body", 0),
        entry("Spoilt", "Some Body", "many"),
    )
    assert statuses(told) == ["imported", "imported", "unmatched", "skipped", "skipped"]
    assert [row["row"] for row in told["rows"]] == [1, 2, 3, 4, 5]
    assert [row["book_id"] for row in told["rows"]] == [str(games), str(zola), None, None, None]
    assert all(set(row) == {"row", "title", "status", "book_id", "reason"} for row in told["rows"])
    assert all((row["reason"] is None) == (row["status"] == "imported") for row in told["rows"])
    counts = {"imported": 2, "updated": 0, "unmatched": 1, "skipped": 2}
    assert {status: told[status] for status in counts} == counts
    assert reviews(library, reader) == [
        ("The Hunger Games", 5, dt.datetime(2026, 1, 5, tzinfo=dt.UTC)),
        ("Thérèse Raquin", 3, dt.datetime(2025, 12, 24, tzinfo=dt.UTC)),
    ]
    assert service.get(f"/books/{games}").json()["data"]["average_rating"] == 5.0
    assert library.run("SELECT day, n FROM book_days WHERE book_id = %s", games) == [(dt.date(2026, 1, 5), 1)]


def test_isbns_come_before_titles_and_thirteen_before_ten(service: Service, library: Library) -> None:
    thirteen = library.book("One", "Some Body", isbn="9780439023481")
    ten = library.book("Two", "Some Body", isbn="9780140449136")
    named = library.book("Three", "Some Body")
    headers, _ = service.signed_in()
    told = bring(
        service,
        headers,
        entry("Three", "Some Body", ISBN13="9780439023481", ISBN="0140449132"),
        entry("Three", "Some Body", ISBN13="9780000000000", ISBN="0140449132"),
        entry("Three", "Some Body", ISBN13="9781861972712"),
    )
    assert [row["book_id"] for row in told["rows"]] == [str(thirteen), str(ten), str(named)]


def test_a_title_alone_is_no_match_and_of_several_the_most_read_is_taken(service: Service, library: Library) -> None:
    library.book("Emma", "Jane Austen")
    popular = library.book("Emma", "Jane Austen")
    library.rated(popular, 4, 5)
    headers, _ = service.signed_in()
    told = bring(service, headers, entry("Emma", "Somebody Else"), entry("Emma", "Jane  Austen"))
    assert [row["book_id"] for row in told["rows"]] == [None, str(popular)]


def test_brackets_that_belong_to_the_title_stay(service: Service, library: Library) -> None:
    book = library.book("Go (Away)", "Some Body")
    headers, _ = service.signed_in()
    told = bring(service, headers, entry("Go (Away)", "Some Body"), entry("Go", "Some Body"))
    assert [row["book_id"] for row in told["rows"]] == [str(book), None]


def test_bringing_it_again_updates_stars_and_keeps_words_and_time(service: Service, library: Library) -> None:
    book, other = library.book("Emma"), library.book("Persuasion")
    headers, reader = service.signed_in()
    library.rate(reader, book, 2, at=START, text="I was in a bad mood.")
    told = bring(service, headers, entry("Emma", "Some Body", 5), entry("Persuasion", "Some Body", 4))
    assert statuses(told) == ["updated", "imported"]
    assert library.run("SELECT rating, review_text, created_at FROM reviews WHERE book_id = %s", book) == [
        (5, "I was in a bad mood.", START)
    ]
    assert library.run("SELECT average_rating FROM books WHERE id = %s", book) == [(5,)]
    before = library.run("SELECT book_id, rating, created_at, updated_at FROM reviews ORDER BY 1")
    again = bring(service, headers, entry("Emma", "Some Body", 5), entry("Persuasion", "Some Body", 4))
    assert (again["imported"], again["updated"]) == (0, 2)
    assert library.run("SELECT book_id, rating, created_at, updated_at FROM reviews ORDER BY 1") == before
    assert library.run("SELECT stars_4 FROM books WHERE id = %s", other) == [(1,)]


def test_the_same_book_twice_counts_once(service: Service, library: Library) -> None:
    book = library.book("Emma")
    headers, reader = service.signed_in()
    told = bring(service, headers, entry("Emma", "Some Body", 5), entry("EMMA", "Some Body", 1))
    assert statuses(told) == ["imported", "skipped"]
    assert told["rows"][1]["reason"] == "The same book as row 1"
    assert library.run("SELECT rating FROM reviews WHERE book_id = %s AND user_id = %s", book, reader) == [(5,)]


def test_two_thousand_rows_need_four_statements(service: Service, library: Library) -> None:
    library.run(
        "INSERT INTO books (title, author, title_key, author_key)"
        " SELECT 'Book ' || n, 'Some Body', 'book ' || n, 'some body' FROM generate_series(1, 2000) n"
    )
    headers, reader = service.signed_in()
    rows = [entry(f"Book {n} (A Series, #{n})", "Some Body", 1 + n % 5) for n in range(1, 2001)]
    with structlog.testing.capture_logs() as lines:
        told = bring(service, headers, *rows)
    assert told["imported"] == 2000
    assert [line["statements"] for line in lines if line["event"] == "request"] == [4]
    assert library.run("SELECT sum(total_reviews) FROM books") == [(2000,)]
    assert library.run("SELECT count(*) FROM reviews WHERE user_id = %s", reader) == [(2000,)]


def test_two_imports_at_once_agree(service: Service, library: Library) -> None:
    books = library.books(20)
    people = [service.signed_in(f"r{n}@example.org")[0] for n in range(3)]
    rows = [entry(f"Book {place:04}", f"Author {place % 7}", 1 + place % 5) for place in range(20)]
    with concurrent.futures.ThreadPoolExecutor() as threads:
        sent = [threads.submit(bring, service, person, *order) for person in people for order in (rows, rows[::-1])]
    told = [answer.result() for answer in sent]
    assert sum(answer["imported"] for answer in told) == 60
    assert sum(answer["updated"] for answer in told) == 60
    assert library.run("SELECT DISTINCT total_reviews FROM books") == [(3,)]
    assert len(books) == 20


def test_anonymous_callers_are_asked_to_sign_in(service: Service) -> None:
    answer = send(service, {}, shelf())
    assert (answer.status_code, answer.json()["errors"]["code"]) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"Title,Author\nEmma,Jane Austen\n", b"<html></html>"])
def test_other_files_are_422(service: Service, content: bytes) -> None:
    headers, _ = service.signed_in()
    answer = send(service, headers, content)
    assert (answer.status_code, fields(answer), codes(answer)) == (422, ["file"], ["not_a_goodreads_export"])


def test_an_empty_shelf_is_fine(service: Service) -> None:
    headers, _ = service.signed_in()
    assert bring(service, headers) == {"rows": [], "imported": 0, "updated": 0, "unmatched": 0, "skipped": 0}


def test_without_a_file_it_is_422_and_as_json_415(service: Service) -> None:
    headers = bearer(service.register()["access_token"])
    path = "/users/import/goodreads"
    nothing = service.post(path, headers=headers)
    assert (nothing.status_code, fields(nothing)) == (422, ["file"])
    text = service.post(path, data={"file": "Title,Author"}, headers=headers)
    assert (text.status_code, fields(text)) == (422, ["file"])
    more = service.post(path, files={"file": shelf()}, data={"overwrite": "yes"}, headers=headers)
    assert (more.status_code, fields(more)) == (422, ["overwrite"])
    as_json = service.post(path, json={"file": "x"}, headers=headers)
    assert (as_json.status_code, as_json.json()["errors"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    broken = service.post(path, content=b"--x", headers={**headers, "Content-Type": "multipart/form-data"})
    assert (broken.status_code, broken.json()["errors"]["code"]) == (400, "BAD_REQUEST")


def test_five_megabytes_are_taken_and_no_more(service: Service, library: Library) -> None:
    library.book("Emma")
    headers, _ = service.signed_in()
    content = shelf(entry("Emma", "Some Body", 5))
    filler = (",Unread,Some Body" + "," * (len(HEADER) - 3) + "x" * 1000 + "\n").encode()
    content += filler * ((LARGEST_EXPORT - len(content)) // len(filler))
    content += b"\n" * (LARGEST_EXPORT - len(content))
    answer = send(service, headers, content)
    assert (answer.status_code, answer.json()["data"]["imported"]) == (200, 1)
    for size in (1, 1_000_000):
        larger = send(service, headers, content + b"\n" * size)
        assert (larger.status_code, larger.json()["errors"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
