"""ConfigMaps of releases that nothing refers to, of `kubectl get … --output json`. The standard library alone."""

import json
import sys
from collections.abc import Iterator
from typing import Any

OF_A_RELEASE = ("brs/configuration", "of-a-release")


def texts(node: Any) -> Iterator[str]:  # noqa: ANN401  whatever JSON holds
    if isinstance(node, dict):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node


def unused(items: list[dict[str, Any]]) -> list[str]:
    """A pod refers to a ConfigMap as a volume, as variables, or (Dagster's) by its name in a variable."""
    key, value = OF_A_RELEASE
    made = {
        one["metadata"]["name"]
        for one in items
        if one["kind"] == "ConfigMap" and one["metadata"].get("labels", {}).get(key) == value
    }
    referred = {text for one in items if one["kind"] != "ConfigMap" for text in texts(one.get("spec", {}))}
    return sorted(made - referred)


if __name__ == "__main__":
    sys.stdout.write("".join(f"{name}\n" for name in unused(json.load(sys.stdin)["items"])))
