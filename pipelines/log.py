"""Where the messages of a pipeline run go: to a file, so that the terminal shows progress alone."""

import contextlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

import dagster as dg

BYTES, COUNT = 5_000_000, 3
NOISY = ("alembic", "dagster", "implicit", "matplotlib", "mlflow", "pipelines", "py.warnings", "sqlalchemy")


@contextmanager
def logged_to(path: Path) -> Iterator[logging.Handler]:
    """What libraries log goes to the file instead of the terminal, for as long as the block lasts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=BYTES, backupCount=COUNT, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    with contextlib.ExitStack() as restored:
        restored.callback(handler.close)
        restored.enter_context(_environment("MLFLOW_CONFIGURE_LOGGING", "false"))  # MLflow would replace our handler
        logging.captureWarnings(capture=True)
        restored.callback(logging.captureWarnings, capture=False)
        for name in NOISY:
            logger = logging.getLogger(name)
            restored.callback(_restore, logger, logger.handlers, propagate=logger.propagate)
            logger.handlers, logger.propagate = [handler], False
        yield handler


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _restore(logger: logging.Logger, handlers: list[logging.Handler], *, propagate: bool) -> None:
    logger.handlers, logger.propagate = handlers, propagate


def dagster_logger(handler: logging.Handler) -> dg.LoggerDefinition:
    """Dagster's messages about the run, to the same file."""

    def make(_context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("pipeline", logging.DEBUG)  # noqa: LOG001 - of this run alone: not to be found by name
        logger.addHandler(handler)
        return logger

    return dg.LoggerDefinition(make, description="The log file of `brs pipeline run`.")
