"""`.env.example` names every setting, and no other."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from data.settings import StateSettings
from pipelines.settings import PipelineSettings
from serving.settings import ServiceSettings

EXAMPLE = Path(__file__).parents[2] / ".env.example"
ALL: tuple[type[BaseSettings], ...] = (StateSettings, PipelineSettings, ServiceSettings)


def documented() -> dict[str, str]:
    return dict(re.findall(r"(?m)^([A-Z_]+)=(.*)$", EXAMPLE.read_text()))


def variables(settings: type[BaseSettings]) -> dict[str, object]:
    return {
        name.upper() if name in {"database_url", "redis_url"} else f"BRS_{name.upper()}": field.default
        for name, field in settings.model_fields.items()
    }


def test_the_example_names_every_setting_and_no_other() -> None:
    known = {name for settings in ALL for name in variables(settings)}
    assert set(documented()) == known


@pytest.mark.parametrize("settings", ALL, ids=lambda settings: settings.__name__)
def test_the_example_as_it_is_gives_the_defaults(settings: type[BaseSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = settings().model_dump(exclude={"home"})
    for name, value in documented().items():
        monkeypatch.setenv(name, value)
    assert settings().model_dump(exclude={"home"}) == plain


def test_a_setting_of_the_wrong_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRS_ENGINE", "abacus")
    with pytest.raises(ValidationError, match="engine"):
        StateSettings()
