"""What the service can be told, and what production refuses."""

import pytest
from pydantic import ValidationError

from serving.settings import PLACEHOLDER_SECRET, ServiceSettings

GOOD = {
    "BRS_ENV": "production",
    "BRS_SECRET_KEY": "0f3c9a7be1d24568ac0f3c9a7be1d245",
    "DATABASE_URL": "postgresql://brs@db/brs",
}


def read(monkeypatch: pytest.MonkeyPatch, **variables: str) -> ServiceSettings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return ServiceSettings()


def test_production_starts_with_good_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, **GOOD, BRS_CORS_ORIGINS="https://a.example, https://b.example")
    assert settings.cors_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"BRS_SECRET_KEY": PLACEHOLDER_SECRET}, "BRS_SECRET_KEY"),
        ({"BRS_SECRET_KEY": "please-change-me-please-change-me-please"}, "BRS_SECRET_KEY"),
        ({"BRS_SECRET_KEY": "short"}, "BRS_SECRET_KEY"),
        ({"BRS_SECRET_KEY": "a" * 64}, "BRS_SECRET_KEY"),
        ({"BRS_CORS_ORIGINS": "*"}, "BRS_CORS_ORIGINS"),
        ({"BRS_CORS_ORIGINS": '["https://a.example", "*"]'}, "BRS_CORS_ORIGINS"),
        ({"DATABASE_URL": ""}, "DATABASE_URL"),
    ],
)
def test_production_refuses(monkeypatch: pytest.MonkeyPatch, change: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as refused:
        read(monkeypatch, **{**GOOD, **change})
    told = "; ".join(error["msg"] for error in refused.value.errors(include_input=False))
    assert change.get("BRS_SECRET_KEY", "-no-secret-") not in told
    assert ServiceSettings(env="development")


def test_development_starts_with_nothing_set() -> None:
    settings = ServiceSettings()
    assert settings.trusted_hosts == ("localhost", "127.0.0.1", "[::1]")


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = repr(read(monkeypatch, **GOOD, BRS_MONITORING_TOKEN="a-token"))
    assert GOOD["BRS_SECRET_KEY"] not in shown
    assert "a-token" not in shown
    assert GOOD["DATABASE_URL"] not in shown


def test_a_proxy_that_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, BRS_TRUSTED_PROXIES="10.0.0.0/8, ::1").trusted_proxies == ("10.0.0.0/8", "::1")
    with pytest.raises(ValidationError, match="BRS_TRUSTED_PROXIES"):
        read(monkeypatch, BRS_TRUSTED_PROXIES="everybody")
