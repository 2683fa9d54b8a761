"""What is left of an embedded Postgres: who serves a data folder, how it is ended, what is swept up afterwards.

Also a program of its own: `data.embedded` starts it detached (`python -I -S embedded_reaper.py …`) beside each server.
It waits until no process holds the users' lock and then ends the server. Locks vanish with their holders, so this works
whatever killed the last user, without `atexit` (which neither SIGKILL nor uvicorn's SIGTERM runs). It imports little,
and nothing but the standard library, so that it starts in milliseconds and outlives the environment's removal.
"""

import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import NamedTuple

# A fast shutdown writes a checkpoint, so it may take a while on a slow disk; after that nothing is owed to anybody.
PATIENCE = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0))
POLL_SECONDS = 0.01
# Between a user's fork and its exec of Postgres, nothing tells that child from the user itself.
FORK_TO_EXEC_SECONDS = 0.5
DYING_SECONDS = 1.0


class PidFile(NamedTuple):
    """What a server says about itself in `postmaster.pid`; the fields it has not written yet are empty, 0 or -1."""

    pid: int
    port: int
    socket_dir: Path
    shmem_id: int
    state: str  # "starting", "ready", "stopping", or "" before the first of them

    @property
    def socket(self) -> Path:
        return self.socket_dir / f".s.PGSQL.{self.port}"


def read_pid_file(data_dir: Path) -> PidFile | None:
    """Read `postmaster.pid`: pid, folder, start, port, socket folder, address, shared memory key and id, state."""
    try:
        lines = os.fsdecode((data_dir / "postmaster.pid").read_bytes()).splitlines()
    except FileNotFoundError:
        return None
    lines += [""] * (8 - len(lines))
    shmem = lines[6].split()
    if not lines[0].strip().isdigit():
        return None
    return PidFile(
        pid=int(lines[0]),
        port=int(lines[3] or 0),
        socket_dir=Path(lines[4]),
        shmem_id=int(shmem[1]) if len(shmem) == 2 else -1,  # noqa: PLR2004 -- key and id
        state=lines[7].strip(),
    )


def commands() -> dict[int, str]:
    """Every process that this user may see, with its command line (arguments joined by spaces)."""
    if not Path("/proc/self/cmdline").exists():
        return _commands_by_ps()
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 -- Path.iterdir costs twice as much, and this is polled
        if name.isdigit() and (command := command_of(int(name))):
            found[int(name)] = command
    return found


def _commands_by_ps() -> dict[int, str]:
    import subprocess  # noqa: PLC0415 -- only where there is no /proc; the reaper starts faster without it

    listing = subprocess.run(["/bin/ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
    rows = (line.split(maxsplit=1) for line in listing.stdout.splitlines())
    return {int(row[0]): row[1] for row in rows if len(row) == 2}  # noqa: PLR2004 -- pid and command


def command_of(pid: int) -> str:
    """Command line of one process; "" for none, for a zombie and for what this user may not see."""
    if not Path("/proc/self/cmdline").exists():
        return _commands_by_ps().get(pid, "")
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).replace("\0", " ")
    except OSError:
        return ""


def leads(command: str, token: str) -> bool:
    """Whether this is the postmaster of the server that was started under this name, or about to become it."""
    return f"cluster_name={token}" in command


def serves(command: str, token: str) -> bool:
    """Whether this process belongs to that server; the pid alone proves nothing, the kernel hands it out again."""
    return leads(command, token) or command.startswith(f"postgres: {token}: ")


def answers(path: Path) -> bool:
    """Whether somebody listens there: also true for a server in another container, whose pid is invisible here."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True


def stop(data_dir: Path, token: str) -> bool:
    """End every process of the server, gently first, and sweep up; True when there was one.

    A postmaster that was killed leaves busy backends behind, which would keep the next one from starting: they go too.
    """
    said = read_pid_file(data_dir)
    stopped = False
    for signum, seconds in PATIENCE:
        serving = {pid: command for pid, command in commands().items() if serves(command, token)}
        if not serving:
            break
        stopped = True
        # Orderly shutdown is the postmaster's own business; when it is dead or deaf, each process is told itself.
        heads = [pid for pid, command in serving.items() if leads(command, token)]
        targets = heads if signum == signal.SIGINT else list(serving)
        for pid in targets:
            _signal(pid, signum)
        _wait_until_ended(targets, seconds)
    if said is not None:
        if not command_of(said.pid):  # killed a moment ago, it may still be letting go of its memory
            _wait_until_ended([said.pid], DYING_SECONDS)
        _sweep(data_dir, said)
    return stopped


def _signal(pid: int, signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it went by itself in the meantime
        os.kill(pid, signum)


def _wait_until_ended(pids: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not all(_has_ended(pid) for pid in pids):
        time.sleep(POLL_SECONDS)


def _has_ended(pid: int) -> bool:
    """Whether a process is gone or a zombie, memory and locks given back; its command line vanishes before that."""
    try:
        if Path("/proc/self/stat").exists():
            return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in {b"Z", b"X"}
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return True
    return False


def _sweep(data_dir: Path, said: PidFile) -> None:
    """Remove what an orderly shutdown would have removed, and the socket folder if it is empty now."""
    if said.socket_dir.is_absolute():
        if answers(said.socket):
            return  # it lives in another container, and that one's reaper will see to it
        said.socket.unlink(missing_ok=True)
        said.socket.with_name(said.socket.name + ".lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not ours to remove, or not empty: the next start uses it as it is
            said.socket_dir.rmdir()
    if (data_dir / "postmaster.pid").exists():  # it did not end by itself
        (data_dir / "postmaster.pid").unlink(missing_ok=True)
        _free_shared_memory(said)


def _free_shared_memory(said: PidFile) -> None:
    """Free the System V segment of a killed server: the next start would, but the folder may never be started again."""
    table = Path("/proc/sysvipc/shm")
    ipcrm = "/usr/bin/ipcrm"
    if not (table.exists() and Path(ipcrm).exists()):
        return
    for row in table.read_text().splitlines()[1:]:
        _key, shmem_id, _perms, _size, creator, _last, attached = map(int, row.split()[:7])
        if (shmem_id, creator, attached) == (said.shmem_id, said.pid, 0):
            os.spawnv(os.P_WAIT, ipcrm, ["ipcrm", "-m", str(shmem_id)])  # noqa: S606 -- no shell is wanted


def main() -> None:
    """Wait for the last user to go, then end the server.

    Arguments: descriptor of the reaper's lock (held already), descriptor of the users' lock (not held), uid and gid of
    the data folder's owner, the data folder, the server's name.
    """
    reaper_lock, users_lock, uid, gid = map(int, sys.argv[1:5])
    data_dir, token = Path(sys.argv[5]), sys.argv[6]
    if os.geteuid() == 0 and uid != 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    fcntl.flock(users_lock, fcntl.LOCK_EX)
    if not stop(data_dir, token):
        time.sleep(FORK_TO_EXEC_SECONDS)
        stop(data_dir, token)
    # In this order: who gets the users' lock next must find the reaper's lock free, or it would go without a reaper.
    os.close(reaper_lock)
    os.close(users_lock)


if __name__ == "__main__":
    main()
