"""How operations are documented, so that each has a summary, an example and its failures."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute

from serving.kit.envelope import Failure, failure_example
from serving.kit.errors import ApiError


def failures(*documented: type[ApiError]) -> dict[int | str, dict[str, Any]]:
    """``responses`` for a route: each failure under its status, with an example per code."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for error in documented:
        entry = by_status.setdefault(
            error.status,
            {"model": Failure, "description": error.message, "content": {"application/json": {"examples": {}}}},
        )
        entry["content"]["application/json"]["examples"][error.code] = {"value": failure_example(error)}
    return by_status


def answers(
    example: Mapping[str, Any], *documented: type[ApiError], status: int = 200, description: str | None = None
) -> dict[int | str, dict[str, Any]]:
    """``responses`` for a route: the example of its success, and its failures."""
    success: dict[str, Any] = {"content": {"application/json": {"example": dict(example)}}}
    if description is not None:
        success["description"] = description
    return {status: success, **failures(*documented)}


def operation_id(route: APIRoute) -> str:
    """The function's name: stable however paths and tags are arranged, and what generated clients call the method."""
    return route.name


def router(path: str, tag: str) -> APIRouter:
    return APIRouter(prefix=path, tags=[tag])
