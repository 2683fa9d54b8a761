"""The model registry as the service finds it where nobody has set an address: in a database that may still be empty."""

from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from data.database import Databases, connect
from data.settings import StateSettings
from models.registry import RegistryUnavailable, Version
from serving import server
from serving.recommendations.registry import RegistryInDatabase
from tests.serving.conftest import START

CHAMPION = Version("brs-recommender", "3", "run3", START, ("champion",), {})


class Mlflow:
    """What stands for MLflow's own client: it would make its tables if it were asked."""

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri

    def champion(self) -> Version:
        return CHAMPION

    def download(self, version: Version, into: Path) -> Path:
        return into / version.version


@pytest.fixture
def url(clone: Callable[[str | None], str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("serving.recommendations.registry.Registry", Mlflow)
    return clone(None)


def test_an_empty_database_has_no_champion_and_stays_empty(url: str) -> None:
    registry = RegistryInDatabase("postgresql+psycopg2://unused", url)
    assert registry.champion() is None
    with connect(url) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (0,)


def test_the_champion_is_found_once_the_tables_are_there_and_then_they_are_not_looked_for_again(url: str) -> None:
    registry = RegistryInDatabase("postgresql+psycopg2://unused", url)
    assert registry.champion() is None
    with connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE registered_model_aliases (alias text)")
        assert registry.champion() == CHAMPION
        connection.execute("DROP TABLE registered_model_aliases")
    assert registry.champion() == CHAMPION
    assert registry.download(CHAMPION, Path("bundles")) == Path("bundles/3")


def test_a_database_that_is_away_is_a_registry_that_is_away_and_names_no_secret() -> None:
    away = "postgresql://brs:hush@127.0.0.1:9/mlflow"
    with pytest.raises(RegistryUnavailable, match="does not answer") as refusal:
        RegistryInDatabase("postgresql+psycopg2://unused", away).champion()
    assert "hush" not in str(refusal.value)


def test_without_mlflow_s_driver_there_is_no_registry_and_a_line_says_what_to_set(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases = Databases(url, url, url)
    assert isinstance(server._registry_in_database(StateSettings(), databases), RegistryInDatabase)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with structlog.testing.capture_logs() as lines:
        assert server._registry_in_database(StateSettings(), databases) is None
    assert ["BRS_MLFLOW_TRACKING_URI" in line["event"] for line in lines] == [True]
