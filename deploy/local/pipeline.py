"""One run of a job of the pipeline, told line by line."""

from collections.abc import Sequence

import click

from deploy.local.command import saying, state
from deploy.local.console import PipelineLines


def run_and_tell(job: str, select: Sequence[str] = (), partition: str | None = None, **bounds: int | None) -> None:
    """``bounds`` replace what the environment says of the settings of these names; None leaves them.

    Raises:
        click.ClickException: Something did not pass.
    """
    # Dagster takes seconds to import: `brs --help` need not wait for it.
    from pipelines.run import PipelineBusy, UnknownAsset, run  # noqa: PLC0415
    from pipelines.settings import PipelineSettings  # noqa: PLC0415

    given = {name: value for name, value in bounds.items() if value is not None}
    with saying(PipelineBusy, UnknownAsset), state() as (shared, databases), PipelineLines() as lines:
        settings = PipelineSettings.beside(shared).model_copy(update=given)
        passed = run(settings, databases, job=job, select=select, partition=partition, on_event=lines)
    if not passed:
        raise click.ClickException(f"the pipeline did not pass; see {settings.logs / 'pipeline.log'}")
