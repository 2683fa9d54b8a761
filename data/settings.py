"""Where the state lives. Read once, in an entry point, and passed down."""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class StateSettings(BaseSettings):
    """The settings that the database, the lake, the pipeline and the command line share.

    Attributes:
        home: Folder of all local state: embedded Postgres, lake, bundles, logs, MLflow and Dagster files, exports.
        database_url: Any Postgres from 15 on; without it, an embedded PostgreSQL 18 under ``home``.
        dagster_database_url: Where Dagster keeps its runs; derived from ``database_url`` when absent.
        mlflow_database_url: Where MLflow keeps its runs; derived from ``database_url`` when absent.
        mlflow_tracking_uri: An MLflow server to use instead of ``mlflow_database_url``.
        engine: What fits the collaborative-filtering model.
    """

    model_config = SettingsConfigDict(
        env_prefix="BRS_",
        env_ignore_empty=True,  # an empty variable is how shells and compose files say "not set"
        frozen=True,
        populate_by_name=True,
        extra="ignore",
    )

    home: Path = Path(".brs")
    database_url: str | None = Field(default=None, validation_alias=AliasChoices("DATABASE_URL", "database_url"))
    dagster_database_url: str | None = None
    mlflow_database_url: str | None = None
    mlflow_tracking_uri: str | None = None
    engine: Literal["local", "spark"] = "local"

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @property
    def lake(self) -> Path:
        return self.home / "lake"

    @property
    def bundles(self) -> Path:
        return self.home / "bundles"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.home / "mlflow"

    @property
    def artifact_root(self) -> Path | None:
        """Where new runs keep their files; an MLflow server that is named has a place of its own, for all to reach."""
        return None if self.mlflow_tracking_uri else self.mlflow_artifacts

    @property
    def exports(self) -> Path:
        return self.home / "exports"
