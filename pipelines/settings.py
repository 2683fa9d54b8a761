"""What the pipeline alone is told."""

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from data.settings import StateSettings
from data.upload import place


class PipelineSettings(StateSettings):
    """The shared settings and the pipeline's own.

    Attributes:
        lake_key: Key of the readers' pseudonyms; without it a random one is kept under ``home``.
        tune_seconds: How long tuning may take at most, as far as can be told before a trial begins.
        tune_trials: Recipes that tuning tries, in both of its stages together.
        retrain_after_ratings: So many new ratings since the last training begin one before the night; 0: never.
        stale_model_days: A champion older than that raises an alert; 0: never.
        alert_webhook: Where alerts are posted as JSON, an http or https address; the log alone without it.
        export_url: Where the analysts' files go as well, such as ``s3://bucket/export``; nowhere else without it.
        commit: Which commit this was built from; without it git is asked, where there is a checkout.
    """

    # An address of a webhook is a secret, and what is wrong with it must not print it.
    model_config = SettingsConfigDict(hide_input_in_errors=True)

    lake_key: SecretStr | None = None
    tune_seconds: int = Field(default=3600, ge=1)
    tune_trials: int = Field(default=60, ge=2)
    retrain_after_ratings: int = Field(default=10_000, ge=0)
    stale_model_days: float = Field(default=3.0, ge=0)
    alert_webhook: SecretStr | None = None
    export_url: str | None = None
    commit: str | None = Field(default=None, max_length=100)

    @field_validator("alert_webhook")
    @classmethod
    def _an_address_to_post_to(cls, given: SecretStr | None) -> SecretStr | None:
        if given is None:
            return None
        parts = urlsplit(given.get_secret_value())
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
            raise ValueError("BRS_ALERT_WEBHOOK must be http://… or https://…, without user:password@")
        if any(c.isspace() or not c.isascii() for c in given.get_secret_value()):
            raise ValueError("BRS_ALERT_WEBHOOK must be plain ASCII without spaces")
        return given

    @field_validator("export_url")
    @classmethod
    def _a_bucket(cls, given: str | None) -> str | None:
        if given is not None:
            place(given)
        return given

    @classmethod
    def beside(cls, settings: StateSettings) -> Self:
        """The shared settings as they were given, the pipeline's own from the environment."""
        return settings if isinstance(settings, cls) else cls(**settings.model_dump())
