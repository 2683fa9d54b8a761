"""What the pipeline alone is told."""

from typing import Self

from pydantic import SecretStr

from data.settings import StateSettings


class PipelineSettings(StateSettings):
    """The shared settings and the pipeline's own.

    Attributes:
        lake_key: Key of the readers' pseudonyms; without it a random one is kept under ``home``.
    """

    lake_key: SecretStr | None = None

    @classmethod
    def beside(cls, settings: StateSettings) -> Self:
        """The shared settings as they were given, the pipeline's own from the environment."""
        return settings if isinstance(settings, cls) else cls(**settings.model_dump())
