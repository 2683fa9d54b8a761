"""`brs pipeline run` as a whole: real Postgres, MLflow and Dagster storage."""

import datetime as dt
import os
import random
import signal
import stat
from pathlib import Path
from uuid import UUID, uuid5

import dagster as dg
import duckdb
import psycopg
import pytest

from data.database import Databases, connect, tracking_uri
from data.lake import TABLES
from data.settings import StateSettings
from models import bundle
from models.registry import Registry
from pipelines.alerts import Alert, logged
from pipelines.environment import dagster_environment
from pipelines.resources import exclusive
from pipelines.run import CPU_SECONDS, PEAK_BYTES, PipelineBusy, UnknownAsset, run

SPACE = UUID(int=0)
TASTES, BOOKS_OF_TASTE, READERS, RATED = 4, 12, 80, 9
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def quiet(asset: str, what: str, detail: str) -> None:
    """For runs whose progress is nobody's business."""


def add_library(connection: psycopg.Connection) -> None:
    for number in range(TASTES * BOOKS_OF_TASTE):
        connection.execute(
            "INSERT INTO books (id, title, author, title_key, author_key, description)"
            " VALUES (%s, %s, %s, 't', 'a', 'A book.')",
            (book(number), f"Book {number}", f"Author {number % TASTES}"),
        )
    for taste in range(TASTES):
        genre = uuid5(SPACE, f"genre {taste}")
        connection.execute(
            "INSERT INTO genres (id, name, name_key) VALUES (%s, %s, %s)", (genre, f"G{taste}", f"g{taste}")
        )
        for number in range(taste, TASTES * BOOKS_OF_TASTE, TASTES):
            connection.execute("INSERT INTO book_genres VALUES (%s, %s)", (book(number), genre))
    for number in range(READERS):
        connection.execute(
            "INSERT INTO users (id, email, first_name, last_name) VALUES (%s, %s, 'F', 'L')",
            (uuid5(SPACE, f"reader {number}"), f"{number}@readers.test"),
        )


def book(number: int) -> UUID:
    return uuid5(SPACE, f"book {number}")


