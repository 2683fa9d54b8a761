"""What the images are made of, and the compose file that runs them all. `make images` starts the API as it does."""

import http.server
import re
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from data.settings import StateSettings
from deploy.images import ready, try_api
from pipelines.environment import STORAGE_URL
from pipelines.settings import PipelineSettings
from serving.app import create_app
from serving.settings import ServiceSettings

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "deploy" / "images").glob("*.Dockerfile"))
PINNED = re.compile(r"[a-z]+:\d[\w.-]+@sha256:[0-9a-f]{64}")
ONE_SHOT = {"migrate"}


@cache
def compose() -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    return told


def text(name: str) -> str:
    return (ROOT / "deploy" / "images" / f"{name}.Dockerfile").read_text()


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_is_pinned_to_its_base_and_runs_as_nobody_in_particular(dockerfile: Path) -> None:
    told = dockerfile.read_text()
    (base,) = re.findall(r"(?m)^ARG [A-Z]+=([a-z]\S+)$", told)
    assert PINNED.fullmatch(base)
    assert re.search(r"(?m)^USER 10001:10001$", told)
    assert 'ENTRYPOINT ["tini", "--"' in told
    # The one thing that is fetched when an image is built, from whom it is about; databases' addresses name its place.
    roots = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
    assert re.findall(r"(?m)^ADD (.*)$", told) == [f"--chmod=0444 {roots} /etc/ssl/brs/rds.pem"]


@pytest.mark.parametrize("name", ["api", "pipeline"])
def test_an_image_of_ours_is_locked_and_built_in_one_stage_for_another(name: str) -> None:
    told = text(name)
    stages = re.findall(r"(?m)^FROM (\S+)", told)
    assert stages[:2] == ["${PYTHON}", "${PYTHON}"]
    assert set(stages[2:]) <= {"api"}
    assert "--require-hashes" in told
    runtime = told[told.index("FROM", told.index("FROM") + 1) :]
    assert "pip install" not in runtime  # built in one stage, copied into another


def test_the_api_s_image_has_serving_s_requirements_alone_and_asks_a_real_route(tmp_path: Path) -> None:
    assert re.findall(r"deploy/(\w+)\.lock", text("api")) == ["serving"]
    assert re.findall(r"deploy/(\w+)\.lock", text("pipeline")) == ["pipeline"]
    assert "/app/deploy/ready.py" in text("api")
    app = create_app(ServiceSettings(), database_url="postgresql://h/x", tracking_uri=None, bundles=tmp_path)
    assert ready.READINESS in app.openapi()["paths"]


