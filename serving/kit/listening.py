"""The socket that the service listens on."""

import contextlib
import errno
import socket
from collections.abc import Iterator


def why_not(exc: OSError, host: str, port: int) -> str:
    """What keeps somebody from listening there, in one line that says what to do."""
    if exc.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; choose another with --port"
    if exc.errno == errno.EACCES:
        return f"port {port} on {host} is not allowed to this user; choose one above 1023 with --port"
    return f"cannot listen on {host}, port {port}: {exc.strerror or exc}"


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """The socket, bound before anything is started, so that a busy port is one line and not a trace.

    Uvicorn listens on it once the application has started: who connects before is refused at once, and does not wait.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.set_inheritable(True)
        yield listener


def address_of(host: str, listener: socket.socket) -> str:
    """Of what listens, for a browser."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"
