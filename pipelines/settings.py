"""What the pipeline alone is told."""

from typing import Self

from pydantic import Field, SecretStr

from data.settings import StateSettings


class PipelineSettings(StateSettings):
    """The shared settings and the pipeline's own.

    Attributes:
        lake_key: Key of the readers' pseudonyms; without it a random one is kept under ``home``.
        tune_seconds: How long tuning may take at most, as far as can be told before a trial begins.
        tune_trials: Recipes that tuning tries, in both of its stages together.
    """

    lake_key: SecretStr | None = None
    tune_seconds: int = Field(default=3600, ge=1)
    tune_trials: int = Field(default=60, ge=2)

    @classmethod
    def beside(cls, settings: StateSettings) -> Self:
        """The shared settings as they were given, the pipeline's own from the environment."""
        return settings if isinstance(settings, cls) else cls(**settings.model_dump())
