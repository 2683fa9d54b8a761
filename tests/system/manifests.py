"""The rendered overlays of deploy/kubernetes, and how to find one's way in them."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from deploy.lint.render import rendered

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("staging", "production")
HASH = re.compile(r"-[bcdfghkmt2456789]{10}$")

Manifest = dict[str, Any]


@cache
def overlay(name: str) -> list[Manifest]:
    return rendered(KUBERNETES / "overlays" / name)


def plain(manifest: Manifest) -> str:
    """A manifest's name, without the hash that a ConfigMap's has."""
    name = str(manifest["metadata"]["name"])
    return HASH.sub("", name) if manifest["kind"] == "ConfigMap" else name


def find(kind: str, name: str, within: str = "production") -> Manifest:
    """By its name, a ConfigMap also by its name without the hash."""
    (found,) = (one for one in overlay(within) if one["kind"] == kind and name in {one["metadata"]["name"], plain(one)})
    return found


def pod_of(manifest: Manifest) -> Manifest | None:
    """The specification of the pods that a manifest makes."""
    if manifest["kind"] in {"Deployment", "Job"}:
        pod: Manifest = manifest["spec"]["template"]["spec"]
        return pod
    if manifest["kind"] == "CronJob":
        return pod_of({"kind": "Job", **manifest["spec"]["jobTemplate"]})
    return None


def workloads(name: str) -> Iterator[tuple[str, Manifest]]:
    for manifest in overlay(name):
        if (pod := pod_of(manifest)) is not None:
            yield manifest["metadata"]["name"], pod


def containers(name: str) -> Iterator[tuple[str, Manifest, Manifest]]:
    for workload, pod in workloads(name):
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            yield f"{workload}/{container['name']}", pod, container


def environment(container: Manifest, within: str = "production") -> dict[str, str | None]:
    """Names to values; ``None`` where only the cluster knows."""
    found: dict[str, str | None] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found |= find("ConfigMap", HASH.sub("", source["configMapRef"]["name"]), within)["data"]
        else:
            secret = find("ExternalSecret", source["secretRef"]["name"], within)
            found |= dict.fromkeys(secret["spec"]["target"]["template"]["data"])
    return found | {entry["name"]: entry.get("value") for entry in container.get("env", [])}
