"""The supervisor keeps its children running and takes them with it, however it goes."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local.supervisor import Child, ChildFailed, Supervisor

PROGRAM = """
import sys, time
from pathlib import Path
from deploy.local.supervisor import Child, Supervisor
folder = Path(sys.argv[1])
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
family = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {stubborn!r}]); time.sleep(600)"
with Supervisor(lambda line: print(line, flush=True)) as supervisor:
    child = Child("sleeper", [sys.executable, "-c", family], {}, folder / "sleeper.log")
    supervisor.start(child)
    print(child.process.pid, flush=True)
    supervisor.watch()
"""


def eventually(claim: Callable[[], bool], within: float = 8.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if claim():
            return True
        time.sleep(0.05)
    return claim()


@contextlib.contextmanager
def supervised(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", psutil.Process]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        assert eventually(lambda: len(child.children()) == 1)
        yield process, child
        process.terminate()


def descendants(process: psutil.Process) -> list[psutil.Process]:
    return [*process.children(recursive=True), process]


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(is_alive(process) for process in processes)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_the_supervisor_ends_its_children_and_theirs(tmp_path: Path, signum: signal.Signals) -> None:
    with supervised(tmp_path) as (process, _):
        everybody = descendants(psutil.Process(process.pid))
        assert len(everybody) == 4  # the supervisor, its guard, the child, and the child's child that ignores SIGTERM
        process.send_signal(signum)
        process.wait(timeout=10)
    assert eventually(lambda: all_gone(everybody))


def test_a_killed_child_is_started_again_and_its_remains_are_swept(tmp_path: Path) -> None:
    with supervised(tmp_path) as (process, child):
        (grandchild,) = child.children()
        child.kill()
        assert process.stdout is not None
        assert "sleeper ended with exit code -9 and is started again" in process.stdout.readline()
        assert eventually(lambda: all_gone([grandchild]))


def test_a_killed_guard_is_replaced_and_the_new_one_knows_the_children(tmp_path: Path) -> None:
    with supervised(tmp_path) as (process, child):
        parent = psutil.Process(process.pid)
        (first,) = guards(parent)
        everybody = descendants(child)
        first.kill()
        assert eventually(lambda: [g.pid for g in guards(parent)] not in ([], [first.pid]))
        process.kill()
        process.wait(timeout=10)
    assert eventually(lambda: all_gone(everybody))


def guards(parent: psutil.Process) -> list[psutil.Process]:
    return [p for p in parent.children() if is_alive(p) and "guard.py" in " ".join(p.cmdline())]


def test_a_child_that_ends_while_it_is_waited_for_is_reported_with_its_last_words(tmp_path: Path) -> None:
    complains = "import sys; print('no such table'); sys.exit(3)"
    with Supervisor(print) as supervisor:
        child = Child("API", [sys.executable, "-c", complains], {}, tmp_path / "api.log")
        supervisor.start(child)
        with pytest.raises(ChildFailed, match=r"API ended with exit code 3: no such table"):
            supervisor.wait_until(lambda: False, child, within=20)


def test_without_an_essential_child_everything_ends(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor(said.append) as supervisor:
        dies = [sys.executable, "-c", "raise SystemExit(1)"]
        supervisor.start(Child("API", dies, {}, tmp_path / "api.log", is_essential=True))
        with pytest.raises(ChildFailed, match="ended 4 times"):
            supervisor.watch()
    assert len(said) == 3


def test_a_page_that_keeps_dying_stays_away_and_the_others_go_on(tmp_path: Path) -> None:
    class EnoughSeen(Exception):
        pass

    said: list[str] = []
    lives = Child(
        "API", [sys.executable, "-c", "import time; time.sleep(600)"], {}, tmp_path / "a.log", is_essential=True
    )

    def look() -> None:
        if "stays away" in "".join(said):
            assert lives.process is not None
            assert lives.process.poll() is None
            raise EnoughSeen

    with Supervisor(said.append) as supervisor:
        supervisor.start(lives)
        supervisor.start(Child("page", [sys.executable, "-c", "raise SystemExit(1)"], {}, tmp_path / "page.log"))
        with pytest.raises(EnoughSeen):
            supervisor.watch([look])


def test_a_program_in_the_foreground_gives_its_exit_code() -> None:
    with Supervisor(print) as supervisor:
        code = supervisor.run(
            [sys.executable, "-c", "import os; raise SystemExit(int(os.environ['WANTED']))"], {"WANTED": "7"}
        )
    assert code == 7


def test_signal_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Supervisor(print):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
