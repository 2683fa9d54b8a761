"""The promises of deploy/kubernetes, one by one, on the rendered overlays and the real application."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from fastapi.testclient import TestClient

from data.database import Databases
from data.settings import StateSettings
from pipelines.environment import STORAGE_URL
from pipelines.settings import PipelineSettings
from serving.kit.metrics import Metrics
from serving.server import create
from serving.settings import ServiceSettings
from tests.system.manifests import (
    HASH,
    KUBERNETES,
    OVERLAYS,
    ROOT,
    Manifest,
    containers,
    environment,
    find,
    overlay,
    workloads,
)

RUNBOOK = ROOT / "docs" / "runbook.md"
OTHERS_VARIABLES = {
    STORAGE_URL, "BRS_NAMESPACE", "BRS_PIPELINE_IMAGE", "BRS_PIPELINE_CONFIG", "BRS_INSTANCE_CONFIG", "BRS_BACKUP_URL",
    "ARTIFACTS", "MLFLOW_BACKEND_STORE_URI", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION",
}  # fmt: skip


def api() -> Manifest:
    return find("Deployment", "brs-api")["spec"]["template"]["spec"]["containers"][0]


def names_of(settings: type[ServiceSettings | StateSettings | PipelineSettings]) -> set[str]:
    return {
        name.upper() if name in {"database_url", "redis_url"} else f"BRS_{name.upper()}"
        for name in settings.model_fields
    }


@pytest.mark.parametrize("name", OVERLAYS)
def test_our_renderer_makes_what_kubectl_makes(name: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here to compare with")
    told = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES / "overlays" / name)], capture_output=True, text=True, check=True
    )
    theirs = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(told.stdout)}
    assert {(one["kind"], one["metadata"]["name"]): one for one in overlay(name)} == theirs


@pytest.mark.parametrize("name", OVERLAYS)
def test_nothing_is_left_for_an_overlay_to_say(name: str) -> None:
    assert "set-by-the-overlay" not in json.dumps(overlay(name))
    assert "10.0.0.0/16" not in json.dumps(overlay(name))
    assert {one["metadata"].get("namespace") for one in overlay(name) if one["kind"] != "Namespace"} == {f"brs-{name}"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_namespace_enforces_pod_security_restricted_and_every_pod_keeps_to_it(name: str) -> None:
    (namespace,) = (one for one in overlay(name) if one["kind"] == "Namespace")
    assert namespace["metadata"]["name"] == f"brs-{name}"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for where, pod, container in containers(name):
        assert pod["securityContext"]["runAsNonRoot"], where
        assert pod["securityContext"]["runAsUser"] >= 10000, where
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, where
        own = container["securityContext"]
        assert (own["allowPrivilegeEscalation"], own["readOnlyRootFilesystem"]) == (False, True), where
        assert own["capabilities"] == {"drop": ["ALL"]}, where
        assert not any("hostPath" in volume for volume in pod["volumes"]), where
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}, where  # noqa: S108


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_container_has_a_pinned_image_and_limits(name: str) -> None:
    seen = list(containers(name))
    assert len(seen) >= 7
    for where, _, container in seen:
        image, _, tag = container["image"].rpartition(":")
        assert image, where
        assert tag not in {"", "latest"}, where
        for kind in ("requests", "limits"):
            assert {"cpu", "memory"} <= set(container["resources"][kind]), where


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_secret_is_in_git_and_each_part_gets_its_own(name: str) -> None:
    assert not any(one["kind"] == "Secret" for one in overlay(name))
    stores = {one["spec"]["secretStoreRef"]["name"] for one in overlay(name) if one["kind"] == "ExternalSecret"}
    assert stores == {"brs"}
    store = find("SecretStore", "brs", name)["spec"]["provider"]["aws"]
    assert store["service"] == "SecretsManager"
    secrets = {
        one["metadata"]["name"]: one["spec"]["target"]["template"]["data"]
        for one in overlay(name)
        if one["kind"] == "ExternalSecret"
    }
    for data in secrets.values():
        for value in data.values():
            assert "{{" in value  # a template, not a value
    # Whoever signs tokens is alone with the key; Dagster's own programs and MLflow see no reader's row.
    assert {of for of, data in secrets.items() if "BRS_SECRET_KEY" in data} == {"brs-api"}
    assert "DATABASE_URL" not in {**secrets["brs-dagster"], **secrets["brs-mlflow"]}
    for where, _, container in containers(name):
        for variable, value in environment(container, name).items():
            assert value is None or not re.search(r"PASSWORD|SECRET|TOKEN|KEY", variable), where


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_variable_is_a_setting_and_every_part_starts_with_what_it_gets(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = names_of(ServiceSettings) | names_of(StateSettings) | names_of(PipelineSettings) | OTHERS_VARIABLES
    for where, _, container in containers(name):
        assert set(environment(container, name)) <= known, where
    given = environment(api(), name)
    example = {"DATABASE_URL": "postgresql://h/brs", "REDIS_URL": "redis://h", "BRS_OTHER_SECRET_KEYS": ""}
    for variable, value in given.items():
        monkeypatch.setenv(variable, value if value is not None else example.get(variable, "0123456789abcdef" * 4))
    settings = ServiceSettings()
    assert settings.env == "production"
    assert settings.trusted_hosts
    assert settings.monitoring_token is not None
    assert StateSettings().mlflow_tracking_uri == "http://mlflow:5000"


def test_probes_ask_real_routes_which_answer_to_a_pod_s_address(databases: Databases, tmp_path: Path) -> None:
    container = api()
    probes = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    balancer = find("Ingress", "brs-api")["metadata"]["annotations"]["alb.ingress.kubernetes.io/healthcheck-path"]
    scraped = find("ServiceMonitor", "brs-api")["spec"]["endpoints"][0]["path"]
    assert probes["readiness"] == balancer != probes["liveness"]
    settings = ServiceSettings(trusted_hosts=("api.brs.example.org",), rate_limits=False)
    app = create(settings, StateSettings(home=tmp_path, mlflow_tracking_uri="http://127.0.0.1:9"), databases)
    with TestClient(app, base_url="http://10.20.3.4:8000") as client:
        for path in (*probes.values(), balancer, scraped):
            assert client.get(path).status_code == 200, path
        assert client.get("/api/v1/books").status_code == 400  # everything else wants the service's name
    port = next(port for port in container["ports"] if port["name"] == "http")["containerPort"]
    assert str(port) in container["args"]


def test_a_rollout_takes_no_replica_away_before_another_is_ready() -> None:
    deployment = find("Deployment", "brs-api")["spec"]
    pod = deployment["template"]["spec"]
    assert deployment["replicas"] == 3
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    stays = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    ingress = find("Ingress", "brs-api")["metadata"]["annotations"]
    leaves = int(ingress["alb.ingress.kubernetes.io/target-group-attributes"].rpartition("=")[2])
    assert stays >= leaves  # the pod answers as long as the balancer may send it something
    assert pod["terminationGracePeriodSeconds"] >= stays + 10 + 5  # and ends what it has begun
    # A pod is ready only when the balancer knows it to be: else the old one would be gone before.
    for name in OVERLAYS:
        labels = find("Namespace", f"brs-{name}", name)["metadata"]["labels"]
        assert labels["elbv2.k8s.aws/pod-readiness-gate-inject"] == "enabled"
    assert ingress["alb.ingress.kubernetes.io/target-type"] == "ip"
    spread = {constraint["topologyKey"] for constraint in pod["topologySpreadConstraints"]}
    assert spread == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_autoscaler_and_the_disruption_budget_fit_each_other(name: str) -> None:
    scaler = find("HorizontalPodAutoscaler", "brs-api", name)["spec"]
    budget = find("PodDisruptionBudget", "brs-api", name)["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == ((2, 10) if name == "production" else (2, 4))
    assert scaler["scaleTargetRef"]["name"] == "brs-api"
    targets = {m["resource"]["name"]: m["resource"]["target"]["averageUtilization"] for m in scaler["metrics"]}
    assert targets == {"cpu": 70, "memory": 80}
    assert budget["maxUnavailable"] < scaler["minReplicas"]
    template = find("Deployment", "brs-api", name)["spec"]["template"]["metadata"]["labels"]
    assert budget["selector"]["matchLabels"].items() <= template.items()
    # At its largest the service leaves the database connections for the rest.
    pool = int(find("ConfigMap", "brs-api", name)["data"]["BRS_DATABASE_POOL_SIZE"])
    workers = int(api()["args"][api()["args"].index("--workers") + 1])
    assert pool * workers * scaler["maxReplicas"] <= 160


@pytest.mark.parametrize("name", OVERLAYS)
def test_everything_is_shut_but_what_a_policy_opens(name: str) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in overlay(name) if one["kind"] == "NetworkPolicy"}
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    into_mlflow = [peer["podSelector"]["matchLabels"] for peer in policies["mlflow"]["ingress"][0]["from"]]
    of_the_pipeline = [{"brs/role": "run"}, {"app.kubernetes.io/name": "brs-code-location"}]
    assert into_mlflow == [{"app.kubernetes.io/name": "brs-api"}, *of_the_pipeline]
    assert "0.0.0.0/0" not in json.dumps(policies)  # nothing leaves for the internet
    to_buckets = {of for of, policy in policies.items() if '"port": 443' in json.dumps(policy)}
    assert to_buckets == {"brs-run", "brs-backup", "mlflow", "brs-dagster"}  # the last one's is Kubernetes itself
    network = find("ConfigMap", "brs-api", name)["data"]["BRS_TRUSTED_PROXIES"]
    assert policies["brs-api"]["ingress"][0]["from"] == [{"ipBlock": {"cidr": network}}]


def test_the_ingress_speaks_tls_and_sends_everybody_there() -> None:
    annotations = find("Ingress", "brs-api")["metadata"]["annotations"]
    prefix = "alb.ingress.kubernetes.io/"
    assert annotations[prefix + "ssl-redirect"] == "443"
    assert annotations[prefix + "certificate-arn"].startswith("arn:aws:acm:")
    assert "TLS13" in annotations[prefix + "ssl-policy"]
    assert {"HTTPS": 443} in json.loads(annotations[prefix + "listen-ports"])
    host = find("Ingress", "brs-api")["spec"]["rules"][0]["host"]
    assert host in find("ConfigMap", "brs-api")["data"]["BRS_TRUSTED_HOSTS"].split(",")


def test_only_dagster_may_ask_kubernetes_and_only_for_what_runs_take() -> None:
    roles = [one for one in overlay("production") if one["kind"] in {"Role", "ClusterRole"}]
    assert [role["kind"] for role in roles] == ["Role"]
    rules = {resource: set(rule["verbs"]) for rule in roles[0]["rules"] for resource in rule["resources"]}
    assert "secrets" not in rules
    assert not any("*" in verbs for verbs in rules.values())
    with_token = {where for where, pod in workloads("production") if pod["automountServiceAccountToken"]}
    assert with_token == {"brs-dagster-daemon", "brs-dagster-page"}


def test_migrations_come_before_the_rollout_as_jobs() -> None:
    before = {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]["containers"][0]
        for one in overlay("production")
        if one["metadata"].get("labels", {}).get("brs/stage") == "before"
    }
    assert set(before) == {"brs-migrate", "brs-migrate-state"}
    assert before["brs-migrate"]["args"] == ["migrate"]
    assert "migrate" not in api()["args"]
    assert {one["metadata"]["name"] for one in overlay("production") if one["kind"] == "Job"} == set(before)


def test_dagster_takes_its_configuration_and_runs_are_confined_as_everything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dagster._config import process_config  # noqa: PLC0415 - takes seconds
    from dagster_k8s import K8sRunLauncher  # noqa: PLC0415

    monkeypatch.setenv("BRS_NAMESPACE", "brs-production")
    monkeypatch.setenv("BRS_PIPELINE_IMAGE", "registry/brs-pipeline:1")
    daemon = find("Deployment", "brs-dagster-daemon")["spec"]["template"]["spec"]["containers"][0]
    for variable in ("BRS_PIPELINE_CONFIG", "BRS_INSTANCE_CONFIG"):
        monkeypatch.setenv(variable, str(environment(daemon)[variable]))
    told = yaml.safe_load(find("ConfigMap", "brs-dagster-instance")["data"]["dagster.yaml"])
    config = told["run_launcher"]["config"]
    done = process_config(K8sRunLauncher.config_type(), config)
    assert done.success, done.errors
    run = config["run_k8s_config"]
    assert run["pod_spec_config"]["security_context"]["run_as_non_root"]
    assert run["container_config"]["security_context"]["read_only_root_filesystem"]
    assert {"cpu", "memory"} == set(run["container_config"]["resources"]["limits"])
    names = [*done.value["env_config_maps"], done.value["instance_config_map"]]
    assert all(HASH.search(find("ConfigMap", name)["metadata"]["name"]) and HASH.search(name) for name in names)
    assert {"BRS_PIPELINE_CONFIG", "BRS_INSTANCE_CONFIG"} <= set(config["env_vars"])  # a run reads this file again
    secrets = [find("ExternalSecret", name)["spec"]["target"]["template"]["data"] for name in config["env_secrets"]]
    given = {key for data in secrets for key in data}
    assert {"DATABASE_URL", "BRS_LAKE_KEY", STORAGE_URL} <= given
    find("ServiceAccount", config["service_account_name"])
    find("PersistentVolumeClaim", run["pod_spec_config"]["volumes"][0]["persistent_volume_claim"]["claim_name"])
    alone = {"run_launcher", "compute_logs"}
    of_one_machine = yaml.safe_load((ROOT / "deploy" / "dagster.yaml").read_text())
    assert {key: value for key, value in told.items() if key not in alone} == of_one_machine


def series() -> set[str]:
    """Everything that /metrics can show, by its full name."""
    return {sample for family in Metrics().collected().collect() for sample in _names(family.name, family.type)}


def _names(family: str, kind: str) -> list[str]:
    ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(kind, [""])
    return [family + end for end in ends]


def test_alerts_and_the_dashboard_ask_for_numbers_that_exist_and_alerts_have_their_page() -> None:
    rules = [r for group in find("PrometheusRule", "brs")["spec"]["groups"] for r in group["rules"]]
    dashboard = json.loads(find("ConfigMap", "brs-dashboard")["data"]["brs.json"])
    asked = [rule["expr"] for rule in rules] + [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    mentioned = {name for expression in asked for name in re.findall(r"\bbrs_[a-z_]+", expression)}
    assert mentioned - series() == set()
    assert series() - mentioned - {"brs_http_request_seconds_sum", "brs_http_request_seconds_count"} == set()
    pages = {f"docs/runbook.md#{anchor.lower()}" for anchor in re.findall(r"(?m)^### (\S+)$", RUNBOOK.read_text())}
    for rule in rules:
        assert rule["annotations"]["summary"].endswith("."), rule["alert"]
        assert rule["annotations"]["runbook"] in pages, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
