"""Reading the library export of Goodreads."""

import csv
import datetime as dt
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sources import goodreads_export
from data.sources.goodreads_export import ExportRefused, ExportRow, author_key, read_export

TODAY = dt.date(2026, 11, 22)
HEADER = (
    "Book Id,Title,Author,Author l-f,Additional Authors,ISBN,ISBN13,My Rating,Average Rating,Publisher,Binding,"
    "Number of Pages,Year Published,Original Publication Year,Date Read,Date Added,Bookshelves,"
    "Bookshelves with positions,Exclusive Shelf,My Review,Spoiler,Private Notes,Read Count,Owned Copies\n"
)
LINE = (
    '2767052,"The Hunger Games (The Hunger Games, #1)",Suzanne Collins,"Collins, Suzanne",,'
    '"=""0439023483""","=""9780439023481""",5,4.34,Scholastic Press,Hardcover,374,2008,2008,'
    "2026/01/05,2025/12/24,,,read,,,,1,0\n"
)
PLAIN = "Title,Author,ISBN,ISBN13,My Rating,Date Read,Date Added\n"


def read(text: str) -> list[ExportRow]:
    return read_export(text.encode(), TODAY)


def test_a_line_of_a_real_export() -> None:
    assert read(HEADER + LINE) == [
        ExportRow(
            row=1,
            title="The Hunger Games (The Hunger Games, #1)",
            stars=5,
            isbns=("9780439023481",),
            titles=("the hunger games (the hunger games, #1)", "the hunger games"),
            author="suzannecollins",
            rated_on=dt.date(2026, 1, 5),
        )
    ]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_byte_order_marks_line_endings_and_empty_lines_do_no_harm(mark: str, ending: str) -> None:
    assert read((mark + HEADER + "\n" + LINE + "\n").replace("\n", ending)) == read(HEADER + LINE)


@pytest.mark.parametrize(
    ("written", "isbns"),
    [
        ('"=""0439023483""","="""""', ("9780439023481",)),
        ('="0439023483",=""', ("9780439023481",)),
        ("0439023483,", ("9780439023481",)),
        ('"=""043902348X""","=""9780439023481"""', ("9780439023481",)),
        ('"=""043902348X""",', ()),
        ('"=""0140449132""","=""9780439023481"""', ("9780439023481", "9780140449136")),
    ],
)
def test_isbns_lose_their_quoting_and_wrong_ones_are_none(written: str, isbns: tuple[str, ...]) -> None:
    assert read(PLAIN + f"A Title,Some Body,{written},3,,\n")[0].isbns == isbns


@pytest.mark.parametrize(
    ("read_on", "added", "day"),
    [
        ("2020/02/29", "2019/01/01", dt.date(2020, 2, 29)),
        ("", "2019/01/01", dt.date(2019, 1, 1)),
        ("2021/02/29", "2019/01/01", dt.date(2019, 1, 1)),
        ("2026/11/22", "", TODAY),
        ("2026/11/23", "", None),
        ("1066/10/14", "", None),
        ("soon", "never", None),
    ],
)
def test_dates_count_where_they_are_plausible(read_on: str, added: str, day: dt.date | None) -> None:
    assert read(PLAIN + f"A Title,Some Body,,,3,{read_on},{added}\n")[0].rated_on == day


@pytest.mark.parametrize("stars", ["", "6", "-1", "4.5", "five", "\u0665", "55"])
def test_a_bad_row_spoils_only_itself(stars: str) -> None:
    rows = read(PLAIN + f"Bad,Some Body,,,{stars},,\nshort\nGood,Some Body,,,4,,\n,No Title,,,4,,\n")
    assert [(row.row, row.title, row.stars) for row in rows] == [
        (1, "Bad", None),
        (2, "short", None),
        (3, "Good", 4),
        (4, "", None),
    ]


def test_bytes_that_are_no_text_and_cells_without_end_spoil_only_their_rows() -> None:
    endless = "x" * (csv.field_size_limit() + 1)
    content = (PLAIN + f"One,Some Body,,,1,,\n{endless},Some Body,,,2,,\nThree,\x00 Body,,,3,,\n").encode()
    rows = read_export(content + b"Fo\xffur,Some Body,,,4,,\n", TODAY)
    assert [row.stars for row in rows] == [1, None, 3, 4]
    assert rows[2].author == "body"


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"Title,Author\nx,y\n", b"\n", b"{}", b'"' * 1000])
def test_other_files_are_refused_without_repeating_them(content: bytes) -> None:
    with pytest.raises(ExportRefused) as refusal:
        read_export(content, TODAY)
    assert str(refusal.value) == "This is not a Goodreads library export: its columns are missing"


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goodreads_export, "MOST_ROWS", 2)
    assert len(read(PLAIN + "A,B,,,1,,\n" * 2)) == 2
    with pytest.raises(ExportRefused, match="must be split"):
        read(PLAIN + "A,B,,,1,,\n" * 3)


@pytest.mark.parametrize("name", ["J.K. Rowling", "J. K.  Rowling", "J.K. Rowling, Mary GrandPr\u00e9", "j.k. ROWLING"])
def test_authors_are_compared_by_letters_of_the_first(name: str) -> None:
    assert author_key(name) == "jkrowling"


@given(st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=9), max_size=5))
def test_no_rows_ever_fail(cells: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(cells)
    rows = read_export((PLAIN + text.getvalue()).encode(errors="replace"), TODAY)
    assert all(row.stars is None or 0 <= row.stars <= 5 for row in rows)
