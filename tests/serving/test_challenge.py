"""Two models beside each other: who is answered by which, and what the pages say."""

import uuid
from pathlib import Path

import pytest

from serving.kit.metrics import Metrics
from serving.recommendations.challenge import Followed, place
from serving.recommendations.champion import CHALLENGER, Follower
from tests.serving.conftest import FakeRegistry, Library, Start, two_tastes
from tests.serving.test_recommendations import eventually, has_model

BOOKS = [uuid.UUID(int=number + 1) for number in range(20)]
READERS = [uuid.uuid5(uuid.NAMESPACE_URL, f"reader {number}") for number in range(2_000)]


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    return tmp_path / "bundles"


@pytest.fixture
def followers(registry: FakeRegistry, bundles: Path) -> tuple[Follower, Follower]:
    metrics = Metrics()
    return Follower(registry, bundles, metrics, 1), Follower(registry, bundles, metrics, 1, CHALLENGER)


def poll(followers: tuple[Follower, Follower], registry: FakeRegistry) -> None:
    for follower in followers:
        follower.poll(registry)


def who(followed: Followed, reader: uuid.UUID | None) -> str | None:
    found = followed.of(reader)
    return found.name.version if found is not None else None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_share_of_the_readers_is_answered_by_the_challenger_and_always_the_same_ones(
    followers: tuple[Follower, Follower], registry: FakeRegistry, share: float
) -> None:
    registry.promote("1", two_tastes(BOOKS))
    registry.challenge("2", two_tastes(BOOKS))
    poll(followers, registry)
    followed = Followed(*followers, share)

    answered = [who(followed, reader) for reader in READERS]

    assert answered.count("2") / len(READERS) == pytest.approx(share, abs=0.03)
    assert answered == [who(Followed(*followers, share), reader) for reader in READERS]
    larger = Followed(*followers, min(1.0, share + 0.2))
    assert all(who(larger, reader) == "2" for reader, one in zip(READERS, answered, strict=True) if one == "2")


def test_a_reader_s_place_is_the_same_in_every_process() -> None:
    assert place(uuid.UUID(int=1)) == pytest.approx(0.80132516, abs=1e-8)


def test_who_is_not_signed_in_is_answered_by_the_champion(
    followers: tuple[Follower, Follower], registry: FakeRegistry
) -> None:
    registry.promote("1", two_tastes(BOOKS))
    registry.challenge("2", two_tastes(BOOKS))
    poll(followers, registry)

    assert who(Followed(*followers, 1.0), None) == "1"


def test_without_a_challenger_the_champion_answers_everybody(
    followers: tuple[Follower, Follower], registry: FakeRegistry
) -> None:
    registry.promote("1", two_tastes(BOOKS))
    registry.challenge("2", two_tastes(BOOKS))
    poll(followers, registry)
    registry.beside = None
    poll(followers, registry)

    assert who(Followed(*followers, 1.0), READERS[0]) == "1"


def test_a_damaged_challenger_is_refused_and_the_champion_answers(
    followers: tuple[Follower, Follower], registry: FakeRegistry
) -> None:
    registry.promote("1", two_tastes(BOOKS))
    poll(followers, registry)
    registry.spoil = lambda folder: (folder / "manifest.json").unlink()
    registry.challenge("2", two_tastes(BOOKS))
    poll(followers, registry)

    assert who(Followed(*followers, 1.0), READERS[0]) == "1"


def test_new_champions_do_not_remove_the_challenger_s_bundle(
    followers: tuple[Follower, Follower], registry: FakeRegistry, bundles: Path
) -> None:
    registry.challenge("1", two_tastes(BOOKS))
    for version in ("2", "3", "4", "5", "6"):
        registry.promote(version, two_tastes(BOOKS))
        poll(followers, registry)

    assert (bundles / "1-run1").exists()
    assert not (bundles / "2-run2").exists()
    registry.is_down = True
    restarted = Follower(registry, bundles, Metrics(), 1, CHALLENGER)
    with restarted.following():
        assert restarted.current is not None
        assert restarted.current.name.version == "1"


def test_the_page_names_the_model_that_answered(start: Start, library: Library, registry: FakeRegistry) -> None:
    books = library.books(6)
    registry.promote("1", two_tastes(books))
    registry.challenge("2", two_tastes(books))
    service = start(challenger_share=0.5)
    eventually(has_model(service))
    eventually(lambda: service.app.state.engine.follower.of(uuid.UUID(int=0)) is not None)
    eventually(lambda: {who(service.app.state.engine.follower, one) for one in READERS[:50]} == {"1", "2"})
    answered = {}
    for number in range(8):
        headers, reader = service.signed_in(f"reader-{number}@example.org")
        path = f"/books/{books[0]}/reviews"
        assert service.post(path, json={"rating": 5}, headers=headers).status_code == 201
        data = service.get("/recommendations/personal", headers=headers).json()["data"]
        answered[data["page_id"]] = "2" if place(reader) < 0.5 else "1"
        assert data["model"]["version"] == answered[data["page_id"]]
    eventually(lambda: library.run("SELECT count(*) FROM served_pages") == [(8,)])
    assert dict(library.run("SELECT id::text, model_version FROM served_pages")) == answered
