"""The lines that a running service writes, in a process of their own: logging is global."""

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging, structlog
from serving.kit.log import configure, request_id
configure("info")
request_id.set("request-12")
structlog.get_logger("a").info("mine", refresh_token="hush", user_id="7")
logging.getLogger("library").warning("theirs %s", 1, extra={"password": "hush"})
try:
    local = "hush"
    raise ValueError("broken")
except ValueError:
    structlog.get_logger("a").exception("failed")
structlog.get_logger("a").debug("silent")
logging.getLogger("mlflow").info("chatter")
"""


def test_every_line_is_json_with_the_request_and_without_secrets() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["mine", "theirs 1", "failed"]
    assert {line["request_id"] for line in lines} == {"request-12"}
    assert (lines[0]["refresh_token"], lines[1]["password"]) == ("[redacted]", "[redacted]")
    assert "ValueError: broken" in lines[2]["exception"]
    assert "hush" not in done.stderr.replace('local = "hush"', "")
    assert all(line["timestamp"].endswith("Z") for line in lines)
