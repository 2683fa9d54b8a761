"""What `kubectl kustomize` makes of an overlay, for the part of kustomize that deploy/kubernetes uses.

For machines without kubectl; where there is one, a test compares the two. Anything outside the part is an error here,
not something that is passed over.
"""

import copy
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
KNOWN = {
    "apiVersion", "kind", "namespace", "resources", "images", "patches", "configMapGenerator", "configurations",
}  # fmt: skip
OF_A_CONFIG_MAP = {"name", "files", "literals", "options"}
HASHED = "hashed by its content"  # a mark in a manifest that is not finished


class NotUnderstood(ValueError):
    """The overlay uses more of kustomize than this knows."""


def rendered(folder: Path) -> list[Manifest]:
    """All manifests of the kustomization in ``folder``."""
    manifests, named_by_environment = _read(folder)
    names = {}
    for manifest in manifests:
        if manifest.pop(HASHED, False):
            plain = manifest["metadata"]["name"]
            names[plain] = manifest["metadata"]["name"] = f"{plain}-{_hash(manifest)}"
    for manifest in manifests:
        _rename(manifest.get("spec", {}), names, variables=manifest["kind"] in named_by_environment)
    return manifests


def _read(folder: Path) -> tuple[list[Manifest], set[str]]:
    """Manifests before names get their hashes, and the kinds whose variables' values may be names of ConfigMaps."""
    told = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := set(told) - KNOWN:
        raise NotUnderstood(f"{folder}: {sorted(unknown)}")
    manifests: list[Manifest] = []
    kinds = {kind for name in told.get("configurations", []) for kind in _named_by_environment(folder / name)}
    for name in told.get("resources", []):
        path = folder / name
        if path.is_dir():
            further, known = _read(path)
            manifests += further
            kinds |= known
        else:
            manifests += _documents(path)
    manifests += [_config_map(folder, entry) for entry in told.get("configMapGenerator", [])]
    for patch in told.get("patches", []):
        _patch(manifests, patch, folder)
    for image in told.get("images", []):
        _retag(manifests, image)
    for manifest in manifests:
        if "namespace" in told and manifest["kind"] != "Namespace":
            manifest["metadata"]["namespace"] = told["namespace"]
            for subject in manifest.get("subjects", []):
                subject["namespace"] = told["namespace"]
    return manifests, kinds


def _named_by_environment(path: Path) -> set[str]:
    (reference,) = yaml.safe_load(path.read_text())["nameReference"]
    paths = {field["path"] for field in reference["fieldSpecs"]}
    if reference["kind"] != "ConfigMap" or paths != {"spec/template/spec/containers/env/value"}:
        raise NotUnderstood(f"{path}: {reference}")
    return {field["kind"] for field in reference["fieldSpecs"]}


def _documents(path: Path) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def _config_map(folder: Path, entry: Manifest) -> Manifest:
    options = dict(entry.get("options", {}))
    plain = options.pop("disableNameSuffixHash", False)
    if set(entry) - OF_A_CONFIG_MAP or set(options) - {"labels"}:
        raise NotUnderstood(f"{folder}: configMapGenerator {entry['name']}")
    data = {Path(file).name: (folder / file).read_text() for file in entry.get("files", [])}
    data |= {key: value for key, _, value in (literal.partition("=") for literal in entry.get("literals", []))}
    metadata = {"name": entry["name"], **copy.deepcopy(options)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data, HASHED: not plain}


def _hash(manifest: Manifest) -> str:
    """As kustomize makes it: ten digits, and no vowel among them nor what looks like one."""
    told = {"data": manifest["data"], "kind": "ConfigMap", "name": ""}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for letter in "<>&":  # as Go writes them
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(str.maketrans("013ae", "ghkmt"))


def _rename(node: Any, names: dict[str, str], *, variables: bool) -> None:  # noqa: ANN401  whatever YAML holds
    """ConfigMaps by their full names, wherever a pod refers to one."""
    if isinstance(node, list):
        for part in node:
            _rename(part, names, variables=variables)
    elif isinstance(node, dict):
        for key, part in node.items():
            if key in {"configMapRef", "configMapKeyRef", "configMap"}:
                part["name"] = names.get(part["name"], part["name"])
            elif key == "env" and variables:
                for variable in part:
                    if "value" in variable:
                        variable["value"] = names.get(variable["value"], variable["value"])
            _rename(part, names, variables=variables)


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
