"""Which code this is."""

import functools
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_GIT_SECONDS = 5


@functools.cache
def commit_of_checkout() -> str | None:
    """The commit that is checked out where this code lies; ``None`` without a checkout or without git."""
    if not (_ROOT / ".git").exists():  # else git would look further up, and find somebody else's
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_GIT_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
