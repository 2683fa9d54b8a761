"""Asks the API in the same container whether it is ready. Exit code 0: it is. The standard library alone."""

import os
import sys
import urllib.error
import urllib.request

READINESS = "/api/v1/monitoring/health/readiness"
PATIENCE_SECONDS = 4  # less than the health check's own


def main() -> int:
    port = os.environ.get("PORT", "8000")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{READINESS}", timeout=PATIENCE_SECONDS):
            return 0
    except (urllib.error.URLError, OSError) as exc:
        sys.stderr.write(f"not ready: {exc}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
