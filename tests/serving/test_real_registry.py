"""The service follows MLflow itself: publish, promote, roll back, lose the registry, restart."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from data.database import sqlalchemy_url
from models import bundle
from models.registry import Registry
from tests.serving.conftest import Library, Running, Service, two_tastes
from tests.serving.test_recommendations import eventually, has_model

# MLflow's own use of what its libraries have deprecated is not ours to mend.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.xdist_group("mlflow"),
    pytest.mark.slow,
]


def test_champions_come_and_go_through_mlflow(
    running: Running, library: Library, clone: Callable[[str | None], str], tmp_path: Path
) -> None:
    uri = sqlalchemy_url(clone(None), "psycopg2").render_as_string(hide_password=False)
    registry = Registry(uri, artifact_root=tmp_path / "artifacts")
    books = library.books(8)

    def publish(order: list[uuid.UUID]) -> None:
        folder = tmp_path / uuid.uuid4().hex
        bundle.save(folder, two_tastes(order), params={}, metrics={}, training_window=None)
        registry.promote(registry.store(folder, params={}, metrics={}, tags={}).version)

    def first(service: Service) -> str:
        shown = {"ratings": [{"book_id": str(books[0]), "rating": 5}], "limit": 1}
        answer = service.post("/recommendations/preview", json=shown).json()["data"]
        return str(answer["recommendations"][0]["id"])

    publish(books)
    with running({"registry": None, "tracking_uri": uri}) as service:
        eventually(has_model(service, "1"), 20)
        assert first(service) == str(books[2])
        publish([books[0], books[1], books[6], *books[3:6], books[2], books[7]])
        eventually(has_model(service, "2"), 20)
        assert first(service) == str(books[6])
        registry.rollback()
        eventually(has_model(service, "1"), 20)
        assert first(service) == str(books[2])
    with running({"registry": None, "tracking_uri": "http://127.0.0.1:9"}) as service:
        assert first(service) == str(books[2])
