"""`brs bench` on the command line."""

import click

from deploy.local.command import saying


@click.command(
    epilog="Example: brs bench --ratings 100000, or: brs bench --lake, or: brs bench --load --clients 100 --think 1"
)
@click.option("--ratings", type=click.IntRange(1000), default=100_000, show_default=True)
@click.option("--books", type=click.IntRange(100), default=10_000, show_default=True)
@click.option("--lake", "what", flag_value="lake", help="Extraction: all, and what changed.")
@click.option("--pipeline", "what", flag_value="pipeline", help="Each step of a run, and of a night with few changes.")
@click.option("--rankings", "what", flag_value="rankings", help="Lists that are the same for everybody; who waits.")
@click.option("--load", "what", flag_value="load", help="Many clients at once; fails when a goal is missed.")
@click.option("--clients", type=click.IntRange(1, 1000), default=100, show_default=True, help="With --load.")
@click.option("--seconds", type=click.FloatRange(1), default=60, show_default=True, help="With --load.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Of the API, with --load.")
@click.option(
    "--think",
    type=click.FloatRange(0),
    multiple=True,
    default=(1.0, 0.0),
    show_default=True,
    help="With --load: seconds that a client waits between requests, on average. Repeatable.",
)
def bench(  # noqa: PLR0913 - as many as there are options
    *,
    ratings: int,
    books: int,
    what: str | None,
    clients: int,
    seconds: float,
    workers: int,
    think: tuple[float, ...],
) -> None:
    """What loading, learning and answering cost here, on a generated library in a temporary folder.

    Without --lake, --pipeline, --rankings or --load: what one request of each kind costs.
    """
    from deploy.local.bench import costs, lake, load, pipeline, rankings  # noqa: PLC0415 - --help need not wait for it
    from deploy.local.bench.client import Failed  # noqa: PLC0415
    from deploy.local.supervisor import ChildFailed  # noqa: PLC0415

    with saying(ChildFailed, Failed):
        if what == "load":
            shape = load.Shape(clients, seconds, workers)
            if not load.run(shape, think, books=books, ratings=ratings):
                raise click.ClickException("a goal was missed")
            return
        kinds = {"lake": lake, "pipeline": pipeline, "rankings": rankings}
        kinds.get(what or "", costs).run(books=books, ratings=ratings)
