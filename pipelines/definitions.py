"""The code location: what the Dagster page, its daemon and `brs pipeline run` load."""

import dagster as dg

from pipelines.assets import aggregates, extract, genres, publish, report, taste, tuning
from pipelines.automation import NIGHTLY, full_report, refresh, sensor, tune, weekly
from pipelines.checks import extract_checks, statistics_checks
from pipelines.resources import state
from pipelines.settings import PipelineSettings

ASSETS = (
    extract.extract,
    aggregates.rating_aggregates,
    publish.book_statistics,
    taste.taste_model,
    taste.evaluation,
    genres.genre_model,
    genres.genre_proposals,
    taste.champion,
    publish.export,
)
BY_HAND = (tuning.tuned_recipe, report.quality_report)
"""In jobs of their own: no night asks for them."""
CHECKS = (extract_checks, statistics_checks)


def library(resource: dg.ResourceDefinition, **loggers: dg.LoggerDefinition) -> dg.Definitions:
    """Everything, with the given resource and, where there are any, these loggers instead of Dagster's own."""
    return dg.Definitions(
        assets=[
            *(
                asset.map_asset_specs(lambda spec: spec.replace_attributes(automation_condition=NIGHTLY))
                for asset in ASSETS
            ),
            *BY_HAND,
        ],
        asset_checks=CHECKS,
        jobs=[refresh, tune, full_report],
        schedules=[weekly],
        sensors=[sensor()],
        resources={"state": resource},
        loggers=loggers,
        # One process a run: training wants the cores, and the files of one step are warm for the next.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """For ``workspace.yaml`` and ``dg``; the environment is read when a run begins."""
    return library(state(PipelineSettings))
