"""A message to an address that somebody else listens at. What goes wrong there is logged, and stops nothing here."""

import http.client
import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import IO
from urllib.parse import urlsplit

from models.bundle import Json

SECONDS = 5.0
ATTEMPTS = 2
TOO_MANY, BROKEN = 429, 500  # statuses that may be others a moment later

log = logging.getLogger("pipelines.webhook")


class Webhook:
    """Posts JSON. Never raises, and takes two attempts and a second at most, whatever the other side does."""

    def __init__(self, url: str, seconds: float = SECONDS) -> None:
        """Connects to nothing yet.

        Args:
            url: Where to; it is a secret, and is never logged.
            seconds: Of each attempt.

        Raises:
            ValueError: Another scheme than http and https: no file is read, and no other service is spoken to.
        """
        if urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError("a webhook is http:// or https://")
        self._url = url
        self._seconds = seconds

    def __call__(self, message: Mapping[str, Json]) -> None:
        body = json.dumps(message).encode()
        # Looking up a name has no timeout, nor has an answer that comes byte by byte: who waits must not wait for ever.
        posting = threading.Thread(target=self._deliver, args=(body,), name="webhook", daemon=True)
        posting.start()
        posting.join(ATTEMPTS * self._seconds + 1)
        if posting.is_alive():
            log.warning("the webhook takes too long: the alert may not have arrived")

    def _deliver(self, body: bytes) -> None:
        for left in reversed(range(ATTEMPTS)):
            wrong = self._post(body)
            if wrong is None:
                return
            tries = wrong.again and left > 0
            log.warning("the webhook did not take an alert: %s%s", wrong.said, "; once more" if tries else "")
            if not tries:
                return

    def _post(self, body: bytes) -> "_Wrong | None":
        headers = {"Content-Type": "application/json", "User-Agent": "BRS"}
        request = urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310 - http or https, see above
        try:
            with urllib.request.build_opener(_Straight).open(request, timeout=self._seconds):
                return None
        except urllib.error.HTTPError as why:
            why.close()
            return _Wrong(f"it answered {why.code}", again=why.code >= BROKEN or why.code == TOO_MANY)
        # Its own words may contain the address.
        except (OSError, http.client.HTTPException, ValueError) as why:
            reason = why.reason if isinstance(why, urllib.error.URLError) else why
            said = reason.strerror if isinstance(reason, OSError) and reason.strerror else type(reason).__name__
            return _Wrong(said, again=not isinstance(why, ValueError))


class _Wrong:
    def __init__(self, said: str, *, again: bool) -> None:
        self.said = said
        self.again = again


class _Straight(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: it would carry the alert to an address that nobody has set, and as a GET."""

    def redirect_request(
        self,
        req: urllib.request.Request,  # noqa: ARG002 - the signature is urllib's
        fp: IO[bytes],  # noqa: ARG002
        code: int,  # noqa: ARG002
        msg: str,  # noqa: ARG002
        headers: http.client.HTTPMessage,  # noqa: ARG002
        newurl: str,  # noqa: ARG002
    ) -> urllib.request.Request | None:
        return None
