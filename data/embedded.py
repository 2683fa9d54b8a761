"""The embedded Postgres: a real PostgreSQL 18 that lives in the home folder while somebody uses it.

Whoever uses it holds a shared lock on `pg.users` (the kernel drops it with the process, however that dies). Starting
and stopping happen under an exclusive lock on `pg.start`. A detached reaper holds `pg.reaper`, waits for the exclusive
lock on `pg.users`, which it gets when the last user is gone, and stops the server. Nobody listens on TCP; the socket's
folder is open to its owner alone, which is why connections need no password.

Linux and macOS. Which account runs the server, and where, is `embedded_account`'s; how it begins, `embedded_launch`'s;
how it ends, `embedded_reaper`'s.
"""

import contextlib
import fcntl
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from data import embedded_launch, embedded_reaper
from data.embedded_account import EmbeddedUnavailable, account_for, base_of, binaries, make_base, programs_for

__all__ = ["EmbeddedUnavailable", "Server", "binaries", "ensure_reaper", "running", "status", "stop", "temporary_home"]

DATA = "pg18"  # by major version: the next one will want a folder of its own


@dataclass(frozen=True)
class Server:
    """A server that answers. Its superuser needs no password: the socket folder is open to its owner alone."""

    socket_dir: Path
    port: int
    data_dir: Path
    pid: int
    superuser: str = embedded_launch.SUPERUSER

    def url(self, database: str) -> str:
        """Address for libpq and psycopg; with another scheme (`postgresql+psycopg2://`) for SQLAlchemy too."""
        host = quote(os.fsencode(self.socket_dir), safe="")
        return f"postgresql://{self.superuser}@/{quote(database, safe='')}?host={host}&port={self.port}"


@contextlib.contextmanager
def running(home: Path, *, durable: bool = True) -> Iterator[Server]:
    """Use the server of `home`: start it, or join it; the last user to leave, or to die, takes it down.

    `durable=False` gives up safety against power cuts for speed, for tests; it counts for who starts the server, not
    for who joins. Raises EmbeddedUnavailable.
    """
    home = _resolved(home)
    with contextlib.ExitStack() as held:
        with _explained(home):
            home.mkdir(parents=True, exist_ok=True)
            # In this order: while the reaper stops a server it holds the users' lock, so nobody starts meanwhile.
            held.enter_context(_lock(home / "pg.users", fcntl.LOCK_SH))
            with _lock(home / "pg.start", fcntl.LOCK_EX):
                server = status(home) or _start(home, durable=durable)
                ensure_reaper(home)
        yield server


def status(home: Path) -> Server | None:
    """Return the server of `home` if one answers, without becoming a user of it."""
    try:
        data_dir = _data_dir(home)
        said = embedded_reaper.read_pid_file(data_dir)
        if said is None or said.state != "ready" or not _lives(said, data_dir):
            return None
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None  # not there, being deleted, or somebody else's
    return Server(said.socket_dir, said.port, data_dir, said.pid)


def stop(home: Path) -> bool:
    """End the server of `home` whether it is in use or not; True when there was one. Raises EmbeddedUnavailable."""
    home = _resolved(home)
    with _explained(home):
        data_dir = _data_dir(home)
        if not embedded_launch.exists(data_dir):
            return False
        with _lock(home / "pg.start", fcntl.LOCK_EX):
            return embedded_reaper.stop(data_dir, embedded_launch.token_of(data_dir))


@contextlib.contextmanager
def temporary_home(prefix: str) -> Iterator[Path]:
    """A folder in the system's place for such, which goes after its server has ended.

    A server whose last user has left goes by itself soon, and meanwhile writes into a folder that is being removed.
    """
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        home = Path(name)
        home.chmod(0o755)  # root's server is another user's, whom a closed folder would send to a place of its own
        try:
            yield home
        finally:
            stop(home)


def ensure_reaper(home: Path) -> bool:
    """Put a reaper in place if somebody killed it; True when a new one was needed. Costs microseconds when not.

    Without users this ends a server that was left over. Raises EmbeddedUnavailable.
    """
    home = _resolved(home)
    with _explained(home):
        data_dir = _data_dir(home)
        if not embedded_launch.exists(data_dir):
            return False
        try:
            with _lock(home / "pg.reaper", fcntl.LOCK_EX | fcntl.LOCK_NB) as held:
                _start_reaper(home, data_dir, held)
        except BlockingIOError:
            return False
        return True


