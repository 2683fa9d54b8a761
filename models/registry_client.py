"""What MLflow's client leaves to who calls it: whether anybody listens, what is missing, what may be shown."""

import json
import socket
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from models.bundle import Json

Found = TypeVar("Found")
PATIENCE = 3.0  # seconds to wait for a connection
DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432}


def knock(uri: str) -> None:
    """Raises OSError when nobody listens there: MLflow itself would go on trying for minutes."""
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    if scheme not in DEFAULT_PORTS:
        return
    port = parts.port or DEFAULT_PORTS[scheme]
    host = parts.hostname or parse_qs(parts.query).get("host", ["localhost"])[0]
    if host.startswith("/"):
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(PATIENCE)
            door.connect(f"{host}/.s.PGSQL.{port}")
    else:
        socket.create_connection((host, port), timeout=PATIENCE).close()


def public(uri: str) -> str:
    """The address without user and password."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def unless_missing(ask: Callable[[], Found]) -> Found | None:
    """None when what is asked for does not exist.

    A missing model and a missing version are one error of MLflow's, a missing alias is another.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - takes seconds, see models.registry

    try:
        return ask()
    except MlflowException as why:
        no_alias = why.error_code == "INVALID_PARAMETER_VALUE" and "alias" in str(why) and "not found" in str(why)
        if no_alias or why.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def first_line(why: Exception) -> str:
    return str(why).partition("\n")[0]


def told_as(value: str) -> Json:
    """As it was stored; runs of earlier releases stored words that are no JSON."""
    try:
        told: Json = json.loads(value)
    except ValueError:
        return value
    return told
