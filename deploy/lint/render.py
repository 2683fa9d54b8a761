"""What `kubectl kustomize` makes of an overlay, for the part of kustomize that deploy/kubernetes uses.

For machines without kubectl; where there is one, a test compares the two. Anything outside the part is an error here,
not something that is passed over.
"""

import copy
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
KNOWN = {
    "apiVersion", "kind", "namespace", "resources", "images", "patches", "configMapGenerator", "generatorOptions",
}  # fmt: skip


class NotUnderstood(ValueError):
    """The overlay uses more of kustomize than this knows."""


def rendered(folder: Path) -> list[Manifest]:
    """All manifests of the kustomization in ``folder``."""
    told = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := set(told) - KNOWN:
        raise NotUnderstood(f"{folder}: {sorted(unknown)}")
    manifests: list[Manifest] = []
    for name in told.get("resources", []):
        path = folder / name
        manifests += rendered(path) if path.is_dir() else _documents(path)
    manifests += [_config_map(folder, entry, told) for entry in told.get("configMapGenerator", [])]
    for patch in told.get("patches", []):
        _patch(manifests, patch, folder)
    for image in told.get("images", []):
        _retag(manifests, image)
    for manifest in manifests:
        if "namespace" in told and manifest["kind"] != "Namespace":
            manifest["metadata"]["namespace"] = told["namespace"]
            for subject in manifest.get("subjects", []):
                subject["namespace"] = told["namespace"]
    return manifests


def _documents(path: Path) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def _config_map(folder: Path, entry: Manifest, told: Manifest) -> Manifest:
    if not told.get("generatorOptions", {}).get("disableNameSuffixHash") or set(entry) - {"name", "files", "options"}:
        raise NotUnderstood(f"{folder}: configMapGenerator {entry['name']}")
    data = {Path(file).name: (folder / file).read_text() for file in entry["files"]}
    metadata = {"name": entry["name"], **entry.get("options", {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _patch(manifests: list[Manifest], patch: Manifest, folder: Path) -> None:
    if "path" in patch:
        for document in _documents(folder / patch["path"]):
            _merge(_only(manifests, document["kind"], document["metadata"]["name"]), document)
        return
    target = _only(manifests, patch["target"]["kind"], patch["target"]["name"])
    for operation in json.loads(patch["patch"]):
        if operation["op"] != "replace":
            raise NotUnderstood(f"{folder}: {operation['op']}")
        *way, last = operation["path"].strip("/").split("/")
        where: Any = target
        for step in way:
            where = where[int(step)] if isinstance(where, list) else where[step]
        key: Any = int(last) if isinstance(where, list) else last
        if isinstance(where, dict) and key not in where:
            raise NotUnderstood(f"{folder}: {operation['path']} is not there, and cannot be replaced")
        where[key] = operation["value"]


def _only(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = (one for one in manifests if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found


def _merge(into: Manifest, patch: Manifest) -> None:
    for key, value in patch.items():
        if isinstance(value, list):
            raise NotUnderstood(f"a list is patched: {key}")
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)


def _retag(node: Any, image: Manifest) -> None:  # noqa: ANN401  whatever YAML holds
    if isinstance(node, list):
        for part in node:
            _retag(part, image)
    elif isinstance(node, dict):
        for containers in ("containers", "initContainers"):
            for container in node.get(containers) or []:
                if re.split(r"[:@]", container["image"])[0] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
        for part in node.values():
            _retag(part, image)


if __name__ == "__main__":
    sys.stdout.write(yaml.safe_dump_all(rendered(Path(sys.argv[1])), sort_keys=False))
