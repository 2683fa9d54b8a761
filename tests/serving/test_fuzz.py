"""Schemathesis asks everything that the OpenAPI document allows, and much that it does not, signed in and not.

Bounded here; ``make fuzz`` gives it more examples (BRS_FUZZ_EXAMPLES) and a new seed each time (BRS_FUZZ_SEED).
"""

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.database import connect
from tests.serving.conftest import PASSWORD, Library, bearer

ROOT = Path(__file__).parents[2]
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = os.environ.get("BRS_FUZZ_EXAMPLES", "8")
SEED = os.environ.get("BRS_FUZZ_SEED", "7")


@pytest.fixture
def address(database_url: str, library: Library, tmp_path: Path) -> Iterator[str]:
    """A service of its own on loopback, with a few books."""
    genre = library.genre("Classics")
    for place in range(30):
        library.book(f"Book {place}", f"Author {place % 5}", genres=[genre])
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "BRS_HOME": str(tmp_path / "home"),
        "BRS_RATE_LIMITS": "off",
        "BRS_LOG_LEVEL": "error",
    }
    command = [sys.executable, "-m", "brs", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[3]
        finally:
            process.terminate()


def sign_in(address: str, database_url: str) -> dict[str, str]:
    """An administrator: whoever may do most meets most of the code."""
    draft = {"email": "fuzz@example.org", "password": PASSWORD, "first_name": "Ada", "last_name": "Lovelace"}
    request = urllib.request.Request(  # noqa: S310 - our own loopback
        f"{address}/api/v1/auth/register", json.dumps(draft).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        tokens = json.load(answer)["data"]
    with connect(database_url) as connection:
        connection.execute("UPDATE users SET is_admin = true")
    return bearer(tokens["access_token"])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("who", ["anonymous", "administrator"])
def test_nothing_asked_is_answered_with_a_5xx_or_outside_the_document(
    address: str, database_url: str, who: str, tmp_path: Path
) -> None:
    headers = sign_in(address, database_url) if who == "administrator" else {}
    command = [str(Path(sys.executable).with_name("st")), "run", f"{address}/openapi.json", "--checks", CHECKS]
    # One worker: CPython 3.11 may fail in `ast` when two threads parse at once, and Schemathesis parses.
    command += ["--max-examples", EXAMPLES, "--seed", SEED, "--workers", "1", "--no-color", "--warnings", "off"]
    command += ["--phases", "examples,coverage,fuzzing,stateful", "--generation-database", "none"]
    # Signing the fuzzer out, or deleting its account, would leave it anonymous for the rest.
    command += ["--exclude-path", "/api/v1/auth/logout", "--exclude-path", "/api/v1/users/profile"]
    command += ["--exclude-path", "/api/v1/auth/change-password", "--exclude-path", "/metrics"]
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    with contextlib.chdir(tmp_path):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
