"""The published goodbooks-10k archive from its publisher, resumed where a connection broke off."""

import contextlib
import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from data.loading import Progress, SourceError, quiet

ADDRESS = "https://github.com/zygmuntz/goodbooks-10k/releases/download/v1.0/goodbooks-10k.zip"
ATTEMPTS = 5  # in a row that bring nothing new
MOST_ATTEMPTS = 100  # however much they bring
DAMAGED_ATTEMPTS = 2  # a line that damages what it carries will hardly do better the third time
PAUSE_SECONDS = 0.5  # before the second attempt; doubled before each further one
TIMEOUT_SECONDS = 20.0
WHAT = "fetching goodbooks-10k"  # in bytes
_CHUNK = 1 << 16
_WORTH_TRYING_AGAIN = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
}


class _CutOff(Exception):
    """Fewer bytes came than were announced."""


class _Damaged(Exception):
    """All bytes came, but not the right ones."""


@dataclass(frozen=True)
class _Part:
    """What has come so far, and the mark by which the server knows whether it is still the same file."""

    path: Path
    url: str

    @property
    def mark_path(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def held(self) -> tuple[int, str]:
        """How many bytes can be built upon, and the mark they belong to; (0, "") when none can."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            noted = json.loads(self.mark_path.read_text())
            if noted["url"] == self.url and noted["mark"]:
                return self.path.stat().st_size, str(noted["mark"])
        return 0, ""

    def note(self, mark: str) -> None:
        self.mark_path.write_text(json.dumps({"url": self.url, "mark": mark}))

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.mark_path.unlink(missing_ok=True)


def fetch_goodbooks(
    into: Path,
    progress: Progress = quiet,
    *,
    url: str = ADDRESS,
    sha256: str | None = None,
    pause: float = PAUSE_SECONDS,
) -> Path:
    """The archive in the folder ``into``, fetched unless it lies there already, whole and undamaged.

    The publisher names no checksum, so what is verified is the length that the server announces and the CRC-32 that the
    zip keeps for each of its members; with ``sha256`` (hexadecimal) that too. What a broken connection left behind
    stays for the next call, which continues it (Range with If-Range, RFC 9110) if the server still has the same file.

    Raises:
        SourceError: no connection, no such file, or damaged on the way more than once; says how to get it by hand.
    """
    archive = into / "goodbooks-10k.zip"
    part = _Part(into / "goodbooks-10k.zip.part", url)
    try:
        into.mkdir(parents=True, exist_ok=True)
        if archive.exists() and _damage(archive, sha256) is None:
            return archive
        _fetch(part, progress, sha256, pause)
        part.path.replace(archive)
        part.drop()
    except OSError as exc:
        raise SourceError(
            f"{into} cannot be written: {exc.strerror or exc}; make room or choose another BRS_HOME"
        ) from exc
    return archive


def _fetch(part: _Part, progress: Progress, sha256: str | None, pause: float) -> None:
    reason, failed, damaged = "", 0, 0
    for _ in range(MOST_ATTEMPTS):
        before = part.held()[0]
        try:
            _continue(part, progress)
            _verify(part, sha256)
        except urllib.error.HTTPError as exc:
            exc.close()
            reason = f"the server answers {exc.code} {exc.reason}"
            if exc.code < HTTPStatus.INTERNAL_SERVER_ERROR and exc.code not in _WORTH_TRYING_AGAIN:
                raise _by_hand(part.url, reason) from exc
            if exc.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.drop()
        except _CutOff as exc:
            reason = str(exc)
        except _Damaged as exc:
            reason, damaged = str(exc), damaged + 1
        else:
            return
        failed = 1 if part.held()[0] > before else failed + 1
        if failed >= ATTEMPTS or damaged >= DAMAGED_ATTEMPTS:
            break
        time.sleep(pause * 2 ** (failed - 1))
    raise _by_hand(part.url, reason)


def _verify(part: _Part, sha256: str | None) -> None:
    if reason := _damage(part.path, sha256):
        part.drop()
        raise _Damaged(reason)


def _continue(part: _Part, progress: Progress) -> None:
    """Add to the part what is missing, or start anew where the server has another file or cannot continue."""
    done, mark = part.held()
    with _answer(part.url, done, mark) as answer:
        continued = answer.status == HTTPStatus.PARTIAL_CONTENT
        if continued and not (answer.headers.get("Content-Range") or "").startswith(f"bytes {done}-"):
            part.drop()
            raise _CutOff("the server continues at another place than asked")
        done = done if continued else 0
        announced = answer.headers.get("Content-Length")
        total = done + int(announced) if announced and announced.isdecimal() else None
        with part.path.open("ab" if continued else "wb") as stream:
            if not continued:  # noted once the old part is gone: a mark never stands beside the bytes of another file
                part.note(_mark(answer.headers))
            while chunk := _read(answer):
                stream.write(chunk)
                done += len(chunk)
                progress(WHAT, done, total)
    if total is not None and done != total:
        raise _CutOff(f"the connection ended after {done:,} of {total:,} bytes")


def _answer(url: str, done: int, mark: str) -> http.client.HTTPResponse:
    if not url.startswith(("https://", "http://")):
        raise SourceError(f"{url} is no web address")
    headers = {"User-Agent": "brs", "Accept-Encoding": "identity"}
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": mark}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme was checked
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310 - checked
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as exc:
        raise _CutOff(f"no connection: {getattr(exc, 'reason', exc)}") from exc
    return answer


def _read(answer: http.client.HTTPResponse) -> bytes:
    """Some bytes. What the line does wrong is told apart here from what the disk does wrong."""
    try:
        return answer.read(_CHUNK)
    except (OSError, http.client.HTTPException) as exc:
        raise _CutOff(f"the connection broke: {exc}") from exc


def _mark(headers: http.client.HTTPMessage) -> str:
    """What If-Range may name: a strong ETag, else the date of the last change, else nothing."""
    etag = headers.get("ETag") or ""
    return etag if etag.startswith('"') else headers.get("Last-Modified") or ""


def _damage(path: Path, sha256: str | None) -> str | None:
    """What is wrong with the archive, in words; ``None`` when nothing is."""
    if sha256 is not None:
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != sha256.lower():
                return "the checksum (SHA-256) is not the expected one"
    try:
        with zipfile.ZipFile(path) as archive:
            first = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as exc:
        return f"what came is no undamaged zip ({exc})"
    return None if first is None else f"{first} in it is damaged (CRC-32)"


def _by_hand(url: str, reason: str) -> SourceError:
    return SourceError(
        f"goodbooks-10k could not be fetched ({reason}): download {url} elsewhere,"
        " then run `brs load goodbooks goodbooks-10k.zip`"
    )
