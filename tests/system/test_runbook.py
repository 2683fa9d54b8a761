"""docs/runbook.md: every alert has its section, and what it says to type does what it says."""

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import psycopg
import pytest

from data.database import connect
from data.embedded_account import binaries
from serving.settings import key_id
from tests.serving.conftest import Library, library

__all__ = ["library"]  # a fixture

ROOT = Path(__file__).parents[2]
RUNBOOK = ROOT / "docs" / "runbook.md"
SECRET = "0f3c9a7be1d24568" * 2
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def headings() -> list[str]:
    return re.findall(r"^#{2,3} (.+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def named_alerts() -> set[str]:
    """Where the alerts are made: the cluster's rules, the cloud's alarms, the pipeline."""
    rules = (ROOT / "deploy/kubernetes/base/monitoring/rules.yaml").read_text()
    alarms = (ROOT / "deploy/terraform/alarms.tf").read_text()
    pipeline = "".join(path.read_text() for path in sorted((ROOT / "pipelines").glob("*.py")))
    return {
        *re.findall(r"- alert: (\w+)", rules),
        *re.findall(r"^    ([a-z-]+) = \{$", alarms, re.MULTILINE),
        "balancer-5xx",
        *re.findall(r'\bAlert\(\s*"(\w+)"', pipeline),
    }


def test_every_alert_has_its_section() -> None:
    found = named_alerts()
    assert len(found) > 20
    text = RUNBOOK.read_text(encoding="utf-8")
    told = set(headings()) | set(re.findall(r"Also told by .*? as \*\*(\w+)\*\*", text))
    assert found - told == set()


def test_every_link_inside_leads_somewhere() -> None:
    anchors = {anchor(heading) for heading in headings()}
    linked = set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK.read_text(encoding="utf-8")))
    assert len(linked) > 15
    assert linked - anchors == set()


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """`brs` of this checkout, whatever is installed."""
    folder = tmp_path / "tools"
    folder.mkdir()
    program = folder / "brs"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m brs "$@"\n')
    program.chmod(0o755)
    return folder


@pytest.mark.slow
def test_what_the_runbook_says_to_type_works(
    database_url: str, db: psycopg.Connection, library: Library, tools: Path, tmp_path: Path
) -> None:
    stays, erased = library.reader(), library.reader()
    library.rate(stays, library.book(), 5)
    (tmp_path / "erased.txt").write_text(f"{erased}\n{uuid.uuid4()}\n")
    known = psycopg.conninfo.conninfo_to_dict(database_url)
    name = str(known["dbname"])
    script = "\n".join(BLOCK.findall(RUNBOOK.read_text(encoding="utf-8")))
    script = script.replace("/backups", f"{tmp_path}/backups").replace("deploy/scripts", f"{ROOT}/deploy/scripts")
    # The databases of Dagster and MLflow are left out: a test of their own restores those.
    script = script.replace("backup --keep", "backup --databases brs --keep")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={
            "PATH": f"{tools}:{binaries()}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "BRS_HOME": str(tmp_path / "home"),
            "DATABASE_URL": database_url,
            "BRS_DAGSTER_DATABASE_URL": database_url,
            "BRS_MLFLOW_DATABASE_URL": database_url,
            "BRS_MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
            "BRS_SECRET_KEY": SECRET,
            **{f"PG{key.upper()}": str(known[key]) for key in ("host", "port", "user")},
            "PGDATABASE": name,
        },
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"; {key_id(SECRET)} verified as well" in done.stdout
    with connect(database_url, autocommit=True) as connection:
        assert connection.execute("SELECT id FROM users").fetchall() == [(stays,)]
        assert connection.execute("SELECT total_reviews FROM books").fetchall() == [(1,)]
        left = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (name,)).fetchall()
    assert left == [(name,)]
