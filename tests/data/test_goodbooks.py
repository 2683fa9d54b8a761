"""The published goodbooks-10k layout: what is read from it, and how damage is named."""

import datetime as dt
import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.loading import BookRow, Source, SourceError, load
from data.sources import goodbooks as subject
from data.sources.goodbooks import EPOCH, goodbooks_id, open_goodbooks
from data.sources.isbn import isbn13
from data.sources.languages import iso_639_1
from data.sources.titles import split_title

HEADER = (
    "book_id,goodreads_book_id,best_book_id,work_id,books_count,isbn,isbn13,authors,original_publication_year,"
    "original_title,title,language_code,average_rating,ratings_count,work_ratings_count,work_text_reviews_count,"
    "ratings_1,ratings_2,ratings_3,ratings_4,ratings_5,image_url,small_image_url"
)
COVER = "https://images.example/books/1447303603m/{}.jpg"


def book_line(key: int, title: str, **fields: str) -> str:
    given = {"isbn": "", "year": "2008.0", "language": "eng", "authors": "Ann Author, Ben Painter", **fields}
    return (
        f'{key},{key + 1000},1,1,9,{given["isbn"]},9.78e+12,"{given["authors"]}",{given["year"]},Original,"{title}",'
        f"{given['language']},4,1,1,1,0,0,0,0,1,{fields.get('cover', COVER.format(key))},x"
    )


