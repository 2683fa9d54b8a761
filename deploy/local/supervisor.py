"""Starts programs, keeps them running, and ends them together: on Ctrl-C, on SIGTERM, and when it is killed itself."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Self

from deploy.local import guard

PATIENCE_SECONDS = 2.0
RESTARTS = 3
SETTLED_SECONDS = 60.0  # who has run so long starts with a clean slate when it ends


class ChildFailed(RuntimeError):
    """A program ended that must not end; the message is one line and names its log."""


@dataclass
class Child:
    """A program in a process group of its own, so that it takes its own children along when it goes.

    Without an essential one nothing makes sense: when it cannot be kept running, all the others end, too.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    is_essential: bool = False
    restarts: int = 0
    started: float = 0.0
    wanted_at: float = 0.0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)


class Supervisor:
    """Use as a context manager: whatever ends the block ends every child."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self._children: list[Child] = []
        self._stopping = False
        self._guard = self._start_guard()

    def __enter__(self) -> Self:
        self._previous = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    @staticmethod
    def _start_guard() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        # A second Ctrl-C while stopping changes nothing: stop() is bounded by PATIENCE_SECONDS.
        if not self._stopping:
            self._stopping = True
            raise KeyboardInterrupt

    def start(self, child: Child) -> None:
        child.log.parent.mkdir(parents=True, exist_ok=True)
        with child.log.open("ab") as log:
            child.process = subprocess.Popen(
                child.command,
                env={**os.environ, **child.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child.started = time.monotonic()
        if child not in self._children:
            self._children.append(child)
        self._tell_guard(f"+{child.process.pid}")

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run a program in the foreground, on this terminal, until it ends; its exit code."""
        with subprocess.Popen(command, env={**os.environ, **environment}, process_group=0) as process:
            self._tell_guard(f"+{process.pid}")
            try:
                code = process.wait()
            except KeyboardInterrupt:
                _end([process])
                raise
            self._tell_guard(f"-{process.pid}")
        return code

    def wait_until(self, ready: Callable[[], bool], child: Child, *, within: float) -> None:
        """Return when ``ready()``; raise ``ChildFailed`` when the child ends first or ``within`` seconds pass."""
        deadline = time.monotonic() + within
        while not ready():
            process = child.process
            if process is not None and process.poll() is not None:
                raise ChildFailed(f"{child.name} ended with exit code {process.returncode}: {_last_line(child.log)}")
            if time.monotonic() > deadline:
                raise ChildFailed(f"{child.name} did not answer within {within:.0f} s; see {child.log}")
            time.sleep(0.1)

    def watch(self, every_tick: Sequence[Callable[[], object]] = ()) -> None:
        """Keep the children running until the block is interrupted; a child that keeps dying raises ``ChildFailed``."""
        while True:
            for act in every_tick:
                act()
            if self._guard.poll() is not None:
                self._guard = self._start_guard()
                for running in self._running():
                    self._tell_guard(f"+{running.pid}")
            for child in self._children:
                self._restart_if_ended(child)
            time.sleep(0.5)

    def _restart_if_ended(self, child: Child) -> None:
        process, now = child.process, time.monotonic()
        if process is None:
            if child.wanted_at and now >= child.wanted_at:
                self.start(child)
            return
        if process.poll() is None:
            return
        child.process = None
        self._tell_guard(f"-{process.pid}")
        guard.signal_all({process.pid}, signal.SIGKILL)  # what it may have left behind in its group
        child.restarts = 0 if now - child.started > SETTLED_SECONDS else child.restarts
        if child.restarts == RESTARTS:
            self._give_up(child)
            return
        child.wanted_at = now + 2**child.restarts - 1  # at once, after a second, after three
        child.restarts += 1
        self._announce(f"{child.name} ended with exit code {process.returncode} and is started again; see {child.log}")

    def _give_up(self, child: Child) -> None:
        child.wanted_at = 0.0
        said = f"{child.name} ended {RESTARTS + 1} times in a row; see {child.log}"
        if child.is_essential:
            raise ChildFailed(said)
        self._announce(f"{said}. It stays away; everything else goes on.")

    def _tell_guard(self, line: str) -> None:
        if self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # watch() puts a new guard in its place
                self._guard.stdin.write(f"{line}\n".encode())
                self._guard.stdin.flush()

    def _running(self) -> Iterator[subprocess.Popen[bytes]]:
        for child in self._children:
            if child.process is not None and child.process.poll() is None:
                yield child.process

    def stop(self) -> None:
        """End every child: SIGTERM to its group, SIGKILL to what is left after ``PATIENCE_SECONDS``."""
        self._stopping = True
        _end([child.process for child in self._children if child.process is not None])
        if self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.close()
        self._guard.wait(timeout=guard.PATIENCE_SECONDS + PATIENCE_SECONDS)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    groups = {process.pid for process in processes}
    guard.signal_all(groups, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while groups and time.monotonic() < deadline:
        for process in processes:
            process.poll()
        groups = {group for group in groups if guard.is_alive(group)}
        time.sleep(0.05)
    guard.signal_all(groups, signal.SIGKILL)
    for process in processes:
        process.wait()


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"{lines[-1]} (log: {log})" if lines else f"its log {log} is empty"
