import datetime as dt
import gzip
import itertools
import re
import shutil
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np
import pytest

from data.database import connect
from data.loading import ReviewRow, Source, SourceError, load
from data.sample import clock, shelf, simulate
from data.sample.catalogue import HERE, OPENED, Book, read_books, read_genres
from data.sample.simulate import SEED, generate
from data.sources.sample import sample_library

SIMULATED = ("readers.csv", "ratings.csv.gz", "reviews.csv.gz")


@pytest.fixture(scope="module")
def library() -> Source:
    return sample_library()


@pytest.fixture(scope="module")
def reviews(library: Source) -> list[ReviewRow]:
    return list(library.reviews())


@pytest.fixture(scope="module")
def by_reader(reviews: list[ReviewRow]) -> dict[UUID, list[ReviewRow]]:
    shelves = defaultdict(list)
    for review in reviews:
        shelves[review.user_id].append(review)
    return shelves


@pytest.fixture(scope="module")
def books() -> list[Book]:
    return read_books()


def content(name: str, raw: bytes) -> bytes:
    """Unpacked: another zlib packs the same content into other bytes."""
    return gzip.decompress(raw) if name.endswith(".gz") else raw


def test_the_simulator_gives_the_committed_files_again() -> None:
    again = generate()
    assert set(again) == set(SIMULATED)
    for name, raw in again.items():
        assert content(name, raw) == content(name, (HERE / name).read_bytes()), name


