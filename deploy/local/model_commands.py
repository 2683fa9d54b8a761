"""`brs models`: what the registry holds, and who answers."""
# ruff: noqa: PLC0415 - MLflow takes seconds to import: `brs --help` need not wait for it

import contextlib
import json
from typing import TYPE_CHECKING

import click

from deploy.local.command import saying, state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.registry import Registry

AS_JSON = click.option("--json", "as_json", is_flag=True, help="For scripts.")


@click.group()
def models() -> None:
    """The models in the registry."""


@contextlib.contextmanager
def _registry() -> "Iterator[Registry]":
    from data.database import tracking_uri
    from models.registry import NothingToRollBackTo, NotPassed, Registry, RegistryUnavailable, UnknownVersion

    with (
        saying(NothingToRollBackTo, NotPassed, RegistryUnavailable, UnknownVersion),
        state(migrated=False) as (settings, databases),
    ):
        yield Registry(tracking_uri(settings, databases))


@models.command("list", epilog="Example: brs models list --json")
@AS_JSON
def list_all(*, as_json: bool) -> None:
    """All versions, newest first: NDCG@10, what the gate said, aliases."""
    from deploy.local.registry import described, line

    with _registry() as registry:
        versions = registry.versions()
    if as_json:
        click.echo(json.dumps([described(version) for version in versions]))
    else:
        click.echo("\n".join(map(line, versions)) or "No model yet: run `brs pipeline run`.")


@models.command("promote", epilog="Example: brs models promote 12")
@click.argument("version")
@AS_JSON
def promote(version: str, *, as_json: bool) -> None:
    """Make VERSION the champion. The API follows within its poll."""
    from deploy.local.registry import described

    with _registry() as registry:
        champion = registry.promote(version)
    click.echo(json.dumps(described(champion)) if as_json else f"Version {champion.version} is the champion.")


@models.command("rollback", epilog="Example: brs models rollback")
@AS_JSON
def rollback(*, as_json: bool) -> None:
    """Make the champion before this one the champion again."""
    from deploy.local.registry import described

    with _registry() as registry:
        champion = registry.rollback()
    click.echo(json.dumps(described(champion)) if as_json else f"Version {champion.version} is the champion again.")


@models.command("challenger", epilog="Example: brs models challenger 12")
@click.argument("version", metavar="VERSION|none")
def challenger(version: str) -> None:
    """Put VERSION beside the champion, or nothing. It answers BRS_CHALLENGER_SHARE of the signed-in readers.

    Only a version that has passed the gate may answer readers.
    """
    chosen = None if version == "none" else version
    with _registry() as registry:
        registry.challenge(chosen)
    click.echo("There is no challenger." if chosen is None else f"Version {version} is the challenger.")
