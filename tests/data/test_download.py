"""Fetching the archive over a bad line: a loopback server cuts connections, corrupts bytes, changes the file."""

import hashlib
import io
import socket
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from data.loading import SourceError
from data.sources import download
from data.sources.download import fetch_goodbooks


def archive(text: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:  # stored, so that a byte in the middle is a byte of a member
        made.writestr("goodbooks-10k/ratings.csv", text * 20_000)
    return stream.getvalue()


CONTENT = archive("user_id,book_id,rating\n")


@dataclass
class Line:
    """How the server behaves; the lists are used up one entry a request."""

    content: bytes = CONTENT
    etag: str | None = '"one"'
    cut_after: list[int] = field(default_factory=list)
    reset_after: list[int] = field(default_factory=list)
    corrupt_at: list[int] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    requests: list[tuple[str | None, str | None]] = field(default_factory=list)

    def body(self) -> bytes:
        content = bytearray(self.content)
        if self.corrupt_at:
            content[self.corrupt_at.pop(0)] ^= 0xFF
        return bytes(content)


@dataclass(frozen=True)
class Place:
    line: Line
    url: str


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A server on the loopback interface."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    line = Line()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            line.requests.append((self.headers["Range"], self.headers["If-Range"]))
            if line.statuses and (status := line.statuses.pop(0)) != 200:
                self.send_error(status)
                return
            body, start = line.body(), 0
            if line.ranges and self.headers["Range"] and self.headers["If-Range"] == line.etag:
                start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start and line.moved:
                start += line.moved.pop(0)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            if line.etag:
                self.send_header("ETag", line.etag)
            self.end_headers()
            if line.reset_after:
                self.wfile.write(body[start : line.reset_after.pop(0)])
                # With no time to linger, closing resets the connection.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(body[start : line.cut_after.pop(0)] if line.cut_after else body[start:])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    yield Place(line, f"http://127.0.0.1:{server.server_port}/goodbooks-10k.zip")
    server.shutdown()
    server.server_close()
    serving.join()


Fetch = Callable[..., Path]


@pytest.fixture
def fetch(place: Place, tmp_path: Path) -> Fetch:
    return lambda **given: fetch_goodbooks(tmp_path / "downloads", url=place.url, pause=0.001, **given)


def left_over(path: Path) -> list[str]:
    return sorted(child.name for child in path.iterdir())


def test_it_comes_whole_with_progress_and_leaves_nothing_else(fetch: Fetch) -> None:
    told: list[tuple[str, int, int | None]] = []
    path = fetch(progress=lambda *event: told.append(event))
    assert path.read_bytes() == CONTENT
    assert left_over(path.parent) == ["goodbooks-10k.zip"]
    assert told[-1] == ("fetching goodbooks-10k", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert len(told) > 2


def test_what_is_there_is_not_fetched_again_unless_it_is_damaged(fetch: Fetch, place: Place) -> None:
    path = fetch()
    fetch()
    assert len(place.line.requests) == 1
    path.write_bytes(CONTENT[:-100])
    assert fetch().read_bytes() == CONTENT
    assert len(place.line.requests) == 2


def test_a_cut_connection_is_continued_where_it_broke_off(fetch: Fetch, place: Place) -> None:
    place.line.cut_after = [100_000, 250_000]
    assert fetch().read_bytes() == CONTENT
    assert place.line.requests == [(None, None), ("bytes=100000-", '"one"'), ("bytes=250000-", '"one"')]


def test_the_next_call_continues_what_the_last_one_left(fetch: Fetch, place: Place, tmp_path: Path) -> None:
    place.line.cut_after = [100_000] * 6
    with pytest.raises(SourceError, match=r"100,000 of [\d,]+ bytes"):
        fetch()
    assert left_over(tmp_path / "downloads") == ["goodbooks-10k.zip.part", "goodbooks-10k.zip.part.json"]
    place.line.cut_after, place.line.requests = [], []
    assert fetch().read_bytes() == CONTENT
    assert place.line.requests == [("bytes=100000-", '"one"')]


def test_a_reset_connection_is_tried_again(fetch: Fetch, place: Place) -> None:
    place.line.reset_after = [200_000, 400_000]
    assert fetch().read_bytes() == CONTENT
    assert len(place.line.requests) == 3


def test_a_server_that_continues_at_another_place_is_asked_for_all_again(fetch: Fetch, place: Place) -> None:
    place.line.cut_after, place.line.moved = [100_000], [7]
    assert fetch().read_bytes() == CONTENT
    assert place.line.requests == [(None, None), ("bytes=100000-", '"one"'), (None, None)]


def test_a_line_that_brings_a_little_each_time_is_not_asked_for_ever(
    fetch: Fetch, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MOST_ATTEMPTS", 7)
    place.line.cut_after = [1000 * (1 + number) for number in range(20)]
    with pytest.raises(SourceError, match=r"after 7,000 of [\d,]+ bytes"):
        fetch()
    assert len(place.line.requests) == 7


def test_a_file_that_changed_meanwhile_is_fetched_anew(fetch: Fetch, place: Place) -> None:
    place.line.cut_after = [100_000] * 6
    with pytest.raises(SourceError):
        fetch()
    place.line.cut_after, place.line.etag, place.line.content = [], '"two"', archive("another,file\n")
    assert fetch().read_bytes() == place.line.content


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_mark_nothing_is_glued_together(etag: str | None, fetch: Fetch, place: Place) -> None:
    place.line.etag, place.line.cut_after = etag, [100_000]
    assert fetch().read_bytes() == CONTENT
    assert place.line.requests == [(None, None), (None, None)]


def test_a_server_without_ranges_is_asked_for_all_again(fetch: Fetch, place: Place) -> None:
    place.line.ranges, place.line.cut_after = False, [100_000]
    assert fetch().read_bytes() == CONTENT
    assert len(place.line.requests) == 2


def test_a_corrupted_byte_is_noticed_and_the_file_fetched_anew(fetch: Fetch, place: Place) -> None:
    place.line.corrupt_at = [len(CONTENT) // 2]
    assert fetch().read_bytes() == CONTENT
    assert place.line.requests == [(None, None), (None, None)]


def test_a_line_that_damages_every_time_ends_in_one_line_and_leaves_no_file(
    fetch: Fetch, place: Place, tmp_path: Path
) -> None:
    place.line.corrupt_at = [len(CONTENT) // 2] * 9
    with pytest.raises(SourceError, match=r"ratings\.csv in it is damaged") as caught:
        fetch()
    assert "\n" not in str(caught.value)
    assert f"download {place.url}" in str(caught.value)
    assert left_over(tmp_path / "downloads") == []
    assert len(place.line.requests) == 2


def test_an_expected_checksum_is_compared(fetch: Fetch, place: Place) -> None:
    with pytest.raises(SourceError, match="SHA-256"):
        fetch(sha256="0" * 64)
    assert fetch(sha256=hashlib.sha256(CONTENT).hexdigest().upper()).read_bytes() == CONTENT
    assert len(place.line.requests) == 3


def test_a_busy_server_is_asked_again(fetch: Fetch, place: Place) -> None:
    place.line.statuses = [503, 429, 200]
    assert fetch().read_bytes() == CONTENT


def test_a_server_that_stays_broken_is_asked_five_times(fetch: Fetch, place: Place) -> None:
    place.line.statuses = [500] * 20
    with pytest.raises(SourceError, match="the server answers 500"):
        fetch()
    assert len(place.line.requests) == 5


def test_a_missing_file_is_not_asked_for_again(fetch: Fetch, place: Place) -> None:
    place.line.statuses = [404] * 20
    with pytest.raises(SourceError, match="the server answers 404") as caught:
        fetch()
    assert len(place.line.requests) == 1
    assert "brs load goodbooks" in str(caught.value)


def test_a_part_longer_than_the_file_is_thrown_away(fetch: Fetch, place: Place, tmp_path: Path) -> None:
    place.line.cut_after = [100_000] * 6
    with pytest.raises(SourceError):
        fetch()
    place.line.cut_after, place.line.statuses = [], [416, 200]
    assert fetch().read_bytes() == CONTENT
    assert left_over(tmp_path / "downloads") == ["goodbooks-10k.zip"]


def test_a_page_in_place_of_the_archive_is_refused(fetch: Fetch, place: Place) -> None:
    place.line.content = b"<html>Please sign in to this network</html>"
    with pytest.raises(SourceError, match="no undamaged zip"):
        fetch()


def test_without_internet_one_line_says_how_to_get_it_by_hand(tmp_path: Path, place: Place) -> None:
    closed = place.url.rsplit(":", 1)[0] + ":1/goodbooks-10k.zip"
    with pytest.raises(SourceError, match="no connection") as caught:
        fetch_goodbooks(tmp_path, url=closed, pause=0.001)
    assert "\n" not in str(caught.value)
    assert "then run `brs load goodbooks" in str(caught.value)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, place: Place) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SourceError, match="cannot be written"):
        fetch_goodbooks(tmp_path / "file" / "downloads", url=place.url, pause=0.001)


def test_only_web_addresses_are_fetched(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no web address"):
        fetch_goodbooks(tmp_path, url="file:///etc/hostname")
