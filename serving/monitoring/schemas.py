"""What the monitoring operations give."""

from typing import Any, Literal

from pydantic import BaseModel


class Alive(BaseModel):
    status: Literal["alive"]


class Ready(BaseModel):
    status: Literal["ready", "not ready"]
    checks: dict[str, bool]


class Card(BaseModel):
    """What this service is and where to go on."""

    name: str
    version: str
    links: dict[str, str]


CARD_EXAMPLE: dict[str, Any] = {
    "name": "BRS",
    "version": "0.1.0",
    "links": {"documentation": "/docs", "openapi": "/openapi.json", "health": "/health", "books": "/api/v1/books"},
}
READY_EXAMPLE: dict[str, Any] = {"status": "ready", "checks": {"postgres": True, "schema": True}}
