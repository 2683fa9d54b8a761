"""The code location: what the Dagster page, its daemon and `brs pipeline run` load."""

import dagster as dg

from pipelines.assets import aggregates, extract, genres, looking_back, publish, report, taste, tuning
from pipelines.automation import NIGHTLY, full_report, look_back, refresh, sensor, tune, weekly
from pipelines.checks import age_checks, drift_checks, extract_checks, statistics_checks
from pipelines.resources import onlooker, state
from pipelines.sensors import SENSORS
from pipelines.settings import PipelineSettings

ASSETS = (
    extract.extract,
    aggregates.rating_aggregates,
    aggregates.groups,
    aggregates.what_readers_do,
    publish.book_statistics,
    taste.taste_model,
    taste.evaluation,
    genres.genre_model,
    genres.genre_proposals,
    taste.champion,
    publish.export,
)
APART = (tuning.tuned_recipe, report.quality_report, looking_back.past_evaluation)
"""In jobs of their own: no night asks for them."""
CHECKS = (extract_checks, age_checks, statistics_checks, drift_checks)


def library(
    resource: dg.ResourceDefinition, watch: dg.ResourceDefinition | None = None, **loggers: dg.LoggerDefinition
) -> dg.Definitions:
    """Everything, with the given resource and, where there are any, these loggers instead of Dagster's own.

    ``watch`` is what sensors look at, as the environment names it when None.
    """
    return dg.Definitions(
        assets=[
            *(
                asset.map_asset_specs(lambda spec: spec.replace_attributes(automation_condition=NIGHTLY))
                for asset in ASSETS
            ),
            *APART,
        ],
        asset_checks=CHECKS,
        jobs=[refresh, tune, full_report, look_back],
        schedules=[weekly],
        sensors=[sensor(), *SENSORS, looking_back.library_weeks],
        resources={"state": resource, "onlooker": watch or onlooker(PipelineSettings)},
        loggers=loggers,
        # One process a run: training wants the cores, and the files of one step are warm for the next.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """For ``workspace.yaml`` and ``dg``; the environment is read when a run begins."""
    return library(state(PipelineSettings))