def test_the_simulator_writes_its_files_into_the_folder_that_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(simulate, "generate", lambda: {"readers.csv": b"reader\n1\n", "ratings.csv.gz": b"packed"})
    simulate.main(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == simulate.generate()
    assert f"{tmp_path / 'readers.csv'}: 9 bytes" in capsys.readouterr().out


def test_packed_files_carry_neither_name_nor_time() -> None:
    for name in SIMULATED[1:]:
        assert (HERE / name).read_bytes()[3:8] == bytes(5), name


def test_the_folder_stays_small() -> None:
    assert sum(path.stat().st_size for path in HERE.iterdir() if path.is_file()) < 1_000_000


def test_there_are_enough_books_genres_readers_and_ratings(library: Source) -> None:
    expected = library.expected
    assert expected["books"] >= 400
    assert expected["genres"] >= 25
    assert expected["readers"] == 2000
    assert 55_000 < expected["reviews"] < 65_000
    assert 1_000 < expected["favorites"] < expected["reviews"] / 5
    for name in ("genres", "books", "readers", "reviews", "favorites"):
        assert len(list(getattr(library, name)())) == expected[name]


def test_books_are_sorted_by_a_unique_key_and_no_work_comes_twice(books: list[Book]) -> None:
    keys = [book.key for book in books]
    assert keys == sorted(set(keys))
    assert len({(book.title.casefold(), book.author.casefold()) for book in books}) == len(books)


def test_books_obey_the_rules_for_input(books: list[Book]) -> None:
    genres = read_genres()
    for book in books:
        assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", book.key)
        assert 1 <= len(book.title) <= 500
        assert 1 <= len(book.author) <= 300
        assert book.year is None or 1000 <= book.year <= 2022
        assert (book.series is None) == (book.position is None)
        assert re.fullmatch("[a-z]{2}", book.language)
        assert book.isbn is None
        assert 1 <= len(book.genres) == len(set(book.genres)) <= 4
        assert set(book.genres) <= set(genres)
        assert 80 <= len(book.description) <= 260
        for text in (book.title, book.author, book.description):
            assert text == " ".join(unicodedata.normalize("NFC", text).split())


def test_every_genre_is_used_and_described_in_a_sentence(books: list[Book]) -> None:
    assert {genre for book in books for genre in book.genres} == set(read_genres())
    assert all(description.endswith(".") and len(description) <= 500 for description in read_genres().values())


def test_no_two_volumes_of_a_series_have_one_position(books: list[Book]) -> None:
    places = Counter((book.series, book.position) for book in books if book.series)
    assert set(places.values()) == {1}


def test_reader_names_obey_the_rules_and_none_is_there_twice(library: Source) -> None:
    readers = list(library.readers())
    assert len({(reader.first_name, reader.last_name) for reader in readers}) == len(readers)
    for number, reader in enumerate(readers, start=1):
        assert reader.email == f"reader-{number:04}@sample.invalid"
        assert (reader.first_name + reader.last_name).isalpha()


def test_all_happens_within_the_three_years_and_after_joining(
    library: Source, by_reader: dict[UUID, list[ReviewRow]]
) -> None:
    end = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    for reader in library.readers():
        times = [review.created_at for review in by_reader[reader.id]]
        assert OPENED <= reader.created_at < times[0]
        assert times[-1] < end
        assert all(earlier < later for earlier, later in itertools.pairwise(times))


def test_nobody_rates_a_book_twice_and_activity_is_bounded(by_reader: dict[UUID, list[ReviewRow]]) -> None:
    for shelf_of_one in by_reader.values():
        assert len({review.book_id for review in shelf_of_one}) == len(shelf_of_one)
        assert 3 <= len(shelf_of_one) <= 250
    counts = np.array([len(shelf_of_one) for shelf_of_one in by_reader.values()])
    assert np.median(counts) < 0.7 * counts.mean()  # log-normal: few read much


def test_stars_lean_to_the_good_side(reviews: list[ReviewRow]) -> None:
    shares = np.bincount([review.rating for review in reviews], minlength=6)[1:] / len(reviews)
    mean = shares @ np.arange(1, 6)
    assert 3.8 <= mean <= 4.0
    assert 0.003 < shares[0] < 0.03
    assert (shares[1:] > 0.04).all()


def test_few_books_have_many_ratings_and_none_has_none(reviews: list[ReviewRow], books: list[Book]) -> None:
    counts = np.array(sorted(Counter(review.book_id for review in reviews).values(), reverse=True))
    assert len(counts) == len(books)
    assert counts[: len(counts) // 10].sum() > 0.25 * counts.sum()
    assert np.median(counts) < 0.8 * counts.mean()


def sequels(books: list[Book]) -> Iterator[tuple[str, str]]:
    volumes = sorted(((b.series, b.position or 0, b.key) for b in books if b.series), key=str)
    for one, next_one in itertools.pairwise(sorted(volumes)):
        if one[0] == next_one[0]:
            yield one[2], next_one[2]


def test_series_are_read_in_order_on_after_liking_and_hardly_after_disliking(
    library: Source, by_reader: dict[UUID, list[ReviewRow]], books: list[Book]
) -> None:
    row_ids = {book.key: row.id for book, row in zip(books, library.books(), strict=True)}
    after = {row_ids[one]: row_ids[two] for one, two in sequels(books)}
    read_on: dict[int, list[bool]] = defaultdict(list)
    in_order = []
    for shelf_of_one in by_reader.values():
        place = {review.book_id: at for at, review in enumerate(shelf_of_one)}
        for review in shelf_of_one:
            if review.book_id in after:
                sequel = place.get(after[review.book_id])
                read_on[review.rating].append(sequel is not None and sequel > place[review.book_id])
                in_order += [sequel > place[review.book_id]] if sequel is not None else []
    assert np.mean(in_order) > 0.9
    assert np.mean(read_on[5]) > 0.6
    assert np.mean(read_on[1] + read_on[2]) < 0.1


def test_review_texts_obey_the_rules_and_are_all_different(reviews: list[ReviewRow]) -> None:
    texts = [review.review_text for review in reviews if review.review_text is not None]
    assert 0.06 <= len(texts) / len(reviews) <= 0.08
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert 10 <= len(text) <= 2000
        assert text == text.strip()
        assert text.isprintable()
        assert not re.search(r"(.)\1{10}|https?:|www\.|[{}]|  ", text), text


def test_ids_are_the_same_on_every_machine(library: Source, reviews: list[ReviewRow]) -> None:
    assert str(next(iter(library.books())).id) == "834028f4-4fc1-57f7-9ec4-a008af5f218d"
    assert str(next(iter(library.genres())).id) == "65ecb739-286b-5e49-a84a-f530a935b4e4"
    assert str(next(iter(library.readers())).id) == "9aca94ca-9607-5201-a3ca-ac040182fded"
    books = dict(zip((row.id for row in library.books()), read_books(), strict=True))
    assert reviews[0].id == uuid5(NAMESPACE_URL, f"brs-sample/review/1/{books[reviews[0].book_id].key}")


def test_what_is_met_in_a_week_is_a_distribution(books: list[Book]) -> None:
    exposure = shelf.build(books, SEED).exposure
    assert exposure.shape == (shelf.WEEKS, len(books))
    assert np.allclose(exposure.sum(axis=1), 1)
    assert (exposure > 0).all()


@pytest.mark.parametrize("arrival", [0.0, 700.5, 0.99 * shelf.DAYS])
def test_times_never_leave_the_three_years_and_always_rise(arrival: float) -> None:
    for seed in range(50):
        minutes = clock.times(np.random.default_rng(seed), arrival, 250)
        assert len(minutes) == 250
        assert minutes[0] >= 0
        assert (np.diff(minutes) > 0).all()
        assert minutes[-1] <= clock.LAST_MINUTE


def test_loading_fills_the_tables_and_loading_twice_changes_nothing(database_url: str, library: Source) -> None:
    report = load(database_url, library)
    assert dict(report.inserted) == dict(library.expected)
    assert set(load(database_url, library).inserted.values()) == {0}
    with connect(database_url) as connection:
        row = connection.execute("SELECT count(*), min(rating), max(rating) FROM reviews").fetchone()
        origins = connection.execute("SELECT DISTINCT origin, password_hash FROM users").fetchall()
    assert row == (library.expected["reviews"], 1, 5)
    assert origins == [("sample", None)]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for name in SIMULATED:
        shutil.copy(HERE / name, tmp_path)
    return tmp_path


def test_a_missing_or_damaged_file_is_named(copied: Path) -> None:
    (copied / "ratings.csv.gz").write_bytes((HERE / "ratings.csv.gz").read_bytes()[:-9])
    with pytest.raises(SourceError, match=r"ratings\.csv\.gz is damaged .*again"):
        sample_library(copied)
    (copied / "ratings.csv.gz").unlink()
    with pytest.raises(SourceError, match=r"ratings\.csv\.gz is missing"):
        sample_library(copied)


def test_a_rating_of_an_unknown_book_is_named_with_its_line(copied: Path) -> None:
    (copied / "ratings.csv.gz").write_bytes(gzip.compress(b"reader,book,stars,minute,favourite\n1,99999,5,10,0\n"))
    with pytest.raises(SourceError, match="line 2 names an unknown reader or book"):
        sample_library(copied)
