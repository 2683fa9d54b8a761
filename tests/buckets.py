"""A bucket on the loopback: what S3 does of it that the tests need, for clients of boto3."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

NAMES = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass
class Buckets:
    """All objects by bucket/key, and what a client has to be told to come here."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)  # methods

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }


class _Handler(http.server.BaseHTTPRequestHandler):
    buckets: Buckets

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).strip("/")

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _content(self) -> bytes:
        if "chunked" not in f"{self.headers.get('Content-Encoding', '')}{self.headers.get('Transfer-Encoding', '')}":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():  # checksums that follow
            pass
        return content

    def do_PUT(self) -> None:
        content = self._content()
        if "PUT" in self.buckets.refused:
            self._answer(403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
            return
        self.buckets.objects[self._key()] = content
        self._answer(200)

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        if "list-type" in asked:
            bucket, (prefix,) = self._key(), asked["prefix"]
            keys = sorted(key for key in self.buckets.objects if key.startswith(f"{bucket}/{prefix}"))
            entries = "".join(f"<Contents><Key>{escape(key[len(bucket) + 1 :])}</Key></Contents>" for key in keys)
            self._answer(200, f'<ListBucketResult xmlns="{NAMES}">{entries}</ListBucketResult>'.encode())
        elif self._key() in self.buckets.objects:
            self._answer(200, self.buckets.objects[self._key()])
        else:
            self._answer(404)

    do_HEAD = do_GET  # noqa: N815 - the server's own naming

    def do_DELETE(self) -> None:
        self.buckets.objects.pop(self._key(), None)
        self._answer(204)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def buckets() -> Iterator[Buckets]:
    made = Buckets()
    handler = type("Handler", (_Handler,), {"buckets": made, "protocol_version": "HTTP/1.1"})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
