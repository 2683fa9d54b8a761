"""`kill -9` in the middle of each asset: nothing half done is ever seen, and a repeat comes to the same result."""

import datetime as dt
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

import duckdb
import pytest

from data.database import Databases, connect, tracking_uri
from data.lake import TABLES
from data.settings import StateSettings
from models import bundle
from models.registry import Registry

ROOT = Path(__file__).parents[2]
TASTES, BOOKS, READERS = 4, 48, 80
MADE_TOGETHER = {*TABLES, "author_statistics", "daily_activity"} - {"ratings"}  # with one that is killed
# One process imports what takes seconds, and each run is a fork of it: it has no threads yet, and starts none itself.
# A run is killed by a timer that an asset's beginning sets; one that is done before is killed when it says so.
PROGRAM = """
import json, os, signal, sys, threading, time, traceback
from pathlib import Path
from data.database import Databases
from data.settings import StateSettings
# What runs would import one by one:
import implicit.als, matplotlib.figure, sklearn.ensemble
import mlflow.store.model_registry.sqlalchemy_store, mlflow.store.tracking.sqlalchemy_store
from pipelines import run as pipeline

settings, databases = StateSettings(home=Path(sys.argv[1])), Databases(**json.loads(sys.argv[2]))
timings = Path(sys.argv[3])

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def measured():
    began, took = {}, {}
    def listen(asset, what, detail):
        if what == "failed":
            print(asset, detail, file=sys.stderr)
        if what == "started":
            began[asset] = time.monotonic()
        elif asset in began:
            took[asset] = time.monotonic() - began[asset]
    return listen, took

def forked(work):
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def whole():
    listen, took = measured()
    passed = pipeline.run(settings, databases, on_event=listen)
    timings.write_text(json.dumps(took))
    return 0 if passed else 1

def killed(asset, after):
    def listen(one, what, detail):
        if one == asset and what == "started":
            timer = threading.Timer(after, kill)
            timer.daemon = True
            timer.start()
        elif one == asset and what == "done":
            kill()
    return lambda: 0 if pipeline.run(settings, databases, select=[asset], on_event=listen) else 1

for line in sys.stdin:
    words = line.split()
    took = json.loads(timings.read_text()) if timings.exists() else {}
    if words[0] == "whole":
        code = forked(whole)
    else:
        code = forked(killed(words[1], float(words[2]) * took[words[1]]))
    print("exit", code, flush=True)
"""


def fill(url: str) -> None:
    """Books of four tastes, and readers who like one of them."""
    rng, start = random.Random(3), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    with connect(url, autocommit=True) as db:
        for book in range(BOOKS):
            db.execute(
                "INSERT INTO books (id, title, author, title_key, author_key) VALUES (%s, %s, %s, 't', 'a')",
                (UUID(int=book), f"Book {book}", f"Author {book % TASTES}"),
            )
        for reader in range(READERS):
            email = f"{reader}@readers.test"
            db.execute(
                "INSERT INTO users (id, email, first_name, last_name) VALUES (%s, %s, 'F', 'L')",
                (UUID(int=reader), email),
            )
            for day, book in enumerate(rng.sample(range(reader % TASTES, BOOKS, TASTES), 9)):
                db.execute(
                    "INSERT INTO reviews (user_id, book_id, rating, created_at) VALUES (%s, %s, %s, %s)",
                    (UUID(int=reader), UUID(int=book), rng.choice([4, 5]), start + dt.timedelta(days=day)),
                )


class Pipeline:
    """Runs of another process's children."""

    def __init__(self, settings: StateSettings, databases: Databases, timings: Path) -> None:
        asked = [str(settings.home), json.dumps(asdict(databases)), str(timings)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *asked],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def __call__(self, *words: object) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("exit "):
                return int(line.split()[1])
        raise AssertionError(f"the program ended with {self.process.wait()}")


class Published:
    """What readers, operators and analysts see."""

    def __init__(self, settings: StateSettings, databases: Databases, folder: Path) -> None:
        self.settings = settings
        self.databases = databases
        self.folder = folder
        self.registry = Registry(tracking_uri(settings, databases), artifact_root=settings.mlflow_artifacts)

    def statistics(self) -> Sequence[object]:
        with connect(self.databases.brs) as connection:
            return connection.execute(
                "SELECT count(*), round(sum(shrunken_mean)::numeric, 6) FROM book_statistics"
            ).fetchall()

    def exported(self) -> object:
        with duckdb.connect(self.settings.exports / "brs.duckdb", read_only=True) as analyst:
            return analyst.execute("SELECT count(*), count(DISTINCT reader) FROM ratings").fetchall()

    def champion(self) -> dict[str, float]:
        """Its metrics; its bundle is whole."""
        version = self.registry.champion()
        assert version is not None
        assert bundle.load(self.registry.download(version, self.folder)).manifest.book_count == BOOKS
        return dict(version.metrics)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("default")  # MLflow itself uses what other libraries deprecate
def test_a_run_killed_in_any_asset_leaves_what_was_published_whole_and_its_repeat_comes_to_the_same(
    databases: Databases, tmp_path: Path
) -> None:
    settings = StateSettings(home=tmp_path / "home")
    fill(databases.brs)
    timings = tmp_path / "timings.json"
    run, published = Pipeline(settings, databases, timings), Published(settings, databases, tmp_path / "downloads")
    try:
        assert run("whole") == 0
        statistics, exported, champion = published.statistics(), published.exported(), published.champion()
        assets = [one for one in json.loads(timings.read_text()) if one not in MADE_TOGETHER]
        assert {"ratings", "rating_aggregates", "book_statistics", "taste_model", "champion", "export"} <= set(assets)
        for asset in reversed(assets):  # what an asset needs is whole from the first run
            assert run("kill", asset, 0.5) == -9, asset
            assert published.statistics() == statistics, asset
            assert published.exported() == exported, asset
            assert published.champion() == pytest.approx(champion, rel=1e-6), asset
        assert run("whole") == 0
        again = published.champion()
        assert {name for name in again if name not in champion} <= {"gate_champion_score", "gate_gain", "gate_gain_low"}
        assert {name: again[name] for name in champion} == pytest.approx(champion, rel=1e-6)
        assert published.statistics() == statistics
        versions = [version for version in published.registry.versions() if version.aliases]
        assert len(versions) == 1
        assert versions[0].version != "1"  # the repeat has published anew
    finally:
        with run.process:
            assert run.process.stdin is not None
            run.process.stdin.close()
