"""Makes the database of the embedded Postgres and starts its server, detached from whoever asked."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from data import embedded_reaper as reaper
from data.embedded_account import Account, EmbeddedUnavailable, own

SUPERUSER = "postgres"
PORT = 5432  # part of the socket's name, nothing else
START_SECONDS = 60.0  # recovery after an unclean stop replays at most max_wal_size
EXEC_SECONDS = 0.05
LOG_BYTES = 10_000_000
# sockaddr_un holds 108 bytes with the final NUL on Linux, 104 on macOS.
SOCKET_PATH_BYTES = 103
# Nothing of the caller's PGPORT, PGDATA, LANG or TZ may leak into the server.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
# mmap: shared memory of parallel queries in the data folder, where the next start finds it after a kill, where a
# container's 64 MB /dev/shm does not limit it, and where logging out (systemd's RemoveIPC) does not delete it.
SETTINGS = """# Written at every start. Settings of your own: ALTER SYSTEM.
listen_addresses = ''
port = {port}
unix_socket_directories = '{socket_dir}'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = '128MB'
effective_cache_size = '1GB'
work_mem = '16MB'
maintenance_work_mem = '128MB'
max_wal_size = '1GB'
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
random_page_cost = 1.1
dynamic_shared_memory_type = mmap
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_line_prefix = '%m [%p] %q%d '
log_checkpoints = off
"""
SETTINGS_NOT_DURABLE = """fsync = off
synchronous_commit = off
full_page_writes = off
"""


def exists(data_dir: Path) -> bool:
    """Whether there is a database."""
    return (data_dir / "PG_VERSION").exists()


def token_of(data_dir: Path) -> str:
    """Name that every process of this server carries on its command line: a copy or a successor has another."""
    with (data_dir / "global" / "pg_control").open("rb") as control:
        identifier = control.read(8)  # system identifier, drawn by initdb
    return f"brs-{hashlib.sha256(identifier + os.fsencode(data_dir)).hexdigest()[:12]}"


def create(data_dir: Path, programs: Path, account: Account | None, *, durable: bool) -> None:
    """Make an empty database aside and rename it, so that an interrupted initdb leaves nothing that looks like one."""
    if data_dir.exists() and any(data_dir.iterdir()):
        raise EmbeddedUnavailable(f"{data_dir} is not a Postgres data folder: move it away")
    for leftover in data_dir.parent.glob(f"{data_dir.name}.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{data_dir.name}.new-", dir=data_dir.parent))
    try:
        own(fresh, account)
        _initdb(fresh, programs, account, durable=durable)
        with (fresh / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write("\ninclude 'local.conf'\n")
        fresh.rename(data_dir)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _initdb(folder: Path, programs: Path, account: Account | None, *, durable: bool) -> None:
    # Sorting by code point, whatever LANG is; but the C library's ctype, which pg_trgm asks for letters, in Unicode.
    ctype = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
    options = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    options += [f"--lc-ctype={ctype}", "--auth-local=trust", "--auth-host=reject", "--no-instructions"]
    options += [] if durable else ["--no-sync"]
    made = subprocess.run(
        [programs / "initdb", "-D", folder, "-U", SUPERUSER, *options],
        check=False,
        capture_output=True,
        cwd="/",
        env=ENVIRONMENT,
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
    if made.returncode != 0:
        raise EmbeddedUnavailable(f"initdb failed in {folder.parent}: {_complaint(made.stdout + made.stderr)}")


def prepare(data_dir: Path, account: Account | None, *, durable: bool) -> None:
    """Write the settings of the next start. Raises OSError."""
    text = SETTINGS.format(port=PORT, socket_dir=_socket_dir(data_dir.parent, account))
    fresh = data_dir / "local.conf.new"
    fresh.write_text(text + ("" if durable else SETTINGS_NOT_DURABLE), encoding="utf-8")
    own(fresh, account)
    fresh.replace(data_dir / "local.conf")


def _socket_dir(base: Path, account: Account | None) -> Path:
    """Make a folder for the socket that its owner alone may enter: in the base, or a short one in /tmp."""
    inside = base / "run"
    plain = all(sign.isalnum() or sign in "/._- " for sign in str(inside))  # libpq splits hosts at commas, and so on
    if plain and len(os.fsencode(inside / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES:
        inside.mkdir(mode=0o700, exist_ok=True)
        inside.chmod(0o700)
        own(inside, account)
        return inside
    uid = account.uid if account else os.geteuid()
    short = Path("/tmp") / f"brs-{hashlib.sha256(os.fsencode(base)).hexdigest()[:12]}"  # noqa: S108 -- checked below
    try:
        short.mkdir(mode=0o700)
    except FileExistsError:
        found = short.lstat()
        if (found.st_uid, found.st_mode) != (uid, 0o040700):  # not a folder, or not ours alone: somebody sits there
            short = Path(tempfile.mkdtemp(prefix="brs-", dir=short.parent))
    own(short, account)
    return short


def rotate(log: IO[bytes]) -> None:
    """Keep one old log, once the log has grown long. Nobody writes to it while no server runs."""
    if os.fstat(log.fileno()).st_size > LOG_BYTES:
        shutil.copyfile(log.name, f"{log.name}.1")
        log.truncate(0)


def launch(data_dir: Path, programs: Path, account: Account | None, log: IO[bytes]) -> int:
    """Start the server; its pid, at a time when it does not answer yet."""
    command: list[str | Path] = [programs / "postgres", "-D", data_dir, "-c", f"cluster_name={token_of(data_dir)}"]
    return detach(command, log, account=account, env=ENVIRONMENT)


def detach(
    command: Sequence[str | Path],
    log: IO[bytes],
    *,
    account: Account | None = None,
    env: dict[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> int:
    """Start a process that is nobody's child and hangs on no terminal (Ctrl-C does not reach it); its pid."""
    with subprocess.Popen(
        ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        cwd="/",
        env=env,
        pass_fds=pass_fds,
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    ) as shell:
        return int(shell.communicate()[0])


def _is_alive(pid: int, token: str) -> bool:
    """Asked twice: while a process turns from the shell into Postgres, the kernel shows an empty command line."""
    for _ in range(2):
        if reaper.serves(reaper.command_of(pid), token):
            return True
        time.sleep(EXEC_SECONDS)
    return False


def wait_until_ready(data_dir: Path, pid: int, log: IO[bytes], since: int) -> None:
    """Wait for the server to answer; what it wrote to the log from byte `since` on explains why it does not."""
    token = token_of(data_dir)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        alive = _is_alive(pid, token)
        said = reaper.read_pid_file(data_dir)
        if said is not None and said.state == "ready":
            return
        if not alive:
            with Path(log.name).open("rb") as lines:
                lines.seek(since)
                raise EmbeddedUnavailable(f"Postgres did not start: {_complaint(lines.read())} (more in {log.name})")
        time.sleep(reaper.POLL_SECONDS)
    raise EmbeddedUnavailable(f"Postgres is not ready after {START_SECONDS:.0f} s: try again, or see {log.name}")


def _complaint(output: bytes) -> str:
    """Pick the line that says why from what Postgres printed."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    for mark in ("PANIC:", "FATAL:", "error:"):
        for line in reversed(lines):
            if mark in line:
                return line.partition(mark)[2].strip()
    return lines[-1] if lines else "it says nothing"
