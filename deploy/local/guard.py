"""Ends the children of a process that was killed. Started as a program of its own, standard library only.

It reads process group ids from standard input, ``+123`` for a child that was started and ``-123`` for one that has
ended, until the pipe closes. The pipe closes when its writer dies, however it dies, SIGKILL included.
"""

import contextlib
import os
import signal
import sys
import time

PATIENCE_SECONDS = 2.0


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    signal_all(groups, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while groups and time.monotonic() < deadline:
        groups = {group for group in groups if is_alive(group)}
        time.sleep(0.05)
    signal_all(groups, signal.SIGKILL)


def is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def signal_all(groups: set[int], signum: signal.Signals) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signum)


if __name__ == "__main__":
    main()
