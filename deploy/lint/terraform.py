"""What `terraform validate` would find without a provider: names that nobody declared, and declarations nobody uses.

Runs in the linters' environment (deploy/lint/install), which has a parser of HCL. Exit code 1 with one line a finding.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2

FOLDER = Path(__file__).parents[1] / "terraform"
_REFERENCE = re.compile(r"(?<![\w.\"-])(var|local|(?:data|ephemeral)\.\w+|(?:aws|random|tls)_\w+)\.([\w-]+)")
Body = dict[str, Any]


def unquoted(name: str) -> str:
    return name.strip('"')


def texts(node: object) -> Iterator[str]:
    """All strings with an expression in them."""
    if isinstance(node, dict):
        for key, value in node.items():
            if not key.startswith("__"):
                yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str) and "${" in node:
        yield node


def declared(files: dict[str, Body]) -> dict[str, set[str]]:
    """Kind of reference (``var``, ``local``, ``data.TYPE``, ``ephemeral.TYPE``, ``TYPE``) to the names that exist."""
    found: dict[str, set[str]] = {"var": set(), "local": set()}
    for body in files.values():
        for block in body.get("variable", []):
            found["var"] |= {unquoted(name) for name in block}
        for block in body.get("locals", []):
            found["local"] |= {unquoted(name) for name in block if not name.startswith("__")}
        for kind, prefix in (("resource", ""), ("data", "data."), ("ephemeral", "ephemeral.")):
            for block in body.get(kind, []):
                for type_, named in block.items():
                    found.setdefault(prefix + unquoted(type_), set()).update(unquoted(name) for name in named)
    return found


def variables(path: Path) -> set[str]:
    with path.open() as file:
        return {name for name in hcl2.load(file) if not name.startswith("__")}


def parsed(folder: Path) -> dict[str, Body]:
    files: dict[str, Body] = {}
    for path in sorted(folder.glob("*.tf")):
        with path.open() as file:
            files[path.name] = hcl2.load(file)
    return files


def dangling(files: dict[str, Body]) -> Iterator[str]:
    """References to nothing, and variables and locals that nothing refers to."""
    exist = declared(files)
    used: set[tuple[str, str]] = set()
    for name, body in files.items():
        for kind, reference in (found for text in texts(body) for found in _REFERENCE.findall(text)):
            used.add((kind, reference))
            if reference not in exist.get(kind, set()):
                yield f"{name}: {kind}.{reference} is not declared"
    for kind in ("var", "local"):
        yield from (f"{kind}.{name} is not used" for name in sorted(exist[kind]) if (kind, name) not in used)


def settings(files: dict[str, Body], folder: Path) -> Iterator[str]:
    """Variables that an environment does not give, or gives without there being any."""
    told = {
        unquoted(name): body_of
        for body in files.values()
        for block in body.get("variable", [])
        for name, body_of in block.items()
    }
    needed = {name for name, body_of in told.items() if "default" not in body_of}
    example = variables(folder / "terraform.tfvars.example")
    for path in sorted((folder / "environments").glob("*.tfvars")):
        given = variables(path) | example
        yield from (f"{path.name}: {name} is not a variable" for name in sorted(given - set(told)))
        yield from (f"{path.name}: {name} is not given" for name in sorted(needed - given))
    yield from (f"variable {name} has no description" for name, body_of in told.items() if "description" not in body_of)


def findings(folder: Path = FOLDER) -> Iterator[str]:
    files = parsed(folder)
    yield from dangling(files)
    yield from settings(files, folder)
    if re.search(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b", json.dumps(files)):
        yield "a key of AWS is in the files"


if __name__ == "__main__":
    found = list(findings())
    sys.stderr.write("".join(f"terraform: {line}\n" for line in found))
    sys.exit(1 if found else 0)
