"""What Dagster's programs need around them. Imports no Dagster, so that `brs up` need not wait for it."""

import shutil
from pathlib import Path

from data.database import Databases, sqlalchemy_url
from data.settings import StateSettings

STORAGE_URL = "BRS_DAGSTER_STORAGE_URL"  # as deploy/dagster.yaml names it
INSTANCE = Path(__file__).parents[1] / "deploy" / "dagster.yaml"


def dagster_environment(settings: StateSettings, databases: Databases) -> dict[str, str]:
    """What the Dagster page and its daemon need in their environment; their file is written to ``dagster_home``."""
    prepare(settings)
    shared = {
        "BRS_HOME": str(settings.home),
        "DAGSTER_HOME": str(settings.dagster_home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        STORAGE_URL: sqlalchemy_url(databases.dagster, "psycopg2").render_as_string(hide_password=False),
    }
    if settings.database_url is not None:  # else the code location joins the embedded server by itself
        shared |= {
            "DATABASE_URL": settings.database_url,
            "BRS_DAGSTER_DATABASE_URL": databases.dagster,
            "BRS_MLFLOW_DATABASE_URL": databases.mlflow,
        }
    return shared | ({"BRS_MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri} if settings.mlflow_tracking_uri else {})


def prepare(settings: StateSettings) -> None:
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    aside = settings.dagster_home / ".dagster.yaml.new"
    shutil.copyfile(INSTANCE, aside)
    aside.replace(settings.dagster_home / "dagster.yaml")
