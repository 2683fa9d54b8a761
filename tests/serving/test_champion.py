"""Following the registry: pick up, refuse, keep, restart."""

import json
import threading
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import ARRAYS, BundleRefused
from models.engine import Engine
from models.reader import Because, Pick
from models.registry import Version
from models.taste import Taste
from serving.kit.metrics import Metrics
from serving.recommendations.champion import LAST_GOOD, Follower, rehearse
from tests.serving.conftest import FakeRegistry, Library, Start, two_tastes
from tests.serving.test_recommendations import eventually, has_model

BOOKS = [uuid.UUID(int=place + 1) for place in range(20)]


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    return tmp_path / "bundles"


@pytest.fixture
def follower(registry: FakeRegistry, bundles: Path) -> Follower:
    return Follower(registry, bundles, Metrics(), poll_seconds=0.05)


def version(follower: Follower) -> str | None:
    return follower.current.name.version if follower.current else None


def test_a_new_champion_answers_without_a_restart(start: Start, library: Library, registry: FakeRegistry) -> None:
    service = start()
    books = library.books(6)
    shown = {"ratings": [{"book_id": str(books[0]), "rating": 5}], "limit": 1}
    assert service.post("/recommendations/preview", json=shown).json()["data"]["model"] is None
    registry.promote("1", two_tastes(books))
    eventually(has_model(service))
    first = service.post("/recommendations/preview", json=shown).json()["data"]
    assert (first["model"]["version"], first["recommendations"][0]["id"]) == ("1", str(books[2]))
    registry.promote("2", two_tastes([books[0], books[1], books[5], books[3], books[4], books[2]]))
    eventually(has_model(service, "2"))
    second = service.post("/recommendations/preview", json=shown).json()["data"]
    assert (second["model"]["version"], second["recommendations"][0]["id"]) == ("2", str(books[5]))
    numbers = service.client.get("/metrics").text
    assert 'brs_model_info{name="brs-recommender",version="2"} 1.0' in numbers
    assert 'brs_model_info{name="brs-recommender",version="1"} 0.0' in numbers


