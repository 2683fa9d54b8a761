"""The code location as other processes load it: the Dagster page, its daemon, and the tools that check it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data.database import migrate, opened
from data.lake import TABLES
from data.settings import StateSettings
from pipelines.environment import dagster_environment

ROOT = Path(__file__).parents[2]
IMPORT_ALL = """
import pkgutil, sys, {room}
for module in pkgutil.walk_packages({room}.__path__, "{room}."):
    if not module.name.startswith("data.migrations."):  # Alembic's own, run by it
        __import__(module.name)
print(sum(name.startswith("{room}.") for name in sys.modules), "dagster" in sys.modules)
"""


def ask(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    here = Path(sys.executable).parent
    program = shutil.which(command[0], path=str(here))
    if program is None:
        pytest.skip(f"{command[0]} is not installed in this environment")
    return subprocess.run(
        [program, *command[1:]],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{here}:{os.environ['PATH']}", "DAGSTER_DISABLE_TELEMETRY": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize("room", ["data", "models"])
def test_no_module_of_a_room_below_imports_dagster(room: str) -> None:
    result = ask("python", "-c", IMPORT_ALL.format(room=room))

    assert result.returncode == 0, result.stderr
    seen, dagster = result.stdout.split()
    assert int(seen) > 10
    assert dagster == "False"


@pytest.mark.slow
def test_dagster_finds_the_definitions_valid(tmp_path: Path) -> None:
    result = ask("dagster", "definitions", "validate", "-w", "workspace.yaml", DAGSTER_HOME=str(tmp_path))

    assert result.returncode == 0, result.stdout + result.stderr
    assert "Validation successful for code location pipelines" in result.stdout + result.stderr


@pytest.mark.slow
def test_dg_finds_the_definitions_valid(tmp_path: Path) -> None:
    result = ask("dg", "check", "defs", DAGSTER_HOME=str(tmp_path))

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_a_run_that_dagster_starts_joins_the_embedded_postgres_by_itself(tmp_path: Path) -> None:
    settings = StateSettings(home=tmp_path / "state of brs")
    with opened(settings) as databases:
        migrate(databases.brs)
        environment = dagster_environment(settings, databases)
        materialize = ("dagster", "asset", "materialize", "-m", "pipelines.definitions", "--select", "group:extract")
        result = ask(*materialize, **environment)

    assert result.returncode == 0, result.stdout + result.stderr
    assert all((settings.lake / f"{name}.parquet").exists() for name in TABLES)
