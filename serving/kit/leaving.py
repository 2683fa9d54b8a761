"""The time between being told to stop and stopping, in which a proxy learns that this replica is leaving."""

import threading
from collections.abc import Callable


class Leaving:
    """Told to stop, the service answers for ``seconds`` more: it is not ready, and an answer ends its connection.

    A proxy that asks for readiness sends its requests elsewhere meanwhile. One that does not is left without
    connections that it could use at the moment they are closed.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.has_begun = False

    def then(self, stop: Callable[[], None]) -> None:
        """Call ``stop`` when the time is over; at once the second time. Safe in a signal's handler."""
        if self.has_begun or not self._seconds:
            self.has_begun = True
            stop()
            return
        self.has_begun = True
        timer = threading.Timer(self._seconds, stop)
        timer.daemon = True  # a second signal does not wait for it
        timer.start()