def test_two_looks_at_once_fetch_and_rehearse_a_bundle_once(
    follower: Follower, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.promote("1", two_tastes(BOOKS))
    download, begun, go_on = registry.download, threading.Event(), threading.Event()

    def slowly(of: Version, into: Path) -> Path:
        begun.set()
        assert go_on.wait(10)
        return download(of, into)

    monkeypatch.setattr(registry, "download", slowly)
    looks = [threading.Thread(target=follower.poll, args=(registry,)) for _ in range(2)]
    looks[0].start()
    assert begun.wait(10)
    looks[1].start()
    go_on.set()
    for look in looks:
        look.join(10)
    assert (version(follower), registry.downloads) == ("1", 1)


def test_a_rollback_is_followed_from_the_folder_without_a_download(follower: Follower, registry: FakeRegistry) -> None:
    first = registry.promote("1", two_tastes(BOOKS))
    follower.poll(registry)
    registry.promote("2", two_tastes(BOOKS))
    follower.poll(registry)
    registry.alias = first
    follower.poll(registry)
    assert (version(follower), registry.downloads) == ("1", 2)


def damaged(folder: Path) -> None:
    arrays = folder / ARRAYS
    arrays.write_bytes(arrays.read_bytes()[:-50])


def without_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def of_another_schema(folder: Path) -> None:
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema_version": 999}))


@pytest.mark.parametrize("spoil", [damaged, without_manifest, of_another_schema])
def test_a_bad_bundle_is_refused_and_the_last_good_one_stays(
    follower: Follower, registry: FakeRegistry, bundles: Path, spoil: object
) -> None:
    registry.promote("1", two_tastes(BOOKS))
    follower.poll(registry)
    registry.spoil = spoil  # type: ignore[assignment]  # one of the three above
    registry.promote("2", two_tastes(BOOKS))
    follower.poll(registry)
    follower.poll(registry)
    assert version(follower) == "1"
    assert registry.downloads == 2, "a refused bundle is not fetched again at every poll"
    assert json.loads((bundles / LAST_GOOD).read_text())["version"] == "1"
    registry.spoil = lambda _: None
    registry.promote("3", two_tastes(BOOKS))
    follower.poll(registry)
    assert version(follower) == "3"


def test_a_model_that_recommends_nothing_fails_the_rehearsal() -> None:
    arrays = two_tastes(BOOKS)
    rehearse(Engine(Taste(arrays)))
    silent = {**arrays, "item_factors": np.zeros((20, 2), dtype=np.float32)}
    with pytest.raises(BundleRefused):
        rehearse(Engine(Taste(silent)))


def broken(**told: Any) -> Any:  # noqa: ANN401  what ``Engine`` answers
    """Picks that no reader may see."""
    return lambda *_: [Pick(**{"book_id": BOOKS[1], "score": 0.5, "source": "taste", **one}) for one in told["picks"]]


@pytest.mark.parametrize(
    "picks",
    [
        [{"score": float("nan")}],
        [{"score": float("inf")}],
        [{"score": 1.5}],
        [{}, {}],
        [{}, {"book_id": BOOKS[2], "score": 0.6}],
        [{"book_id": BOOKS[0]}],
        [{"because": (Because(BOOKS[0], 1.5),)}],
        [{"because": (Because(BOOKS[0], float("nan")),)}],
    ],
    ids=["not a number", "infinite", "above 1", "repeated", "rising", "rated", "share above 1", "share not a number"],
)
@pytest.mark.parametrize(
    "asked", ["models.engine.Varied.picks", "models.engine.Engine.similar_to", "models.engine.Engine.starting"]
)
def test_unsound_picks_fail_the_rehearsal(
    monkeypatch: pytest.MonkeyPatch, picks: list[dict[str, Any]], asked: str
) -> None:
    monkeypatch.setattr(asked, broken(picks=picks))
    with pytest.raises(BundleRefused, match="rehearsal"):
        rehearse(Engine(Taste(two_tastes(BOOKS))))


def test_a_registry_that_is_down_changes_nothing(follower: Follower, registry: FakeRegistry) -> None:
    registry.promote("1", two_tastes(BOOKS))
    follower.poll(registry)
    registry.is_down = True
    follower.poll(registry)
    assert version(follower) == "1"


def test_the_service_starts_with_the_last_good_bundle_when_the_registry_is_down(
    start: Start, library: Library, registry: FakeRegistry, follower: Follower
) -> None:
    books = library.books(6)
    registry.promote("7", two_tastes(books))
    follower.poll(registry)
    registry.is_down = True
    service = start()
    shown = {"ratings": [{"book_id": str(books[0]), "rating": 5}]}
    assert service.post("/recommendations/preview", json=shown).json()["data"]["model"]["version"] == "7"


@pytest.mark.parametrize(
    "note", ["", "[]", "{}", '{"name": "x", "version": "1", "run_id": "r", "folder": "../../etc"}']
)
def test_a_damaged_note_of_the_last_good_bundle_is_no_reason_not_to_start(
    registry: FakeRegistry, bundles: Path, note: str
) -> None:
    bundles.mkdir()
    (bundles / LAST_GOOD).write_text(note)
    registry.promote("1", two_tastes(BOOKS))
    follower = Follower(registry, bundles, Metrics(), poll_seconds=0.05)
    with follower.following():
        eventually(lambda: version(follower) == "1")


def test_taking_the_alias_away_retires_the_model(follower: Follower, registry: FakeRegistry, bundles: Path) -> None:
    registry.promote("1", two_tastes(BOOKS))
    follower.poll(registry)
    registry.alias = None
    follower.poll(registry)
    assert follower.current is None
    assert not (bundles / LAST_GOOD).exists()


def test_several_workers_share_one_folder(registry: FakeRegistry, bundles: Path) -> None:
    registry.promote("1", two_tastes(BOOKS))
    workers = [Follower(registry, bundles, Metrics(), poll_seconds=1) for _ in range(4)]
    workers[0].poll(registry)
    threads = [threading.Thread(target=worker.poll, args=(registry,)) for worker in workers[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [version(worker) for worker in workers] == ["1"] * 4
    assert registry.downloads == 1


def test_old_bundles_are_removed_but_for_a_few(follower: Follower, registry: FakeRegistry, bundles: Path) -> None:
    for number in range(1, 7):
        registry.promote(str(number), two_tastes(BOOKS))
        follower.poll(registry)
    kept = {folder.name for folder in bundles.iterdir() if folder.is_dir()}
    assert kept == {"4-run4", "5-run5", "6-run6"}


def test_a_full_disk_does_not_keep_a_good_bundle_from_answering(
    follower: Follower, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Follower, "_remember", full)
    registry.promote("1", two_tastes(BOOKS))
    follower.poll(registry)
    assert version(follower) == "1"