BOOKS = "\n".join(
    [
        HEADER,
        book_line(1, "First Light (Lamps, #1)", isbn="439023483"),
        book_line(2, "Second Light (Lamps, #2)", isbn="439023483", language="en-US", authors="Ann Author"),
        book_line(3, "Alone", isbn="123456789X", year="-750.0", cover="https://s.example/assets/nophoto/book/1.png"),
        book_line(
            4, "No, Comma Here", isbn="439023484", year="", language="mul", cover="https://i.example/cover.php?x.jpg"
        ),
    ]
)
FILES = {
    "books.csv": BOOKS,
    "ratings.csv": "user_id,book_id,rating\n7,1,5\n8,2,4\n7,2,3\n9,3,1\n7,1,2\n",
    "tags.csv": 'tag_id,tag_name\n1,fantasy\n2,to-read\n3,crime\n4,"sci-fi, really"\n5,poetry\n',
    "book_tags.csv": "goodreads_book_id,tag_id,count\n1001,2,900\n1001,1,100\n1001,3,3\n1001,5,4\n"
    "1002,1,97\n1002,3,5\n1003,5,2\n1004,2,50\n1003,3,-1\n",
    "to_read.csv": "user_id,book_id\n8,1\n9,1\n9,1\n",
}
Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """``folder(ratings.csv="…")`` writes the small data set with other contents; ``None`` leaves a file out."""

    def make(changed: dict[str, str | bytes | None] | None = None) -> Path:
        into = tmp_path / "goodbooks"
        into.mkdir()
        for name, content in {**FILES, **(changed or {})}.items():
            if content is not None:
                (into / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return into

    return make


def books_of(source: Source) -> dict[str, BookRow]:
    return {row.title: row for row in source.books()}


def genre_names(source: Source, row: BookRow) -> list[str]:
    names = {genre.id: genre.name for genre in source.genres()}
    return [names[genre_id] for genre_id in row.genre_ids]


def test_books_get_series_isbn_year_language_and_cover(folder: Folder) -> None:
    with open_goodbooks(folder()) as source:
        books = books_of(source)
    first = books["First Light"]
    assert first.id == goodbooks_id("book", 1)
    assert (first.series, first.series_position, first.author) == ("Lamps", 1.0, "Ann Author")
    assert (first.isbn, first.publication_date, first.language) == ("9780439023481", dt.date(2008, 1, 1), "en")
    assert first.cover_image_url == COVER.format(1)
    alone = books["Alone"]
    assert (alone.series, alone.publication_date, alone.cover_image_url, alone.isbn) == (
        None,
        None,
        None,
        "9781234567897",
    )
    comma = books["No, Comma Here"]
    assert (comma.isbn, comma.publication_date, comma.language, comma.cover_image_url) == (None, None, None, None)


@pytest.mark.parametrize(
    "cover", ["https://[broken/1.jpg", "ftp://i.example/1.jpg", "1.jpg", "https://i.example/" + "x" * 999]
)
def test_a_cover_that_is_no_address_of_a_picture_is_left_out(folder: Folder, cover: str) -> None:
    books = "\n".join([HEADER, *(book_line(key, f"Book {key}", cover=cover) for key in range(1, 5))])
    with open_goodbooks(folder({"books.csv": books})) as source:
        assert {book.cover_image_url for book in source.books()} == {None}


@pytest.mark.parametrize("name", ["books.csv", "ratings.csv"])
def test_a_file_without_rows_is_named(folder: Folder, name: str) -> None:
    header = FILES[name].partition("\n")[0]
    with pytest.raises(SourceError, match=rf"{name} has no rows"), open_goodbooks(folder({name: header})) as source:
        list(source.books())


def test_of_two_books_with_one_isbn_the_first_keeps_it(folder: Folder) -> None:
    with open_goodbooks(folder()) as source:
        books = books_of(source)
    assert (books["First Light"].isbn, books["Second Light"].isbn) == ("9780439023481", None)


def test_the_order_of_ratings_becomes_time_and_the_later_of_two_counts(folder: Folder) -> None:
    with open_goodbooks(folder()) as source:
        rows = list(source.reviews())
    seen = [(row.user_id, row.book_id, row.rating, (row.created_at - EPOCH) / dt.timedelta(minutes=1)) for row in rows]
    users, books = [goodbooks_id("user", n) for n in range(10)], [goodbooks_id("book", n) for n in range(5)]
    assert seen == [
        (users[8], books[2], 4, 2),
        (users[7], books[2], 3, 3),
        (users[9], books[3], 1, 4),
        (users[7], books[1], 2, 5),
    ]
    assert rows[0].id == goodbooks_id("review", "8/2")


def test_the_last_published_rating_lies_in_the_past() -> None:
    assert dt.datetime.now(tz=dt.UTC) > EPOCH + 5_976_479 * subject.MINUTE


def test_what_readers_want_to_read_is_dated_with_the_last_rating(folder: Folder) -> None:
    with open_goodbooks(folder()) as source:
        wanted = list(source.favorites())
    assert [(row.user_id, row.book_id) for row in wanted] == [
        (goodbooks_id("user", 8), goodbooks_id("book", 1)),
        (goodbooks_id("user", 9), goodbooks_id("book", 1)),
    ]
    assert {row.created_at for row in wanted} == {EPOCH + 5 * subject.MINUTE}


def test_readers_are_neutral_and_start_with_their_first_rating(folder: Folder) -> None:
    with open_goodbooks(folder()) as source:
        readers = list(source.readers())
    assert [(r.email, r.first_name, r.last_name) for r in readers] == [
        (f"reader-{n}@goodbooks.invalid", "Reader", str(n)) for n in (7, 8, 9)
    ]
    assert readers[1].created_at == EPOCH + 2 * subject.MINUTE


def test_genres_need_three_percent_and_five_shelvings_or_to_be_the_largest(folder: Folder) -> None:
    with open_goodbooks(folder()) as source:
        books = books_of(source)
        assert genre_names(source, books["First Light"]) == ["Fantasy"]  # crime 3 and poetry 4 are too few
        assert genre_names(source, books["Second Light"])[:1] == ["Fantasy"]
        assert "Crime" in genre_names(source, books["Second Light"])  # 5 of 102
        assert genre_names(source, books["Alone"]) == ["Poetry"]  # 2 shelvings, but the largest
        assert genre_names(source, books["No, Comma Here"]) == []


def test_a_mapping_beside_the_data_goes_before_ours(folder: Folder) -> None:
    mapping = {"Dragons & Co": ["Fantasy "], "Law": ["crime"]}
    with open_goodbooks(folder({"genre_tags.json": json.dumps(mapping)})) as source:
        assert [genre.name for genre in source.genres()] == ["Dragons & Co", "Law"]
        assert next(iter(source.genres())).id == goodbooks_id("genre", "Dragons & Co")


def test_a_book_has_ten_genres_at_most(folder: Folder) -> None:
    mapping = {f"Genre {n}": ["fantasy"] for n in range(15)}
    with open_goodbooks(folder({"genre_tags.json": json.dumps(mapping)})) as source:
        assert len(books_of(source)["First Light"].genre_ids) == 10


def test_our_own_mapping_has_forty_genres_that_fit_the_contract() -> None:
    mapping = json.loads((Path(subject.__file__).parent / "goodbooks_genres.json").read_text())
    assert len(mapping) == 40
    for genre, shelves in mapping.items():
        assert 1 <= len(genre) <= 100
        assert shelves
        assert len(set(shelves)) == len(shelves)
        assert all(shelf == shelf.strip().casefold() for shelf in shelves)


def gzipped(into: Path) -> Path:
    for path in list(into.iterdir()):
        (into / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    return into


def zipped(prefix: str) -> Callable[[Path], Path]:
    def make(into: Path) -> Path:
        archive = into.with_suffix(".zip")
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
            stream.writestr("__MACOSX/ratings.csv", "nonsense")
            for path in into.iterdir():
                stream.write(path, prefix + path.name)
        return archive

    return make


def in_one_folder(into: Path) -> Path:
    outer = into.with_name("outer")
    outer.mkdir()
    into.rename(outer / "goodbooks-10k-master")
    return outer


LAYOUTS = {
    "gzipped": gzipped,
    "zip": zipped(""),
    "zip with a folder": zipped("goodbooks-10k/"),
    "zip of gzips": lambda into: zipped("")(gzipped(into)),
    "folder in a folder": in_one_folder,
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_rows(name: str, folder: Folder) -> None:
    plain = folder()
    with open_goodbooks(plain) as source:
        expected = [list(source.books()), list(source.reviews()), list(source.readers()), list(source.genres())]
    with open_goodbooks(LAYOUTS[name](plain)) as source:
        assert [list(source.books()), list(source.reviews()), list(source.readers()), list(source.genres())] == expected


def test_a_byte_order_mark_and_windows_line_ends_are_no_damage(folder: Folder) -> None:
    windows = b"\xef\xbb\xbf" + FILES["ratings.csv"].replace("\n", "\r\n").encode()
    with open_goodbooks(folder({"ratings.csv": windows})) as source:
        assert source.expected["reviews"] == 4


def test_the_ratings_of_1188_books_are_never_loaded(folder: Folder) -> None:
    more = gzip.compress(b"user_id,book_id,rating\n99,1,5\n")
    into = folder({"ratings_1188_books.csv.gz": more})
    with open_goodbooks(into) as source:
        assert source.expected["readers"] == 3
    (into / "ratings.csv").unlink()
    with pytest.raises(SourceError, match=r"has no ratings\.csv"), open_goodbooks(into):
        pass


RATINGS = FILES["ratings.csv"]
DAMAGED: dict[str, tuple[str, str | bytes, str]] = {
    "rating of 9": ("ratings.csv", RATINGS + "8,3,9\n", r"ratings\.csv, row 6 \(line 7\): rating 9"),
    "rating of 0": ("ratings.csv", RATINGS + "8,3,0\n", "row 6"),
    "half a star": ("ratings.csv", RATINGS + "8,3,4.5\n", r"row 6 .*'4\.5'"),
    "word for a number": ("ratings.csv", RATINGS + "eight,3,4\n", "row 6 .*'eight'"),
    "empty field": ("ratings.csv", RATINGS + "8,,4\n", "row 6 .*book_id"),
    "short row": ("ratings.csv", RATINGS + "8,3\n", "row 6"),
    "long row": ("ratings.csv", RATINGS + "8,3,4,1\n9,1,1\n", "row 6 .*4 fields"),
    "long first row": ("ratings.csv", "user_id,book_id,rating\n8,3,4,1\n", "row 1 "),
    "blank row": ("ratings.csv", RATINGS + "\n8,3,4\n", "row 6"),
    "unknown book": ("ratings.csv", RATINGS + "8,77,4\n", "row 6 .*book_id 77"),
    "impossible user": ("ratings.csv", RATINGS + "0,3,4\n", "row 6 .*user_id 0"),
    "number too large": ("ratings.csv", RATINGS + f"{10**30},3,4\n", "row 6"),
    "other text": ("ratings.csv", RATINGS.encode() + b"8,3,\xff\n", "row 6"),
    "other header": ("ratings.csv", "user,book,stars\n1,2,3\n", r"ratings\.csv: the header has no column user_id"),
    "only a header": ("ratings.csv", "user_id,book_id,rating\n", "no rows"),
    "empty file": ("ratings.csv", "", "header"),
    "html page": ("ratings.csv", "<!DOCTYPE html>\n<html>Not found</html>\n", "header"),
    "unknown reader": ("to_read.csv", "user_id,book_id\n8,1\n55,1\n", r"to_read\.csv, row 2 .*user_id 55"),
    "unknown wanted book": ("to_read.csv", "user_id,book_id\n8,66\n", "row 1 .*book_id 66"),
    "unknown tag": ("book_tags.csv", "goodreads_book_id,tag_id,count\n1001,99,7\n", r"row 1 .*tag_id 99"),
    "unknown tagged book": ("book_tags.csv", "goodreads_book_id,tag_id,count\n5,1,7\n", "row 1 .*goodreads_book_id 5"),
    "tag without number": ("tags.csv", "tag_id,tag_name\n1,fantasy\nx,crime\n", r"tags\.csv, row 2"),
    "bad utf-8": ("books.csv", BOOKS.encode() + b"\n\xff\xfe", r"books\.csv, row 5 .*UTF-8"),
    "book twice": ("books.csv", BOOKS + "\n" + book_line(1, "Again"), "row 5 .*second time"),
    "book without id": ("books.csv", BOOKS + "\n" + book_line(5, "New").replace("5,", ",", 1), "row 5 .*book_id"),
    "book without author": ("books.csv", BOOKS + "\n" + book_line(5, "New", authors=""), "row 5 .*no author"),
    "book cut short": ("books.csv", BOOKS + "\n5,1005,1", "row 5 .*fields"),
    "open quote": ("books.csv", BOOKS + '\n5,1005,1,1,9,,,"Ann', "row 5"),
    "mapping that is none": ("genre_tags.json", "[1, 2]", r"genre_tags\.json"),
    "mapping cut short": ("genre_tags.json", '{"Fantasy": ["fan', r"genre_tags\.json"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_line_that_names_file_and_row_and_the_way_out(name: str, folder: Folder) -> None:
    file, content, words = DAMAGED[name]
    with pytest.raises(SourceError, match=words) as caught, open_goodbooks(folder({file: content})):
        pass
    assert file in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "fetch the file again" in str(caught.value)


def test_a_truncated_gzip_names_the_row_it_ends_in_and_loads_nothing(
    folder: Folder, database_url: str, db: psycopg.Connection
) -> None:
    lines = "".join(f"{user},{book},{1 + user % 5}\n" for user in range(1, 20_000) for book in (1, 2, 3))
    whole = gzip.compress(("user_id,book_id,rating\n" + lines).encode())
    cut = folder({"ratings.csv": None, "ratings.csv.gz": whole[: len(whole) // 2]})
    with (
        pytest.raises(SourceError, match=r"ratings\.csv\.gz, row \d{4,5}: .*damaged or cut off"),
        open_goodbooks(cut) as source,
    ):
        load(database_url, source)
    assert db.execute("SELECT count(*) FROM books").fetchone() == (0,)


@pytest.mark.parametrize("place", [0, 12, -6])
def test_a_gzip_with_a_wrong_byte_is_refused(place: int, folder: Folder) -> None:
    content = bytearray(gzip.compress(RATINGS.encode(), mtime=0))
    content[place] ^= 0xFF
    with (
        pytest.raises(SourceError, match=r"ratings\.csv\.gz"),
        open_goodbooks(folder({"ratings.csv": None, "ratings.csv.gz": bytes(content)})),
    ):
        pass


def test_a_damaged_zip_is_refused(folder: Folder) -> None:
    archive = zipped("")(folder())
    content = bytearray(archive.read_bytes())
    content[len(content) // 3] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(SourceError, match="damaged") as caught, open_goodbooks(archive):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str, folder: Folder) -> None:
    with pytest.raises(SourceError, match=rf"has no {name}"), open_goodbooks(folder({name: None})):
        pass


def test_a_missing_folder_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is nothing at") as caught, open_goodbooks(tmp_path / "nowhere"):
        pass
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_text("not a zip")
    with pytest.raises(SourceError, match="no zip"), open_goodbooks(tmp_path / "x.zip"):
        pass


TITLES = {
    "The Hunger Games (The Hunger Games, #1)": ("The Hunger Games", "The Hunger Games", 1.0),
    "The Assassin and the Pirate Lord (Throne of Glass, #0.1)": (
        "The Assassin and the Pirate Lord",
        "Throne of Glass",
        0.1,
    ),
    "Fairest (Lunar Chronicles, #3.5) ": ("Fairest", "Lunar Chronicles", 3.5),
    "The Twilight Saga  (Twilight, #1-4)": ("The Twilight Saga", "Twilight", None),
    "Boxset (Maus, #1\u20132)": ("Boxset", "Maus", None),
    "A Storm of Swords (A Song of Ice and Fire, #3: Part 1 of 2)": (
        "A Storm of Swords",
        "A Song of Ice and Fire",
        None,
    ),
    "The Darkest Seduction (Lords of the Underworld #9)": ("The Darkest Seduction", "Lords of the Underworld", 9.0),
    "Beyond Exile (Day by Day Armageddon,# 2)": ("Beyond Exile", "Day by Day Armageddon", 2.0),
    "The Brass Verdict (Harry Bosch, #14; Mickey Haller, #2)": ("The Brass Verdict", "Harry Bosch", 14.0),
    "Raising Steam (Discworld, #40, Moist von Lipwig #3 )": ("Raising Steam", "Discworld", 40.0),
    "To Green Angel Tower (Memory, Sorrow, and Thorn, #3; Part 2)": (
        "To Green Angel Tower",
        "Memory, Sorrow, and Thorn",
        None,
    ),
    "Ranma ½, Vol. 1 (Ranma ½ (US 2nd), #1)": ("Ranma ½, Vol. 1", "Ranma ½ (US 2nd)", 1.0),
    "I Am America (And So Can You!)": ("I Am America (And So Can You!)", None, None),
    "Saga #1": ("Saga #1", None, None),
    "#GIRLBOSS": ("#GIRLBOSS", None, None),
    "(Lamps, #1)": ("(Lamps, #1)", None, None),
    "Odd (#1)": ("Odd (#1)", None, None),
    "Unbalanced Lamps, #1)": ("Unbalanced Lamps, #1)", None, None),
}


@pytest.mark.parametrize("written", TITLES)
def test_series_and_position_are_read_from_titles(written: str) -> None:
    assert split_title(written) == TITLES[written]


@given(st.text())
def test_no_title_is_ever_lost(written: str) -> None:
    title, series, _ = split_title(written)
    assert bool(title) == bool(written.split())
    assert series is None or series


@given(st.integers(0, 10**9 - 1))
def test_every_isbn_10_becomes_an_isbn_13_that_is_its_own(stem: int) -> None:
    digits = f"{stem:09d}"
    rest = -sum(weight * int(digit) for weight, digit in zip(range(10, 1, -1), digits, strict=True)) % 11
    ten = digits + ("X" if rest == 10 else str(rest))
    thirteen = isbn13(ten)
    assert thirteen is not None
    assert thirteen.startswith("978" + digits)
    assert isbn13(thirteen) == thirteen
    wrong = digits + ("X" if (rest + 1) % 11 == 10 else str((rest + 1) % 11))
    assert isbn13(wrong) is None


@pytest.mark.parametrize("written", ["0-439-02348-3", "978-0-439-02348-1", "0439023483", " 978 0439023481"])
def test_isbns_are_read_as_they_are_written(written: str) -> None:
    assert isbn13(written) == "9780439023481"


@pytest.mark.parametrize("written", ["", None, "0439023484", "9780439023482", "X439023483", "12", "٠٤٣٩٠٢٣٤٨٣"])
def test_what_is_no_isbn_is_none(written: str | None) -> None:
    assert isbn13(written) is None


def test_language_codes_become_two_letters() -> None:
    codes = ["eng", "en-US", "en", "fre", "ara", "per", "nl", "mul", "fil", "", None, "zz"]
    assert [iso_639_1(code) for code in codes] == [
        "en",
        "en",
        "en",
        "fr",
        "ar",
        "fa",
        "nl",
        None,
        None,
        None,
        None,
        None,
    ]


@pytest.mark.slow
def test_the_real_slice_loads_whole_and_a_second_time_changes_nothing(
    goodbooks: Path, database_url: str, db: psycopg.Connection
) -> None:
    with open_goodbooks(goodbooks) as source:
        report = load(database_url, source)
        assert report.inserted == {
            "genres": 40,
            "books": 10_000,
            "readers": 2304,
            "reviews": 256_649,
            "favorites": 28_829,
        }
        assert set(load(database_url, source).inserted.values()) == {0}
    row = db.execute(
        "SELECT title, series, series_position, author, isbn, total_reviews FROM books WHERE id = %s",
        (goodbooks_id("book", 1),),
    ).fetchone()
    assert row == ("The Hunger Games", "The Hunger Games", 1.0, "Suzanne Collins", "9780439023481", 997)
    assert db.execute("SELECT sum(total_reviews), max(created_at) < now() FROM books").fetchone() == (256_649, True)