def test_what_the_api_s_image_copies_is_all_it_imports(tmp_path: Path) -> None:
    for source, below in try_api.copied():
        (tmp_path / below).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / below).symlink_to(source)
    program = (
        "import sys, brs, deploy.local.registry, serving.app, serving.auth.operator, serving.server\n"
        "rooms = ('brs', 'data', 'models', 'pipelines', 'serving', 'deploy')\n"
        "for name, module in sorted(sys.modules.items()):\n"
        "    if name.split('.')[0] in rooms and getattr(module, '__file__', None): print(module.__file__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    files = [Path(line) for line in done.stdout.splitlines()]
    assert len(files) > 60
    assert [file for file in files if not file.is_relative_to(tmp_path)] == []


def test_the_builder_sees_what_the_images_copy_and_neither_state_nor_secrets() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    for dockerfile in DOCKERFILES:
        for words in re.findall(r"(?m)^COPY (?!--)(.*)$", dockerfile.read_text()):
            for source in words.split()[:-1]:
                assert any(Path(source).is_relative_to(path) for path in allowed), source
                assert (ROOT / source).exists(), source
    assert not any(path.startswith((".env", ".git", ".brs", "tests")) for path in allowed)


def test_backups_are_made_by_the_programs_of_the_server_s_own_image() -> None:
    told = text("backup")
    (base,) = re.findall(r"(?m)^ARG POSTGRES=(\S+)$", told)
    assert base == compose()["services"]["postgres"]["image"]
    assert base in (ROOT / "deploy" / "scripts" / "databases.sh").read_text()
    major = re.search(r"postgres:(\d+)\.", base)
    assert major
    assert f"/usr/lib/postgresql/{major[1]}/bin" in told
    assert f'engine_version = "{major[1]}"' in (ROOT / "deploy" / "terraform" / "database.tf").read_text()
    needed = {Path(path).name for path in re.findall(r"deploy/scripts/(\S+)", told)}
    sourced = re.findall(r'\$\(dirname "\$0"\)/([\w.]+)', "".join(
        (ROOT / "deploy" / "scripts" / name).read_text() for name in ("backup", "restore")
    ))  # fmt: skip
    assert {"backup", "restore", "offsite.py", *sourced} == needed


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_says_what_readiness_says(monkeypatch: pytest.MonkeyPatch, status: int, code: int) -> None:
    asked = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PORT", str(server.server_address[1]))
        assert ready.main() == code
        server.shutdown()
    assert asked == [ready.READINESS]


def test_compose_has_the_whole_and_every_part_is_pinned_confined_and_watched() -> None:
    services = compose()["services"]
    assert set(services) == {
        "proxy", "api-1", "api-2", "migrate", "code-location", "dagster-daemon", "dagster-page", "mlflow", "postgres",
        "redis",
    }  # fmt: skip
    for name, service in services.items():
        assert "build" in service or PINNED.fullmatch(service["image"]), name
        assert {"cpus", "memory"} == set(service["deploy"]["resources"]["limits"]), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("read_only") or name == "postgres", name
        built = str(service.get("build", {}).get("dockerfile"))
        checks_itself = "api.Dockerfile" in built or name in {"proxy", "dagster-daemon"}
        assert "healthcheck" in service or checks_itself or name in ONE_SHOT, name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name  # who wants more puts TLS before it
    assert services["postgres"]["image"].startswith("postgres:18.")
    assert compose()["networks"]["inside"]["internal"]


def test_compose_starts_nothing_on_a_schema_that_is_not_there() -> None:
    services = compose()["services"]
    for name in ("api-1", "api-2", "mlflow", "code-location"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["migrate"]["build"]["target"] == "migrate"
    assert services["migrate"]["restart"] == "no"
    upstreams = re.findall(r"server (\S+):8000", (ROOT / "deploy" / "compose" / "nginx.conf").read_text())
    assert upstreams == ["api-1", "api-2"]


def filled(value: object) -> str:
    """As compose fills it in from an .env with secrets of the right length."""
    return re.sub(r"\$\{(\w+)(?::([?-])([^}]*))?\}", lambda m: m[3] if m[2] == "-" else "ab12cd34" * 8, str(value))


def test_compose_tells_every_part_what_it_needs_and_keeps_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        name.upper() if name in {"database_url", "redis_url"} else f"BRS_{name.upper()}"
        for settings in (ServiceSettings, StateSettings, PipelineSettings)
        for name in settings.model_fields
    }
    for name in ("api-1", "api-2", "migrate", "code-location", "dagster-daemon", "dagster-page"):
        assert set(compose()["services"][name]["environment"]) <= known | {STORAGE_URL}, name
    for name, service in compose()["services"].items():
        for variable, value in (service.get("environment") or {}).items():
            if re.search(r"PASSWORD|SECRET|TOKEN|_KEY$", variable) or "://brs:" in str(value):
                assert "${" in str(value), f"{name}: {variable}"
    for variable, value in compose()["services"]["api-1"]["environment"].items():
        monkeypatch.setenv(variable, filled(value))
    settings = ServiceSettings()
    assert settings.env == "production"
    assert settings.trusted_proxies == (compose()["networks"]["inside"]["ipam"]["config"][0]["subnet"],)
    assert StateSettings().mlflow_tracking_uri == "http://mlflow:5000"
