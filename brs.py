"""The command line: one short function a command. The only module that knows every room.

Each command imports what it needs when it runs, so that `brs --help` and `brs serve` do not wait for Dagster or MLflow.
"""
# ruff: noqa: PLC0415 - the reason is above

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from data.settings import StateSettings
from deploy.local.bench.command import bench
from deploy.local.command import LIBRARIES, PORT, SIZE, STYLE, Commands, saying, set_defaults, state
from deploy.local.model_commands import models
from deploy.local.report_commands import report


@click.group(cls=Commands, context_settings=STYLE)
@click.version_option(package_name="brs", prog_name="brs")
def main() -> None:
    """A book review system that recommends, with reasons.

    State lies in .brs/ of the working folder (BRS_HOME) with a Postgres of its own, unless DATABASE_URL names one.
    """
    set_defaults(**LIBRARIES)


@main.command(epilog="Example: brs up --port 8001")
@click.option("--port", type=PORT, default=8000, show_default=True, help="Port of the API.")
@click.option("--mlflow-port", type=PORT, default=5000, show_default=True, help="Port of the MLflow page.")
@click.option("--dagster-port", type=PORT, default=3000, show_default=True, help="Port of the Dagster page.")
@click.option("--pages/--no-pages", default=True, show_default=True, help="Start the MLflow and Dagster pages, too.")
def up(port: int, mlflow_port: int, dagster_port: int, *, pages: bool) -> None:
    """Start everything on this machine; Ctrl-C stops it.

    The first start makes the database, loads the sample library (real books, simulated readers) and learns a model.
    """
    from data.loading import SourceError
    from deploy.local import up as local
    from deploy.local.supervisor import ChildFailed
    from models.registry import RegistryUnavailable

    expected = (local.CannotStart, ChildFailed, SourceError, RegistryUnavailable)
    with saying(*expected), contextlib.suppress(KeyboardInterrupt):
        local.up(StateSettings(), local.Ports(port, mlflow_port, dagster_port), pages=pages)
    click.echo("Stopped.")


@main.command(epilog="Example: brs serve --host 127.0.0.1 --port 8000 --workers 2")
@click.option("--host", default="127.0.0.1", show_default=True, help="Name or address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes on the port.")
def serve(host: str, port: int, workers: int) -> None:
    """Start the API alone."""
    set_defaults(OPENBLAS_NUM_THREADS="1")  # one answer is too little work for threads: 1.3 ms of CPU against 6.7
    from serving.server import serve as run

    sys.exit(run(host, port, workers))


@main.command(epilog="Example: DATABASE_URL=postgresql://brs@db/brs brs migrate")
def migrate() -> None:
    """Bring the database's schema up to this release, and make MLflow's tables where they are missing."""
    from data.database import head
    from data.database import migrate as upgrade
    from deploy.local.registry import prepared
    from models.registry import RegistryUnavailable

    with saying(RegistryUnavailable), state(migrated=False) as (settings, databases):
        upgrade(databases.brs)
        prepared(settings, databases)
    click.echo(f"The schema is at {head()}.")


@main.group()
def load() -> None:
    """Fill the library: sample, goodbooks or generate. Loading twice changes nothing."""


@load.command("sample", epilog="Example: brs load sample")
def load_sample() -> None:
    """The library that ships: real books, readers simulated by a documented model."""
    from data.loading import SourceError
    from data.sources.sample import sample_library
    from deploy.local.console import load_and_tell

    with saying(SourceError), state() as (_, databases):
        load_and_tell(sample_library(), databases.brs)


@load.command("goodbooks", epilog="Example: brs load goodbooks ~/Downloads/goodbooks-10k.zip")
@click.argument("path", required=False, type=click.Path(path_type=Path))
def load_goodbooks(path: Path | None) -> None:
    """The published goodbooks-10k data from a folder or a zip; without PATH it is fetched from its publisher."""
    from data.loading import SourceError
    from data.sources.download import fetch_goodbooks
    from data.sources.goodbooks import open_goodbooks
    from deploy.local.console import bars, load_and_tell

    with saying(SourceError), state() as (settings, databases):
        if path is None:
            with bars() as progress:
                path = fetch_goodbooks(settings.home / "downloads", progress)
        with open_goodbooks(path) as source:
            load_and_tell(source, databases.brs)


@load.command("generate", epilog="Example: brs load generate --readers 20000 --books 10000 --ratings 1000000 --seed 7")
@click.option("--readers", type=SIZE, required=True)
@click.option("--books", type=SIZE, required=True)
@click.option("--ratings", type=click.IntRange(0, 1_000_000_000), required=True)
@click.option("--seed", type=int, default=1, show_default=True)
def load_generated(readers: int, books: int, ratings: int, seed: int) -> None:
    """An invented library of any size, for load tests."""
    from data.loading import SourceError
    from data.sources.generator import Generator
    from deploy.local.console import load_and_tell

    with saying(SourceError), state() as (_, databases):
        load_and_tell(Generator(readers, books, ratings, seed), databases.brs)


