"""The registry against a real MLflow store in a real Postgres."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from data.database import connect, sqlalchemy_url
from models import bundle
from models.registry import NothingToRollBackTo, NotPassed, Registry, RegistryUnavailable, UnknownVersion, Version

# MLflow's own use of what its libraries have deprecated is not ours to mend.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.xdist_group("mlflow")]


@pytest.fixture(scope="module")
def store(server_url: Callable[[str], str]) -> Iterator[str]:
    """Tracking URI of an MLflow store of this module's own; making its tables takes seconds, so it is made once."""
    name = f"mlflow_{uuid.uuid4().hex[:12]}"
    with connect(server_url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield sqlalchemy_url(server_url(name), "psycopg2").render_as_string(hide_password=False)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def registry(store: str, tmp_path: Path) -> Registry:
    return Registry(store, name=f"recommender-{uuid.uuid4().hex[:8]}", artifact_root=tmp_path / "with space")


@pytest.fixture
def folder(tmp_path: Path, some_world: dict[str, Any]) -> Path:
    bundle.save(tmp_path / "bundle", some_world, params={}, metrics={}, training_window=None)
    return tmp_path / "bundle"


def publish(registry: Registry, folder: Path, ndcg: float = 0.1) -> Version:
    return registry.store(folder, params={"factors": 6}, metrics={"ndcg_at_10": ndcg}, tags={"commit": "abc"})


def test_no_champion_yet_whether_nothing_was_stored_or_nothing_promoted(registry: Registry, folder: Path) -> None:
    """To MLflow these are two different errors."""
    assert registry.champion() is None
    assert registry.versions() == []
    publish(registry, folder)
    assert registry.champion() is None


def test_what_is_stored_can_be_promoted_downloaded_and_answered_from(
    registry: Registry, folder: Path, tmp_path: Path
) -> None:
    stored = publish(registry, folder, 0.125)
    assert (stored.version, stored.aliases, stored.metrics) == ("1", (), {"ndcg_at_10": 0.125})
    assert abs(stored.created_at - datetime.now(UTC)) < timedelta(minutes=5)
    promoted = registry.promote("1")
    assert promoted.aliases == ("champion",)
    assert registry.champion() == promoted
    copy = registry.download(promoted, tmp_path / "bundles")
    assert copy.parent == tmp_path / "bundles"
    assert bundle.load(copy).manifest == bundle.load(folder).manifest
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_a_copy_that_is_there_is_not_downloaded_again(registry: Registry, folder: Path, tmp_path: Path) -> None:
    stored = publish(registry, folder)
    first = registry.download(stored, tmp_path / "bundles")
    (first / "mark").touch()
    assert (registry.download(stored, tmp_path / "bundles") / "mark").exists()


def test_versions_come_newest_first_with_their_aliases(registry: Registry, folder: Path) -> None:
    for ndcg in (0.1, 0.2, 0.3):
        publish(registry, folder, ndcg)
    registry.promote("2")
    assert [(v.version, v.aliases, v.metrics["ndcg_at_10"]) for v in registry.versions()] == [
        ("3", (), 0.3),
        ("2", ("champion",), 0.2),
        ("1", (), 0.1),
    ]


def test_rollback_walks_back_through_the_champions(registry: Registry, folder: Path) -> None:
    for _ in range(3):
        publish(registry, folder)
    for version in ("1", "3", "3", "1", "2"):
        registry.promote(version)
    for version in ("1", "3", "1"):
        assert registry.rollback().version == version
        champion = registry.champion()
        assert champion is not None
        assert champion.version == version
    with pytest.raises(NothingToRollBackTo):
        registry.rollback()
    assert registry.champion() is not None


def test_rollback_passes_over_versions_that_were_deleted(registry: Registry, folder: Path) -> None:
    for _ in range(3):
        publish(registry, folder)
    for version in ("1", "2", "3"):
        registry.promote(version)
    registry._client.delete_model_version(registry.name, "2")
    assert registry.rollback().version == "1"


def test_rollback_from_an_alias_set_by_hand_goes_to_the_last_known_champion(registry: Registry, folder: Path) -> None:
    for _ in range(2):
        publish(registry, folder)
    registry.promote("1")
    registry._client.set_registered_model_alias(registry.name, "champion", "2")
    assert registry.rollback().version == "1"


def test_with_nothing_stored_there_is_nothing_to_roll_back_to(registry: Registry) -> None:
    with pytest.raises(NothingToRollBackTo):
        registry.rollback()


@pytest.mark.parametrize("version", ["9", "02", "latest", ""])
def test_what_does_not_exist_is_not_promoted(registry: Registry, folder: Path, version: str) -> None:
    with pytest.raises(UnknownVersion, match="has no version"):
        registry.promote(version)
    publish(registry, folder)
    with pytest.raises(UnknownVersion, match="has no version"):
        registry.promote(version)
    assert registry.champion() is None


def test_pictures_parameters_and_tags_are_kept_with_the_run(registry: Registry, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"picture")
    stored = registry.store(
        folder,
        params={"star_weights": [0, 1]},
        metrics={},
        tags={"commit": "abc"},
        pictures={"by history": tmp_path / "x.png"},
    )
    run = registry._client.get_run(stored.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"star_weights": "[0, 1]"}
    assert run.data.tags["commit"] == "abc"
    (picture,) = registry._client.list_artifacts(stored.run_id, "pictures")
    assert picture.path == "pictures/by history.png"


def test_a_run_that_could_not_be_stored_is_marked_as_failed_and_makes_no_version(
    registry: Registry, folder: Path
) -> None:
    with pytest.raises(RegistryUnavailable, match="a@b"):
        registry.store(folder, params={}, metrics={"a@b": 1.0}, tags={})
    assert registry.versions() == []
    experiment = registry._client.get_experiment_by_name(registry.name)
    assert experiment is not None
    (run,) = registry._client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:9",
        "postgresql+psycopg2://someone:secret@127.0.0.1:9/mlflow",
        "postgresql+psycopg2://someone:secret@/mlflow?host=/nonexistent",
    ],
)
def test_an_address_where_nobody_listens_is_noticed_at_once_and_told_without_the_password(uri: str) -> None:
    registry = Registry(uri)
    for ask in (registry.champion, registry.versions, registry.rollback, lambda: registry.promote("1")):
        with pytest.raises(RegistryUnavailable, match="does not answer") as unavailable:
            ask()
        assert "secret" not in str(unavailable.value)


