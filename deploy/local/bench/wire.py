"""One kept-alive HTTP/1.1 connection, as light as it can be: the clients share the machine with what they measure."""

import asyncio
import json
import time
from typing import NamedTuple, Self

IDLE_SECONDS = 3.0  # the service hangs up on connections that say nothing for five
PATIENCE_SECONDS = 30.0
NO_ANSWER = 0
_BODILESS = (204, 304)


class Request(NamedTuple):
    method: str
    path: str
    body: object = None


class Wire:
    """Connects when it must. One request at a time."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self._port = port
        self._headers = f"Host: 127.0.0.1:{port}\r\n" + (f"Authorization: Bearer {token}\r\n" if token else "")
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def status(self, request: Request) -> int:
        """The answer's status, after reading all of it; ``NO_ANSWER``: the service hung up or said nothing."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._status(request)
        except (OSError, EOFError, TimeoutError):
            self.close()
            return NO_ANSWER

    async def _status(self, request: Request) -> int:
        reader, writer = await self._connected()
        writer.write(self._bytes(request))
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        if status not in _BODILESS:
            await reader.readexactly(_length(head))
        self._used = time.monotonic()
        return status

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and (self._streams[0].at_eof() or time.monotonic() - self._used > IDLE_SECONDS):
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams

    def _bytes(self, request: Request) -> bytes:
        body = b"" if request.body is None else json.dumps(request.body).encode()
        told = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if request.body is not None else ""
        return f"{request.method} {request.path} HTTP/1.1\r\n{self._headers}{told}\r\n".encode() + body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise EOFError
