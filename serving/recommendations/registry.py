"""The registry read straight from its database, as long as there is one: serving makes none of MLflow's tables."""

from pathlib import Path

import psycopg

from data.database import connect
from models.registry import Registry, RegistryUnavailable, Version

_ALIASES = "SELECT to_regclass('registered_model_aliases')"


class RegistryInDatabase:
    """``models.registry.Registry`` behind a look whether MLflow's tables are there.

    MLflow's client would make them, and several workers that do so at once fail.

    Args:
        tracking_uri: MLflow's name for the database.
        url: libpq's name for the same.
    """

    def __init__(self, tracking_uri: str, url: str) -> None:
        self._registry = Registry(tracking_uri)
        self._url = url
        self._is_there = False

    def champion(self) -> Version | None:
        """Raises RegistryUnavailable."""
        return self._registry.champion() if self._has_tables() else None

    def challenger(self) -> Version | None:
        """Raises RegistryUnavailable."""
        return self._registry.challenger() if self._has_tables() else None

    def download(self, version: Version, into: Path) -> Path:
        """Raises RegistryUnavailable."""
        return self._registry.download(version, into)

    def _has_tables(self) -> bool:
        if self._is_there:
            return True
        try:
            with connect(self._url) as connection:
                self._is_there = connection.execute(_ALIASES).fetchone() != (None,)
        except psycopg.Error as exc:
            raise RegistryUnavailable(f"the model registry's database does not answer: {type(exc).__name__}") from exc
        return self._is_there
