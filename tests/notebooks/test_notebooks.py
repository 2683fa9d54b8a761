"""The notebooks run from top to bottom on what one pipeline run leaves, and carry nothing of whoever ran them last."""

import ast
import datetime as dt
import fcntl
import os
import random
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import packages_distributions
from itertools import product
from pathlib import Path
from uuid import UUID, uuid5

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from psycopg import sql

from data.database import connect, migrate
from data.loading import BookRow, FavoriteRow, GenreRow, ReaderRow, ReviewRow, load

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OURS = {"data", "models"}
INSTALLED = packages_distributions()
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@each_notebook
def test_a_notebook_is_valid_and_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        assert not cell.get("outputs"), f"cell {cell.id} has outputs: clear them before you commit"
        assert cell.get("execution_count") is None, cell.id
        assert cell.metadata == {}, cell.id


@each_notebook
def test_a_notebook_imports_the_ground_floor_the_thinking_and_what_the_pipeline_installs(path: Path) -> None:
    allowed = declared("pipeline", "notebooks") | {"ipython"}  # IPython comes with its kernel
    foreign = {
        module
        for module in imported(nbformat.read(path, nbformat.NO_CONVERT))
        if module not in OURS | STANDARD and not {normal(name) for name in INSTALLED.get(module, [])} & allowed
    }
    assert foreign == set()


STANDARD = {"os", "pathlib", "dataclasses", "datetime", "tempfile", "uuid", "warnings"}


def imported(notebook: NotebookNode) -> Iterator[str]:
    for cell in notebook.cells:
        for node in ast.walk(ast.parse(cell.source)) if cell.cell_type == "code" else ():
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield str(node.module).split(".")[0]


def declared(*groups: str) -> set[str]:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return {
        normal(re.split(r"[\[><=!~; ]", line)[0]) for group in groups for line in told[group] if isinstance(line, str)
    }


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class World:
    """Four tastes: readers read mostly of their own, and like that; so little teaches a model that beats popularity."""

    origin = "generated"
    tastes, shelf, readers_of_taste, read = 4, 24, 40, 14

    @property
    def expected(self) -> dict[str, int]:
        readers = self.tastes * self.readers_of_taste
        books = self.tastes * self.shelf
        return {"genres": 4, "books": books, "readers": readers, "reviews": readers * self.read, "favorites": 0}

    def id(self, kind: str, *numbers: int) -> UUID:
        return uuid5(UUID(int=0), f"{kind} {numbers}")

    def genres(self) -> Iterator[GenreRow]:
        for taste in range(self.tastes):
            yield GenreRow(self.id("genre", taste), f"Genre {taste}", "Of a test.")

    def books(self) -> Iterator[BookRow]:
        for taste, number in product(range(self.tastes), range(self.shelf)):
            yield BookRow(
                id=self.id("book", taste, number),
                title=f"Book {number} of taste {taste}",
                author=f"Author {number % 8} of taste {taste}",
                isbn=None,
                description="A book.",
                cover_image_url=None,
                publication_date=dt.date(1990 + number, 1, 1),
                series=f"Series {taste}" if number < 3 else None,
                series_position=number + 1.0 if number < 3 else None,
                language="en",
                genre_ids=(self.id("genre", taste),),
                created_at=START,
            )

    def readers(self) -> Iterator[ReaderRow]:
        for taste, number in product(range(self.tastes), range(self.readers_of_taste)):
            yield ReaderRow(self.id("reader", taste, number), f"{taste}-{number}@readers.test", "F", "L", START)

    def reviews(self) -> Iterator[ReviewRow]:
        rng = random.Random(3)
        for reader_taste, number in product(range(self.tastes), range(self.readers_of_taste)):
            own = rng.sample(range(self.shelf), self.read - 3)
            other = (reader_taste + rng.randrange(1, self.tastes)) % self.tastes
            chosen = [(reader_taste, book) for book in own] + [
                (other, book) for book in rng.sample(range(self.shelf), 3)
            ]
            rng.shuffle(chosen)
            for place, (taste, book) in enumerate(chosen):
                yield ReviewRow(
                    id=self.id("review", reader_taste, number, place),
                    user_id=self.id("reader", reader_taste, number),
                    book_id=self.id("book", taste, book),
                    rating=rng.choice([3, 4, 4, 5] if taste == reader_taste else [1, 2, 3, 4]),
                    review_text=None,
                    created_at=START + dt.timedelta(days=70 * place + number),
                )

    def favorites(self) -> Iterator[FavoriteRow]:
        return iter(())


@pytest.fixture(scope="session")
def installation(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str, server_url: Callable[[str], str]
) -> dict[str, str]:
    """The environment of a small installation after one pipeline run, with two versions; all workers share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "notebooks"
    folder.mkdir(exist_ok=True)
    urls = {name: server_url(f"notebooks_{name}") for name in ("brs", "dagster", "mlflow")}
    environment = {
        **os.environ,
        "BRS_HOME": str(folder / "home"),
        "DATABASE_URL": urls["brs"],
        "BRS_DAGSTER_DATABASE_URL": urls["dagster"],
        "BRS_MLFLOW_DATABASE_URL": urls["mlflow"],
        "PYTHONPATH": str(ROOT),
        **dict.fromkeys(("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"), str(folder)),  # nothing of a person's
    }
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            with connect(server_url("postgres"), autocommit=True) as connection:
                for name in urls:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(f"notebooks_{name}")))
            migrate(urls["brs"])
            load(urls["brs"], World())
            learn_once(environment)
            (folder / "ready").touch()
    return environment


def learn_once(environment: dict[str, str]) -> None:
    """What notebooks look at, and no more: the genre model would take as long again."""
    wanted = ("+export", "taste_model", "evaluation", "champion")
    command = [
        sys.executable,
        "-m",
        "brs",
        "pipeline",
        "run",
        *(word for name in wanted for word in ("--select", name)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "promoted: " in done.stdout


@pytest.fixture(scope="session")
def kernel(installation: dict[str, str]) -> Iterator[KernelManager]:
    """One for all notebooks: importing the libraries is most of what they cost."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=installation, cwd=str(ROOT / "notebooks"))
    yield manager
    manager.shutdown_kernel(now=True)


@each_notebook
@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Jupyter uses what other libraries deprecate
def test_a_notebook_runs_from_top_to_bottom(path: Path, kernel: KernelManager) -> None:
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    client = NotebookClient(notebook, km=kernel, timeout=240)
    try:
        done = client.execute()
    finally:
        client.kc.stop_channels()  # a client that did not start the kernel leaves its sockets open

    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 5
    said = "".join(output.data["text/markdown"] for output in outputs if "text/markdown" in output.get("data", {}))
    assert said
    assert "nan" not in said


def test_where_nothing_was_learned_the_first_cell_says_in_one_line_what_to_run(tmp_path: Path) -> None:
    program = """
import json, sys
for path in sys.argv[1:]:
    cells = json.load(open(path, encoding="utf-8"))["cells"]
    try:
        exec("".join(next(cell["source"] for cell in cells if cell["cell_type"] == "code")), {})
    except SystemExit as why:
        print(why)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, NOTEBOOKS)],
        cwd=ROOT / "notebooks",
        env={**os.environ, "BRS_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout.splitlines()
    assert len(said) == len(NOTEBOOKS) > 0
    assert all("run `brs" in line and "brs up" in line and "BRS_HOME" in line for line in said), said