def rate(connection: psycopg.Connection, *, by_taste: bool) -> None:
    """Every reader rates nine books: of their taste, so that the next is easily guessed; or any, so that nobody can."""
    rng = random.Random(3)
    connection.execute("DELETE FROM reviews")
    for number in range(READERS):
        shelf = range(number % TASTES, TASTES * BOOKS_OF_TASTE, TASTES) if by_taste else range(TASTES * BOOKS_OF_TASTE)
        for order, choice in enumerate(rng.sample(shelf, RATED)):
            connection.execute(
                "INSERT INTO reviews (user_id, book_id, rating, created_at) VALUES (%s, %s, %s, %s)",
                (uuid5(SPACE, f"reader {number}"), book(choice), rng.choice([4, 5]), START + dt.timedelta(days=order)),
            )


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # MLflow itself uses what other libraries deprecate
def test_a_pipeline_promotes_what_is_better_than_popularity_and_refuses_what_is_not(
    databases: Databases, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = StateSettings(home=tmp_path / "state of brs")
    happened: list[tuple[str, str]] = []
    failed: list[str] = []

    def listen(asset: str, what: str, detail: str) -> None:
        happened.append((asset, what))
        failed.extend([detail] if what == "failed" else [])

    with connect(databases.brs, autocommit=True) as connection:
        add_library(connection)
        rate(connection, by_taste=True)
        assert run(settings, databases, on_event=listen), failed
        assert tuple(capfd.readouterr()) == ("", "")

        registry = Registry(tracking_uri(settings, databases), artifact_root=settings.mlflow_artifacts)
        first = registry.champion()
        assert first is not None
        assert first.metrics["gain_ndcg_at_10_low"] > 0
        assert {"snapshot", "gate.rule", "mlflow.source.git.commit"} <= set(first.tags)
        assert first.params["factors"]
        assert first.metrics["ndcg_at_10_low"] < first.metrics["ndcg_at_10"] < first.metrics["ndcg_at_10_high"]
        published = bundle.load(registry.download(first, tmp_path / "downloads"))
        assert published.manifest.book_count == TASTES * BOOKS_OF_TASTE
        assert published.manifest.metrics == pytest.approx(first.metrics)
        statistics = connection.execute("SELECT count(*) FROM book_statistics").fetchone()
        assert statistics == (TASTES * BOOKS_OF_TASTE,)
        with duckdb.connect(settings.exports / "brs.duckdb", read_only=True) as analyst:
            assert analyst.execute("SELECT count(*) FROM ratings").fetchone() == (READERS * RATED,)

        capfd.readouterr()  # downloading shows a bar
        rate(connection, by_taste=False)
        assert run(settings, databases, on_event=quiet)
        assert tuple(capfd.readouterr()) == ("", "")
        assert registry.champion() == first
        assert [version.aliases for version in registry.versions()] == [(), ("champion",)]

    assets = {asset for asset, _ in happened}
    assert {"ratings", "rating_aggregates", "book_statistics", "taste_model", "champion", "export"} <= assets
    assert all([what for asset, what in happened if asset == one] == ["started", "done"] for one in assets)
    with recorded(settings, databases) as instance:
        assert [one.status for one in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS] * 2
        assert all(float(one.tags[CPU_SECONDS]) > 0 and int(one.tags[PEAK_BYTES]) > 1e8 for one in instance.get_runs())
        for asset in assets:  # each tells in figures what it made, in tables or pictures what is in it
            event = instance.get_latest_materialization_event(dg.AssetKey(asset))
            assert event is not None, asset
            assert event.asset_materialization is not None, asset
            assert event.asset_materialization.metadata, asset
        event = instance.get_latest_materialization_event(dg.AssetKey("champion"))
        assert event is not None
        assert event.asset_materialization is not None
        told = event.asset_materialization.metadata
        assert told["promoted"].value is False
        assert "not surely better" in str(told["decision"].value)


def recorded(settings: StateSettings, databases: Databases) -> dg.DagsterInstance:
    """Dagster's memory as its page would open it: through the environment and the file that were written for it."""
    for name, value in dagster_environment(settings, databases).items():
        os.environ[name] = value
    return dg.DagsterInstance.get()


def test_a_second_run_is_refused_in_one_line_that_names_the_first(databases: Databases, tmp_path: Path) -> None:
    settings = StateSettings(home=tmp_path)
    with (
        exclusive(settings.home, wait=False),
        pytest.raises(PipelineBusy, match=rf"under way \(process {os.getpid()}\)"),
    ):
        run(settings, databases, on_event=quiet)
    with exclusive(settings.home, wait=False):
        pass


@pytest.mark.parametrize("words", ["champoin", "group:nothing", "ratings and ("])
def test_a_selection_of_nothing_is_refused_in_one_line_that_lists_what_there_is(
    databases: Databases, tmp_path: Path, words: str
) -> None:
    with pytest.raises(UnknownAsset, match=r"there are .*book_genres, book_statistics, .*taste_model") as refused:
        run(StateSettings(home=tmp_path), databases, select=[words], on_event=quiet)
    assert "\n" not in str(refused.value)


def test_what_fails_is_said_and_the_run_has_not_passed(
    databases: Databases, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts: list[Alert] = []
    monkeypatch.setattr("pipelines.run.listeners", lambda _: [logged, alerts.append])
    settings = StateSettings(home=tmp_path)
    happened: list[tuple[str, str, str]] = []

    assert not run(settings, databases, select=["export"], on_event=lambda *event: happened.append(event))

    assert [event[:2] for event in happened] == [("export", "started"), ("export", "failed")]
    assert "run `brs pipeline run`" in happened[1][2]
    (alert,) = alerts
    assert (alert.name, alert.facts["job"]) == ("run_failed", "refresh")
    assert happened[1][2] in alert.said
    told = (settings.logs / "pipeline.log").read_text()
    assert "LakeUnreadable" in told
    assert '"alert": "run_failed"' in told
    assert tuple(capfd.readouterr()) == ("", "")


def test_a_part_of_what_is_extracted_together_selects_the_whole(databases: Databases, tmp_path: Path) -> None:
    done: list[str] = []

    assert run(
        StateSettings(home=tmp_path),
        databases,
        select=["books"],
        on_event=lambda asset, what, _: done.append(asset) if what == "done" else None,
    )
    assert sorted(done) == sorted(TABLES)


def test_ctrl_c_ends_the_run_as_ctrl_c_and_leaves_the_callers_signals_and_its_lock(
    databases: Databases, tmp_path: Path
) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    happened: list[tuple[str, str]] = []

    def press_ctrl_c(asset: str, what: str, detail: str) -> None:
        happened.append((what, detail))
        if what == "started":
            signal.raise_signal(signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            run(StateSettings(home=tmp_path), databases, select=["export"], on_event=press_ctrl_c)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)

    assert happened == [("started", ""), ("failed", "interrupted")]
    with exclusive(tmp_path, wait=False):
        pass


def test_the_environment_of_the_dagster_page_holds_the_secrets_and_its_file_none(tmp_path: Path) -> None:
    url = "postgresql://brs:s3cret-word@db.example:5432"
    settings = StateSettings(home=tmp_path, database_url=f"{url}/brs")
    environment = dagster_environment(settings, Databases(f"{url}/brs", f"{url}/dagster", f"{url}/mlflow"))

    written = (settings.dagster_home / "dagster.yaml").read_text()
    assert environment["DAGSTER_HOME"] == str(settings.dagster_home)
    assert environment["BRS_DAGSTER_STORAGE_URL"] == url.replace("postgresql", "postgresql+psycopg2") + "/dagster"
    assert environment["BRS_MLFLOW_DATABASE_URL"] == f"{url}/mlflow"
    assert "s3cret-word" not in written
    assert "BRS_DAGSTER_STORAGE_URL" in written
    assert stat.S_ISREG((settings.dagster_home / "dagster.yaml").stat().st_mode)


def test_with_an_embedded_postgres_the_page_finds_it_by_the_home_folder_alone(tmp_path: Path) -> None:
    settings = StateSettings(home=tmp_path)
    environment = dagster_environment(settings, Databases("postgresql:///a", "postgresql:///b", "postgresql:///c"))

    assert environment["BRS_HOME"] == str(tmp_path)
    assert "DATABASE_URL" not in environment
