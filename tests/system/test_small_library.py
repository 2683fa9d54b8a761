"""The operator's commands on a small generated library: load, learn, look, promote, roll back, export."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import psycopg
import pytest

from data.database import Databases

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_operator_s_day(databases: Databases, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "BRS_HOME": str(tmp_path / "home"),
        "DATABASE_URL": databases.brs,
        "BRS_DAGSTER_DATABASE_URL": databases.dagster,
        "BRS_MLFLOW_DATABASE_URL": databases.mlflow,
    }

    def brs(*arguments: str, fails: bool = False) -> str:
        command = [sys.executable, "-m", "brs", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    assert "New: " in brs("load", "generate", "--readers", "400", "--books", "150", "--ratings", "9000")
    assert "brs pipeline run" in brs("doctor", fails=True)
    assert "brs pipeline run" in brs("recommend", a_reader(databases), fails=True)
    assert "promoted: NDCG@10" in brs("pipeline", "run")
    assert "no asset is called" in brs("pipeline", "run", "--select", "nonsense", fails=True)
    brs("pipeline", "run", "--select", "champion")
    newest, older = json.loads(brs("models", "list", "--json"))
    assert (newest["version"], newest["aliases"], older["aliases"]) == ("2", ["champion"], [])
    assert "Version 1 is the champion again" in brs("models", "rollback")
    assert "champion before" in brs("models", "rollback", fails=True)
    assert json.loads(brs("models", "promote", "2", "--json"))["aliases"] == ["champion"]
    for nonsense in ("3", "02", "two"):
        assert "no version" in brs("models", "promote", nonsense, fails=True)
    assert "Version 1 is the challenger" in brs("models", "challenger", "1")
    assert [line.split()[-2:] for line in brs("models", "list").splitlines()] == [
        ["passed", "champion"],
        ["passed", "challenger"],
    ]
    assert "no version" in brs("models", "challenger", "3", fails=True)
    assert "no challenger" in brs("models", "challenger", "none")
    assert "No reader was shown anything" in brs("report", "online")
    listed = brs("recommend", a_reader(databases), "--limit", "3")
    assert listed.splitlines()[0].startswith("  1. ")
    assert "because of" in listed
    assert "BAD" not in brs("doctor")
    looked = brs("report", "weeks", "--last", "1").splitlines()
    assert "past_evaluation" in looked[0]
    assert looked[-1].startswith("| 20")
    out = tmp_path / "library.duckdb"
    assert "9,000 ratings" in brs("export", "--out", str(out))
    with duckdb.connect(out, read_only=True) as export:
        assert export.execute("SELECT count(*) FROM ratings").fetchone() == (9000,)
    assert "cannot write" in brs("export", "--out", "/proc/library.duckdb", fails=True)


def a_reader(databases: Databases) -> str:
    with psycopg.connect(databases.brs) as connection:
        row = connection.execute(
            "SELECT email FROM users JOIN reviews ON user_id = users.id WHERE rating = 5"
            " GROUP BY users.id HAVING count(*) BETWEEN 3 AND 30 ORDER BY count(*) DESC, email LIMIT 1"
        ).fetchone()
    assert row is not None
    return str(row[0])


def test_several_processes_may_ask_an_empty_registry_at_once(
    clone: Callable[[str | None], str], databases: Databases, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "BRS_HOME": str(tmp_path / "home"),
        "DATABASE_URL": databases.brs,
        "BRS_DAGSTER_DATABASE_URL": databases.dagster,
        "BRS_MLFLOW_DATABASE_URL": clone(None),
    }
    command = [sys.executable, "-m", "brs", "migrate"]
    started = [subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in started] == [(b"", 0)] * 3