def _start_reaper(home: Path, data_dir: Path, held: int) -> None:
    """Start it with the lock on `pg.reaper`, which goes over with its descriptor: never free, never two reapers."""
    owner = data_dir.stat()
    with _opened(home / "pg.users") as users, _log(home) as log:
        settled = [held, users, owner.st_uid, owner.st_gid, data_dir, embedded_launch.token_of(data_dir)]
        command = [sys.executable, "-I", "-S", "-B", embedded_reaper.__file__, *map(str, settled)]
        embedded_launch.detach(command, log, pass_fds=(held, users))


def _start(home: Path, *, durable: bool) -> Server:
    """Start the server, making its database first if there is none. Needs the lock on `pg.start`."""
    data_dir = _data_dir(home)
    account = account_for(data_dir)
    programs = programs_for(account)
    if not embedded_launch.exists(data_dir):
        data_dir = make_base(home, account) / DATA
        embedded_launch.create(data_dir, programs, account, durable=durable)
    said = embedded_reaper.read_pid_file(data_dir)
    with _log(home) as log:
        if said is not None and said.state in {"", "starting"} and _lives(said, data_dir):
            pid, since = said.pid, 0  # whoever began to start it was killed: then it is enough to wait
        else:
            embedded_reaper.stop(data_dir, embedded_launch.token_of(data_dir))  # what a killed postmaster left
            embedded_launch.prepare(data_dir, account, durable=durable)
            embedded_launch.rotate(log)
            since = os.fstat(log.fileno()).st_size
            ensure_reaper(home)  # before the server: there is no moment at which it has none
            pid = embedded_launch.launch(data_dir, programs, account, log)
        embedded_launch.wait_until_ready(data_dir, pid, log, since)
    server = status(home)
    if server is None:
        raise EmbeddedUnavailable(f"Postgres started in {data_dir} and stopped at once: see {home}/logs/postgres.log")
    return server


def _resolved(home: Path) -> Path:
    return home.expanduser().resolve()


def _data_dir(home: Path) -> Path:
    return base_of(_resolved(home)) / DATA


def _lives(said: embedded_reaper.PidFile, data_dir: Path) -> bool:
    """Whether who wrote the pid file still serves: by its command line, or by its socket from another container."""
    command = embedded_reaper.command_of(said.pid)
    if embedded_reaper.serves(command, embedded_launch.token_of(data_dir)):
        return True
    return said.socket_dir.is_absolute() and embedded_reaper.answers(said.socket)


@contextlib.contextmanager
def _explained(home: Path) -> Iterator[None]:
    """Say what to do about what the system refused."""
    try:
        yield
    except OSError as error:
        place = error.filename or home
        way_out = "set BRS_HOME to a folder that you can write to, or DATABASE_URL to a Postgres of your own"
        reason = f"the embedded Postgres cannot use {os.fsdecode(place)} ({error.strerror}): {way_out}"
        raise EmbeddedUnavailable(reason) from error


@contextlib.contextmanager
def _lock(path: Path, operation: int) -> Iterator[int]:
    with _opened(path) as descriptor:
        fcntl.flock(descriptor, operation)
        yield descriptor


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _give_to_owner_of(path.parent, descriptor)
        yield descriptor
    finally:
        # Closing, not unlocking: a forked child that still holds the descriptor goes on being a user.
        os.close(descriptor)


@contextlib.contextmanager
def _log(home: Path) -> Iterator[IO[bytes]]:
    logs = home / "logs"
    logs.mkdir(exist_ok=True)
    _give_to_owner_of(home, logs)
    with (logs / "postgres.log").open("ab") as log:
        _give_to_owner_of(home, log.fileno())
        yield log


def _give_to_owner_of(folder: Path, new: Path | int) -> None:
    """After one `sudo`, the home's owner must still get in."""
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.chown(new, owner.st_uid, owner.st_gid)
