"""What every command of the command line shares: the state it works on, and how it fails."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import click
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from data.database import Databases, DatabaseUnavailable, current, head, how_to_mend, opened
from data.settings import StateSettings

# How libraries behave that take no argument for it; what the environment says already is left alone.
LIBRARIES = {
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # OpenMP's threads sleep while they wait: spinning, two busy processes make each other ten times slower.
    "OMP_WAIT_POLICY": "passive",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
PORT = click.IntRange(1, 65535)
SIZE = click.IntRange(1, 50_000_000)  # of a generated library
STYLE = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Commands(click.Group):
    """Known failures become one line on standard error and exit code 1; anything else is a bug and shows itself."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        try:
            return super().invoke(ctx)
        except DatabaseUnavailable as exc:
            raise _one_line(exc) from exc
        except ValidationError as exc:  # of the settings: everything else that is checked so is checked by click
            raise click.ClickException("; ".join(map(_wrong_setting, exc.errors(include_input=False)))) from exc


def _wrong_setting(error: ErrorDetails) -> str:
    name = "_".join(map(str, error["loc"])).upper()
    return f"{name if name == 'DATABASE_URL' else f'BRS_{name}'}: {error['msg'].removeprefix('Value error, ')}"


def _one_line(exc: Exception) -> click.ClickException:
    return click.ClickException(" ".join(str(exc).split()))


def set_defaults(**wanted: str) -> None:
    """Put into the environment what is not there; must come before the library that reads it is imported."""
    for name, value in wanted.items():
        os.environ.setdefault(name, value)


@contextlib.contextmanager
def saying(*expected: type[Exception]) -> Iterator[None]:
    try:
        yield
    except expected as exc:
        raise _one_line(exc) from exc


@contextlib.contextmanager
def state(*, migrated: bool = True) -> Iterator[tuple[StateSettings, Databases]]:
    settings = StateSettings()
    with opened(settings) as databases:
        if migrated and current(databases.brs) != head():
            raise DatabaseUnavailable(how_to_mend(current(databases.brs)))
        yield settings, databases