@main.group()
def pipeline() -> None:
    """Turn reviews into models."""


@pipeline.command("run", epilog="Example: brs pipeline run --select rating_aggregates --select book_statistics")
@click.option("--select", multiple=True, metavar="ASSET", help="Only these assets; again for each.")
def pipeline_run(select: Sequence[str]) -> None:
    """Extract, aggregate, learn, evaluate, and promote what is better. Exit code 0 only when everything passed."""
    from deploy.local.pipeline import run_and_tell

    run_and_tell("refresh", select)


@pipeline.command("tune", epilog="Example: brs pipeline tune --seconds 600 --trials 20")
@click.option("--seconds", type=click.IntRange(1), help="At most; else BRS_TUNE_SECONDS.")
@click.option("--trials", type=click.IntRange(2), help="At most; else BRS_TUNE_TRIALS.")
def pipeline_tune(seconds: int | None, trials: int | None) -> None:
    """Look for a better recipe on the last extract. Cut off, it goes on where it stopped; the next run judges it."""
    from deploy.local.pipeline import run_and_tell

    run_and_tell("tune", tune_seconds=seconds, tune_trials=trials)


main.add_command(models)
main.add_command(report)


@main.command(epilog="Example: brs recommend reader-0001@sample.invalid --limit 5")
@click.argument("email")
@click.option("--limit", type=click.IntRange(1, 50), default=10, show_default=True)
def recommend(email: str, limit: int) -> None:
    """What the champion recommends to the reader with EMAIL, with reasons."""
    from data.accounts import NoSuchAccount
    from deploy.local.recommend import print_recommendations
    from models.bundle import BundleRefused
    from models.registry import RegistryUnavailable

    with saying(NoSuchAccount, RegistryUnavailable, BundleRefused), state() as (settings, databases):
        print_recommendations(settings, databases, email, limit)


@main.command(epilog="Example: brs export --out library.duckdb")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file; else exports/brs.duckdb of the state folder.",
)
def export(out: Path | None) -> None:
    """Write the analysts' files from the last extract: DuckDB, and the same tables as Parquet beside it."""
    from data.export import export as write
    from data.export import parquet_folder
    from data.lake import LakeUnreadable

    settings = StateSettings()
    file = out or settings.exports / "brs.duckdb"
    with saying(LakeUnreadable, OSError):
        rows = write(settings.lake, file)
    click.echo(f"{file} and {parquet_folder(file)}: " + ", ".join(f"{n:,} {table}" for table, n in rows.items()))


@main.command(epilog="Example: brs doctor --json")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def doctor(*, as_json: bool) -> None:
    """What is there, what works, and what to do about the rest. Exit code 1 when something is wrong."""
    from deploy.local.doctor import examine

    findings = examine(StateSettings())
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings]))
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.ok else 'BAD '} {finding.what:<12} {finding.says}")
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


main.add_command(bench)


@main.group()
def admin() -> None:
    """Accounts, as an operator changes them."""


@admin.command("create", epilog="Example: echo 'S3cret-of-mine' | brs admin create ada@example.org --password-stdin")
@click.argument("email")
@click.option("--password-stdin", is_flag=True, required=True, help="Read the password from standard input.")
@click.option("--first-name", default="Admin", show_default=True)
@click.option("--last-name", default="Admin", show_default=True)
def admin_create(email: str, first_name: str, last_name: str, *, password_stdin: bool) -> None:  # noqa: ARG001
    """Make an account that may edit books and genres."""
    from serving.auth.operator import AccountRefused, create_admin

    password = sys.stdin.readline().rstrip("\n")
    with saying(AccountRefused), state() as (_, databases):
        asyncio.run(create_admin(databases.brs, email, password, first_name, last_name))
    click.echo(f"{email} is an administrator.")


def _account_command(name: str, does: str, said: str, **changes: bool) -> None:
    @admin.command(name, help=does, epilog=f"Example: brs admin {name} ada@example.org")
    @click.argument("email")
    def change(email: str) -> None:
        from data.accounts import NoSuchAccount, change_account

        with saying(NoSuchAccount), state() as (_, databases):
            change_account(databases.brs, email, **changes)
        click.echo(f"{email} {said}.")


_account_command("grant", "Let EMAIL edit books and genres.", "is an administrator", is_admin=True)
_account_command("disable", "Lock EMAIL out, at once and everywhere.", "is disabled", is_active=False)
_account_command("enable", "Let EMAIL sign in again.", "is enabled", is_active=True)

if __name__ == "__main__":
    main(prog_name="brs")
