"""`brs report`: what is known of the recommendations' quality."""
# ruff: noqa: PLC0415 - polars and numpy take their time to import: `brs --help` need not wait for it

import datetime as dt
import json

import click

from deploy.local.command import saying, state

KEPT_DAYS = 90  # of the pages that readers were shown


@click.group()
def report() -> None:
    """How good the recommendations are."""


@report.command("page", epilog="Example: brs report page --open")
@click.option("--open", "is_opened", is_flag=True, help="Show it in the browser.")
def page(*, is_opened: bool) -> None:
    """Judge the recipe by all protocols on the last extract, and write it as one HTML page. Takes minutes."""
    from deploy.local.pipeline import run_and_tell

    run_and_tell("report")
    if is_opened:
        from data.settings import StateSettings
        from pipelines.assets.report import REPORT

        click.launch(str(StateSettings().exports / REPORT))


@report.command("online", epilog="Example: brs report online --days 60")
@click.option("--days", type=click.IntRange(1, KEPT_DAYS), default=KEPT_DAYS, show_default=True, help="That far back.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def online(days: int, *, as_json: bool) -> None:
    """What readers did with what they were shown, by model version and source, with 95 % intervals."""
    from data.online import shown
    from pipelines.online import table

    until = dt.datetime.now(dt.UTC)
    with state() as (_, databases):
        rows = shown(databases.brs, until - dt.timedelta(days=days), until)
    if as_json:
        click.echo(json.dumps([row._asdict() for row in rows]))
    else:
        click.echo(table(rows) if rows else f"No reader was shown anything in the last {days} days.")


@report.command("weeks", epilog="Example: brs report weeks --last 8")
@click.option("--last", type=click.IntRange(1, 520), default=4, show_default=True, help="So many weeks.")
def weeks(last: int) -> None:
    """Judge what models of past weeks would have been worth in the weeks that followed, beside popularity."""
    from data.lake import LakeUnreadable
    from data.settings import StateSettings
    from deploy.local.pipeline import run_and_tell
    from pipelines.looking_back import FOLDER, judgeable, kept, table

    settings = StateSettings()
    with saying(LakeUnreadable):
        chosen = judgeable(settings.lake, last)
    for week in chosen:
        run_and_tell("look_back", partition=week)
    click.echo(table(kept(settings.home / "training" / FOLDER)) if chosen else "The ratings do not cover enough weeks.")


@report.command("nights", epilog="Example: brs report nights --nights 30 --whole")
@click.option("--nights", "count", type=click.IntRange(1, 120), default=30, show_default=True)
@click.option("--whole/--quick", default=False, help="Learn the re-ranker, too: minutes a night.", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def simulated(count: int, *, whole: bool, as_json: bool) -> None:
    """Replay the last days of the sample, night by night: what the gate promotes, what becomes of new books.

    A better recipe is put forward on the tenth night, one that is hardly different on the twentieth.
    """
    from data.sources.sample import sample_library
    from pipelines.simulation import nights, proposals, summary, table, world_of

    told = list(nights(world_of(sample_library(), count), count, proposals(whole=whole)))
    click.echo(json.dumps([night.to_json() for night in told]) if as_json else f"{table(told)}\n\n{summary(told)}")
