"""Rules of the house that no linter knows. Each finds its offenders by reading the code."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("data", "models", "pipelines", "serving", "deploy")
SOURCES = sorted([ROOT / "brs.py", *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))])
CODE = [path for path in SOURCES if "migrations/versions" not in path.as_posix()]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def trees(under: str = "") -> Iterator[tuple[str, ast.Module]]:
    for path in CODE:
        if name(path).startswith(under):
            yield name(path), ast.parse(path.read_text())


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def test_there_is_code_to_look_at() -> None:
    assert len(CODE) > 40


def test_modules_stay_under_300_lines() -> None:
    assert {name(p): n for p in CODE if (n := len(p.read_text().splitlines())) > 300} == {}


def test_functions_stay_under_40_lines() -> None:
    long = {}
    for file, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                if lines >= 40:
                    long[f"{file}:{node.name}"] = lines
    assert long == {}


def test_only_the_session_dependency_commits() -> None:
    commits = {
        file
        for file, tree in trees("serving/")
        for call in calls(tree)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "commit"
    }
    assert commits <= {"serving/kit/db.py"}


def test_services_know_no_http() -> None:
    offenders = [
        file
        for file, tree in trees("serving/")
        if file.endswith(("service.py", "queries.py"))
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {"fastapi", "starlette"}
    ]
    assert offenders == []


def test_routers_and_services_hold_no_sql() -> None:
    statement = re.compile(r"^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|MERGE)\s")
    offenders = [
        f"{file}:{node.lineno}"
        for file, tree in trees("serving/")
        if file.endswith(("router.py", "service.py", "schemas.py"))
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and statement.match(node.value)
    ]
    assert offenders == []


def test_there_is_no_pickle() -> None:
    offenders = [
        f"{file}: {module}"
        for file, tree in trees()
        for node in ast.walk(tree)
        for module in imported(node)
        if module.split(".")[0] in {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}
    ]
    assert offenders == []


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def test_no_broad_except_goes_on_as_if_nothing_had_happened() -> None:
    offenders = []
    for file, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) in BROAD):
                tells = any(
                    isinstance(part, ast.Raise | ast.Call) for statement in node.body for part in ast.walk(statement)
                )
                if not tells:
                    offenders.append(f"{file}:{node.lineno}")
    assert offenders == []


BROAD = {"Exception", "BaseException"}


def test_nothing_reads_the_environment_at_import() -> None:
    offenders = []
    for file, tree in trees():
        for statement in tree.body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.If):
                continue
            if re.search(r"os\.environ|os\.getenv|Settings\(\)", ast.unparse(statement)):
                offenders.append(f"{file}:{statement.lineno}")
    assert offenders == []


def test_every_ignored_type_error_and_lint_names_its_code() -> None:
    bare = re.compile(r"#\s*type:\s*ignore(?!\[)|#\s*noqa(?!:)")
    assert [name(path) for path in SOURCES if bare.search(path.read_text())] == []


@pytest.mark.parametrize(
    ("room", "heavy"),
    [
        ("serving.app", "dagster,implicit,sklearn,scipy,pandas,polars,duckdb,pyarrow,matplotlib"),
        ("models.taste,models.chain,models.bundle,models.popular", "dagster,mlflow,implicit,sklearn,scipy,polars"),
        ("models.registry,models.training.als,models.evaluation.report", "dagster"),
        ("data.database,data.loading,data.lake,data.export", "dagster,mlflow,fastapi"),
        ("brs", "dagster,mlflow,polars,fastapi"),
    ],
)
def test_importing_a_room_does_not_drag_in_what_it_must_not_need(room: str, heavy: str) -> None:
    program = f"import sys, {room}; print(*(m for m in {heavy!r}.split(',') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_no_file_names_a_package_index_or_a_folder_of_somebody_s_machine() -> None:
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=False, cwd=ROOT).stdout.split(
        "\n"
    )
    forbidden = re.compile("pypi" + r"\.org|files\.python" + r"hosted|/(?:root|home/\w+|wo" + "rk)/")
    offenders = []
    for file in filter(None, tracked):
        path = ROOT / file
        if path.suffix in {".gz", ".png", ".parquet"} or not path.is_file():
            continue
        if forbidden.search(path.read_text(errors="replace")):
            offenders.append(file)
    assert offenders == []
