"""Starts the API as its image does, without Docker.

An environment of its own requirements, the files that it copies, its command, and a home that is empty. Prints what it
weighs and how it answered; exit code 1 when something is not as promised.

Postgres is the embedded one of the environment that runs this; the API reaches it by ``DATABASE_URL`` alone.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from data.database import connect
from data.embedded import running, temporary_home

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "images" / "api.Dockerfile"
LARGEST_BYTES = 300_000_000  # without bytecode: with it (80 MB) and Python below it the image stays under 500 MB
POD = "10.20.3.4:8000"  # what a probe sends as Host
HOST = "api.brs.example.org"
START_SECONDS, STOP_SECONDS = 120.0, 30.0  # of a machine that has other things to do


class Broken(RuntimeError):
    """The image would not do what it promises."""


def instruction(name: str, *, last: bool = False) -> list[str]:
    """The words of the Dockerfile's first (or last) instruction of that name in JSON form."""
    found = re.findall(rf"(?m)^{name} (\[.*\])$", DOCKERFILE.read_text())
    return [str(word) for word in json.loads(found[-1 if last else 0])]


def copied() -> Iterator[tuple[Path, Path]]:
    """What the build stage copies into /app: from where, to where below it."""
    for words in re.findall(r"(?m)^COPY (?!--)(.* /app\S*)$", DOCKERFILE.read_text()):
        *sources, target = shlex.split(words)
        for source in sources:
            path = ROOT / source
            below = Path(target).relative_to("/app")
            yield path, below / path.name if target.endswith("/") else below


def install(folder: Path) -> int:
    """Makes the environment and the application; returns their bytes."""
    uv = [sys.executable, "-m", "uv"]
    python = folder / "venv" / "bin" / "python"
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")], check=True)
    lock = str(ROOT / "deploy" / "serving.lock")
    into = ["--python", str(python), "--require-hashes", "-r", lock]
    subprocess.run([*uv, "pip", "install", "--quiet", *into], check=True)
    for source, below in copied():
        target = folder / "app" / below
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def environment(folder: Path, database: str) -> dict[str, str]:
    (folder / "home").mkdir()
    return {
        "PATH": f"{folder}/venv/bin:/usr/bin:/bin",
        "PYTHONPATH": str(folder / "app"),
        "PYTHONUNBUFFERED": "1",
        "BRS_HOME": str(folder / "home"),
        "DATABASE_URL": database,
        "BRS_ENV": "production",
        "BRS_SECRET_KEY": os.urandom(32).hex(),
        "BRS_TRUSTED_HOSTS": HOST,
        "BRS_MLFLOW_TRACKING_URI": "http://127.0.0.1:9",  # nobody is there: it starts all the same
    }


def command(name: str, port: int, *, last: bool = False) -> list[str]:
    entry = instruction("ENTRYPOINT")
    words = [*entry[entry.index("--") + 1 :], *instruction(name, last=last)]
    return [str(port) if word == "8000" else word for word in words]


def status(port: int, path: str, host: str) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - our own loopback
            return int(answer.status)
    except urllib.error.HTTPError as exc:
        return exc.code
    except OSError:
        return 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(folder: Path, settings: Mapping[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("wb") as log:
        api = subprocess.Popen(
            command("CMD", port), env=dict(settings), cwd=folder / "app", stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield api
        finally:
            if api.poll() is None:
                api.kill()
                api.wait()


def try_it(folder: Path, database: str) -> list[str]:
    """What was found, in lines. Raises Broken."""
    folder.mkdir(exist_ok=True)
    weight = install(folder)
    if weight > LARGEST_BYTES:
        raise Broken(f"environment and application weigh {weight / 1e6:.0f} MB")
    settings = environment(folder, database)
    port = free_port()
    subprocess.run(command("CMD", port, last=True), env=settings, cwd=folder / "app", check=True)
    began = time.monotonic()
    with serving(folder, settings, port) as api:
        ready = [sys.executable, str(folder / "app" / "deploy" / "ready.py")]
        while subprocess.run(ready, env={"PORT": str(port)}, capture_output=True, check=False).returncode != 0:
            if api.poll() is not None or time.monotonic() - began > START_SECONDS:
                raise Broken(f"it does not get ready: {(folder / 'log').read_text()[-500:]}")
            time.sleep(0.2)
        seconds = time.monotonic() - began
        expected = {
            ("/api/v1/monitoring/health/readiness", POD): 200,
            ("/metrics", POD): 200,
            ("/api/v1/books", POD): 400,
            ("/api/v1/books", HOST): 200,
            ("/api/v1/recommendations/popular", HOST): 200,
        }
        answered = {question: status(port, *question) for question in expected}
        if answered != expected:
            raise Broken(f"it answers {answered}")
        api.terminate()
        code = api.wait(STOP_SECONDS)
        if code != 0:
            raise Broken(f"it stops with {code}")
    return [
        f"environment and application: {weight / 1e6:.0f} MB of at most {LARGEST_BYTES / 1e6:.0f}, before bytecode",
        f"ready after {seconds:.1f} s, answers probes to a pod's address and everything else to its own name",
        "stopped by SIGTERM with exit code 0",
    ]


def main() -> int:
    with temporary_home("brs-image-") as home, running(home, durable=False) as server:
        with connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE brs_image")
        try:
            lines = try_it(home / "image", server.url("brs_image"))
        except (Broken, subprocess.SubprocessError) as exc:
            sys.stderr.write(f"the API's image: {exc}\n")
            return 1
    sys.stdout.write("".join(f"the API's image: {line}\n" for line in lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
