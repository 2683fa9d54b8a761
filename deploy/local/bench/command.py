"""`brs bench` on the command line."""

import click

from deploy.local.command import saying


@click.command(
    epilog="Example: brs bench --ratings 100000, or: brs bench --lake, or: brs bench --load --clients 100 --think 1"
)
@click.option("--ratings", type=click.IntRange(1000), default=100_000, show_default=True)
@click.option("--books", type=click.IntRange(100), default=10_000, show_default=True)
@click.option("--load", "as_load", is_flag=True, help="Many clients at once, instead of what one request costs.")
@click.option("--lake", "as_lake", is_flag=True, help="What extracting costs: all, and what changed.")
@click.option("--pipeline", "as_pipeline", is_flag=True, help="What each step of the pipeline costs, and a night.")
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
    as_load: bool,
    as_lake: bool,
    as_pipeline: bool,
    clients: int,
    seconds: float,
    workers: int,
    think: tuple[float, ...],
) -> None:
    """What loading, learning and answering cost here, on a generated library in a temporary folder.

    With --lake only extraction is measured, with --pipeline every step of a run, and of a night with few changes. With
    --load the service is asked by many clients at once, and the command fails when a goal is missed.
    """
    from deploy.local.bench import costs, lake, load, pipeline  # noqa: PLC0415 - brs --help need not wait for the API
    from deploy.local.bench.client import Failed  # noqa: PLC0415
    from deploy.local.supervisor import ChildFailed  # noqa: PLC0415

    with saying(ChildFailed, Failed):
        if as_lake:
            lake.run(books=books, ratings=ratings)
            return
        if as_pipeline:
            pipeline.run(books=books, ratings=ratings)
            return
        if not as_load:
            costs.run(books=books, ratings=ratings)
            return
        shape = load.Shape(clients, seconds, workers)
        if not load.run(shape, think, books=books, ratings=ratings):
            raise click.ClickException("a goal was missed")
