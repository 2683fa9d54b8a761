"""Where the state lies."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from data.settings import StateSettings


def test_everything_lies_under_the_home(tmp_path: Path) -> None:
    settings = StateSettings(home=tmp_path)
    folders = {
        settings.lake, settings.bundles, settings.logs, settings.dagster_home, settings.mlflow_artifacts,
        settings.exports,
    }  # fmt: skip
    assert {folder.name for folder in folders} == {"lake", "bundles", "logs", "dagster", "mlflow", "exports"}
    assert {folder.parent for folder in folders} == {tmp_path}


def test_files_of_runs_go_to_a_server_that_is_named_and_under_the_home_otherwise(tmp_path: Path) -> None:
    assert StateSettings(home=tmp_path).artifact_root == tmp_path / "mlflow"
    assert StateSettings(home=tmp_path, mlflow_tracking_uri="http://mlflow:5000").artifact_root is None


def test_the_home_is_absolute_wherever_a_process_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert StateSettings(home=Path("here")).home == tmp_path / "here"
    assert StateSettings(home=Path("~/there")).home == tmp_path / "me" / "there"


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "BRS_HOME", "BRS_MLFLOW_TRACKING_URI", "BRS_ENGINE"):
        monkeypatch.setenv(name, "")
    settings = StateSettings()
    assert (settings.database_url, settings.mlflow_tracking_uri, settings.engine) == (None, None, "local")
    assert settings.home.name == ".brs"


def test_an_engine_that_nobody_has_is_refused() -> None:
    with pytest.raises(ValidationError, match="engine"):
        StateSettings.model_validate({"engine": "abacus"})
