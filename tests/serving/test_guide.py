"""docs/api.md, run as it stands against a real service: every command, every answer."""

import contextlib
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from serving.app import create_app
from serving.settings import ServiceSettings
from tests.serving.conftest import FakeRegistry, Library, two_tastes

GUIDE = Path(__file__).parents[2] / "docs" / "api.md"
BLOCK = re.compile(r"^```(sh|json|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANYTHING = "…"
END = "--- end of block ---"


def steps() -> list[tuple[str, str, str]]:
    """Each command of the guide, with the kind and the text of the answer that is shown below it, if any."""
    found: list[tuple[str, str, str]] = []
    for kind, text in BLOCK.findall(GUIDE.read_text(encoding="utf-8")):
        if kind == "sh":
            found.append((text, "", ""))
        else:
            command, *_ = found.pop()
            found.append((command, kind, text))
    return found


@contextlib.contextmanager
def serving(database_url: str, registry: FakeRegistry, folder: Path) -> Iterator[str]:
    """The address of a service with the limits that the guide tells of."""
    settings = ServiceSettings(model_poll_seconds=0.05)
    app = create_app(settings, database_url=database_url, tracking_uri=None, bundles=folder, registry=registry)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + 30
        while not (server.started and app.state.observer.model()):
            assert time.monotonic() < until
            time.sleep(0.05)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def agrees(shown: object, got: object) -> bool:
    """Whether an answer has what the guide shows; it may have more members than are shown."""
    if isinstance(shown, dict) and isinstance(got, dict):
        return all(name in got and agrees(value, got[name]) for name, value in shown.items())
    if isinstance(shown, list) and isinstance(got, list):
        return len(shown) == len(got) and all(map(agrees, shown, got))
    return shown in (ANYTHING, got)


def test_an_answer_that_differs_is_noticed() -> None:
    assert agrees({"a": ["…", 1]}, {"a": [5, 1], "b": 2})
    for got in ({}, {"a": 1}, {"a": [5]}, {"a": [5, 2]}):
        assert not agrees({"a": ["…", 1]}, got)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the guide's commands need curl")
def test_every_command_of_the_guide_works_as_it_says(
    database_url: str, library: Library, registry: FakeRegistry, tmp_path: Path
) -> None:
    titles = ("The Hunger Games", "Divergent", "Catching Fire")
    books = [library.book(title, "Veronica Roth" if title == "Divergent" else "Suzanne Collins") for title in titles]
    registry.promote("1", two_tastes(books))
    guide = steps()
    assert len(guide) >= 8
    with serving(database_url, registry, tmp_path / "bundles") as address:
        script = f"\necho; echo '{END}'\n".join(command for command, *_ in guide)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script.replace("http://localhost:8000", address)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=60,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = done.stdout.split(END)
    for (command, kind, shown), answer in zip(guide, answers, strict=True):
        if kind == "json":
            assert agrees(json.loads(shown), json.loads(answer)), f"{command}\n{answer}"
        else:
            assert answer.strip() == shown.strip(), command
