"""The workflows that build and deliver, the scripts they call, and the infrastructure they apply."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.lint.render import rendered

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TERRAFORM = ROOT / "deploy" / "terraform"
SCRIPTS = ROOT / "deploy" / "scripts"

Job = dict[str, Any]


def jobs() -> Iterator[tuple[str, Job]]:
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            yield f"{path.stem}/{name}", job


def job(name: str) -> Job:
    return dict(jobs())[name]


def commands(of: Job) -> str:
    return "\n".join(step.get("run", "") for step in of.get("steps", []))


def test_the_workflows_are_those_that_are_wanted() -> None:
    assert {path.stem for path in WORKFLOWS} == {"ci", "deploy", "infrastructure", "nightly"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_its_commit_and_says_its_version(path: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert used
    for action, after in used:
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", after), action


def test_no_job_has_more_rights_than_it_names_nor_runs_for_ever() -> None:
    for name, told in jobs():
        assert "permissions" in told, name
        assert "timeout-minutes" in told or "uses" in told, name
        may_write = {what for what, level in told["permissions"].items() if level == "write"}
        assert may_write <= {"id-token"}, name
    for path in WORKFLOWS:
        assert yaml.safe_load(path.read_text())["permissions"] == {}, path.name
        assert not re.search(r"secrets\.|AWS_SECRET_ACCESS_KEY|aws-secret-access-key", path.read_text()), path.name


def test_what_is_delivered_was_tested_signed_and_verified() -> None:
    assert job("deploy/ci")["uses"] == "./.github/workflows/ci.yml"
    assert job("deploy/build")["needs"] == "ci"
    assert job("deploy/roll-out")["needs"] == "build"
    assert "cosign sign --yes" in commands(job("deploy/build"))
    verified = commands(job("deploy/roll-out"))
    assert verified.index("cosign verify") < verified.index("deploy/scripts/deploy.sh")
    assert job("deploy/roll-out")["environment"]
    assert ".ci/run" in commands(job("ci/checks"))
    assert "make coverage" in commands(job("ci/coverage"))


def test_infrastructure_is_planned_for_pull_requests_and_applied_after_an_approval() -> None:
    assert "terraform plan" in commands(job("infrastructure/plan"))
    assert "terraform apply" not in commands(job("infrastructure/plan"))
    assert job("infrastructure/apply")["environment"].endswith("-infrastructure")
    policy = re.search(r"policy=([0-9a-f]{64})", (SCRIPTS / "setup-infrastructure.sh").read_text())
    assert policy
    assert policy[1] in (ROOT / ".github" / "workflows" / "infrastructure.yml").read_text()


def test_what_workflows_call_is_there() -> None:
    said = "\n".join(commands(told) for _, told in jobs())
    for script in re.findall(r"(?m)^\s*(deploy/scripts/\S+|\.ci/\S+)", said):
        assert os.access(ROOT / script, os.X_OK), script
    targets = set(re.findall(r"(?m)^(\w+):", (ROOT / "Makefile").read_text()))
    assert set(re.findall(r"\bmake (\w+)", said)) <= targets
    for test in re.findall(r"tests/[\w/]+\.py", said):
        assert (ROOT / test).is_file(), test


def test_a_release_has_digests_the_account_s_names_and_the_number_of_replicas_there_is(tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here")
    stub = tmp_path / "bin" / "kubectl"
    stub.parent.mkdir()
    stub.write_text(f'#!/bin/sh\nif [ "$1" = get ]; then printf 7; else exec {kubectl} "$@"; fi\n')
    stub.chmod(0o755)
    (tmp_path / "overlay").symlink_to(ROOT / "deploy" / "kubernetes" / "overlays" / "production")
    images = [
        f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/brs-production/{name}@sha256:{'ab' * 32}" for name in "amp"
    ]
    told = subprocess.run(
        ["bash", "-euc", f'. {SCRIPTS}/common.sh; release production "$@" {tmp_path}', "release", *images],
        env={
            "PATH": f"{stub.parent}:/usr/bin:/bin", "ACCOUNT": "123456789012", "AWS_REGION": "eu-west-1",
            "HOST": "api.other.example", "CERTIFICATE": "arn:aws:acm:c", "FIREWALL": "arn:aws:wafv2:f",
        },
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    manifests = list(yaml.safe_load_all(told.stdout))
    assert len(manifests) == len(rendered(ROOT / "deploy" / "kubernetes" / "overlays" / "production"))
    said = json.dumps(manifests)
    assert not re.search(
        r"0{12}|brs\.example\.org|of-terraform|eu-central-1", said.replace("https://brs.example.org", "")
    )
    started = {
        container["image"]
        for one in manifests
        if one["kind"] in {"Deployment", "Job"}
        for container in one["spec"]["template"]["spec"]["containers"]
    }
    assert started == set(images)
    (api,) = (one for one in manifests if (one["kind"], one["metadata"]["name"]) == ("Deployment", "brs-api"))
    assert api["spec"]["replicas"] == 7
    (runs,) = (one for one in manifests if one["metadata"]["name"] == "brs-release")
    assert runs["data"]["pipeline-image"] == images[2]


def test_terraform_keeps_its_promises() -> None:
    told = {path.stem: path.read_text() for path in TERRAFORM.glob("*.tf")}
    database = told["database"]
    for line in (
        "storage_encrypted     = true", "backup_retention_period  = 7", "publicly_accessible    = false",
        "manage_master_user_password   = true", "database_insights_mode",
    ):  # fmt: skip
        assert line in database, line
    assert 'image_tag_mutability = "IMMUTABLE"' in told["storage"]
    assert "scan_on_push = true" in told["storage"]
    assert "use_lockfile = true" in told["versions"]
    assert set(re.findall(r'(?m)^      version = "(\S+) ', told["versions"])) == {"~>"}
    assert "enable_key_rotation     = true" in told["keys"]
    assert '"0.0.0.0/0"' in told["variables"]  # refused for the API server
    # One group of networks, whoever names them.
    for name in ("staging", "production"):
        (network,) = re.findall(r'network +=\s"(\S+)"', (TERRAFORM / "environments" / f"{name}.tfvars").read_text())
        assert network in (ROOT / "deploy" / "kubernetes" / "overlays" / name / "kustomization.yaml").read_text()
    services = re.search(r'service_ipv4_cidr = "(\S+)"', told["cluster"])
    assert services
    assert services[1] in (ROOT / "deploy/kubernetes/base/network-policies-pipeline.yaml").read_text()


def test_what_the_secrets_template_reads_terraform_writes() -> None:
    read = set(re.findall(r"\{\{ \.(\w+)", (ROOT / "deploy/kubernetes/base/secrets.yaml").read_text()))
    written = re.search(r"secret_string = jsonencode\(\{(.*?)\}\)", (TERRAFORM / "secrets.tf").read_text(), re.DOTALL)
    assert written
    assert read == set(re.findall(r"(?m)^\s+(\w+)\s+=", written[1]))