def test_a_version_remembers_its_recipe_as_it_was_and_its_tags(registry: Registry, folder: Path) -> None:
    recipe: dict[str, Any] = {"recency": 0.7, "taste": {"ridge": 1.5, "weights": [1, 2]}, "blend": None}
    stored = registry.store(folder, params=recipe, metrics={}, tags={"gate.passed": "true"})
    assert stored.params == recipe
    assert stored.tags["gate.passed"] == "true"
    assert stored.passed


def test_the_latest_is_what_was_stored_last_whatever_was_promoted(registry: Registry, folder: Path) -> None:
    assert registry.latest() is None
    for _ in range(11):
        publish(registry, folder)
    registry.promote("2")
    latest = registry.latest()
    assert latest is not None
    assert latest.version == "11"


def test_a_challenger_stands_beside_the_champion_and_goes_again(registry: Registry, folder: Path) -> None:
    assert registry.challenger() is None
    registry.challenge(None)
    for _ in range(2):
        registry.store(folder, params={}, metrics={}, tags={"gate.passed": "true"})
    registry.promote("1")
    registry.challenge("2")
    challenger, champion = registry.challenger(), registry.champion()
    assert challenger is not None
    assert champion is not None
    assert (challenger.version, champion.version) == ("2", "1")
    assert [version.aliases for version in registry.versions()] == [("challenger",), ("champion",)]
    registry.challenge(None)
    registry.challenge(None)
    assert registry.challenger() is None


def test_what_the_gate_refused_or_never_saw_is_no_challenger(registry: Registry, folder: Path) -> None:
    publish(registry, folder)
    registry.store(folder, params={}, metrics={}, tags={"gate.passed": "false"})
    for version in ("1", "2"):
        with pytest.raises(NotPassed):
            registry.challenge(version)
    with pytest.raises(UnknownVersion):
        registry.challenge("3")
    assert registry.challenger() is None
