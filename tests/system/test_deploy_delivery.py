"""The workflows that build and deliver, the scripts they call, and the infrastructure they apply."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.lint.render import rendered
from tests.system.manifests import HASH, find, plain, pod_of

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
    assert job("deploy/build")["needs"] == ["ci", "allowed"]
    assert "needs.allowed.result == 'success'" in job("deploy/build")["if"]
    assert job("deploy/roll-out")["needs"] == "build"
    built = commands(job("deploy/build"))
    # A tag is given last: what has one is signed.
    assert built.index("cosign sign --yes") < built.index("aws ecr put-image")
    pushed = next(step for step in job("deploy/build")["steps"] if "build-push-action" in step.get("uses", ""))["with"]
    assert "push-by-digest=true" in pushed["outputs"]
    assert "tags" not in pushed
    assert (pushed["provenance"], pushed["sbom"]) == ("mode=max", True)
    verified = commands(job("deploy/roll-out"))
    assert verified.index("cosign verify") < verified.index("deploy/scripts/deploy.sh")
    assert job("deploy/roll-out")["environment"]
    # What is chosen by hand has been reviewed, and was in staging.
    chosen = commands(job("deploy/allowed"))
    assert "git merge-base --is-ancestor" in chosen
    assert "--event push" in chosen
    images = {path.stem.partition(".")[0] for path in (ROOT / "deploy" / "images").glob("*.Dockerfile")}
    for name in ("ci/images", "deploy/build"):
        assert {one["file"] for one in job(name)["strategy"]["matrix"]["include"]} == images
    delivered = {one["image"] for one in job("deploy/build")["strategy"]["matrix"]["include"]}
    for image in delivered:
        assert re.search(rf"for image in .*\b{image}\b", verified), image
        assert f'"{image}"' in (TERRAFORM / "storage.tf").read_text()
    assert ".ci/run" in commands(job("ci/checks"))
    assert "make coverage" in commands(job("ci/coverage"))


def test_infrastructure_is_planned_for_pull_requests_and_applied_after_an_approval() -> None:
    assert "terraform plan" in commands(job("infrastructure/plan"))
    assert "terraform apply" not in commands(job("infrastructure/plan"))
    assert job("infrastructure/apply")["environment"].endswith("-infrastructure")
    script = (SCRIPTS / "setup-infrastructure.sh").read_text()
    policy = re.search(r"policy=([0-9a-f]{64})", script)
    assert policy
    charts = re.findall(r"(?m)^chart ([\w-]+) \"\$(\w+)\"", script)
    assert len(charts) == 5
    for _, version in charts:
        assert re.search(rf"\b{version}=\d+\.\d+\.\d+\b", script), version
    assert policy[1] in (ROOT / ".github" / "workflows" / "infrastructure.yml").read_text()


def test_what_workflows_call_is_there() -> None:
    said = "\n".join(commands(told) for _, told in jobs())
    for script in re.findall(r"(?m)^\s*(deploy/scripts/\S+|\.ci/\S+)", said):
        assert os.access(ROOT / script, os.X_OK), script
    targets = set(re.findall(r"(?m)^(\w+):", (ROOT / "Makefile").read_text()))
    assert set(re.findall(r"\bmake (\w+)", said)) <= targets
    for test in re.findall(r"tests/[\w/]+\.py", said):
        assert (ROOT / test).is_file(), test


NAMES = ("api", "migrate", "pipeline", "backup")
IMAGES = [f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/brs-production/{name}@sha256:{'ab' * 32}" for name in NAMES]


def release(folder: Path, *images: str, host: str = "api.other.example") -> list[dict[str, Any]]:
    """The manifests that deploy.sh applies, rendered with the real kubectl."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here")
    stub = folder / "bin" / "kubectl"
    stub.parent.mkdir(parents=True)
    stub.write_text(f'#!/bin/sh\nif [ "$1" = get ]; then printf 7; else exec {kubectl} "$@"; fi\n')
    stub.chmod(0o755)
    (folder / "overlay").symlink_to(ROOT / "deploy" / "kubernetes" / "overlays" / "production")
    told = subprocess.run(
        ["bash", "-euc", f'. {SCRIPTS}/common.sh; release production "the name" "$@" {folder}', "release", *images],
        env={
            "PATH": f"{stub.parent}:/usr/bin:/bin", "ACCOUNT": "123456789012", "AWS_REGION": "eu-west-1",
            "HOST": host, "CERTIFICATE": "arn:aws:acm:c", "FIREWALL": "arn:aws:wafv2:f",
        },
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return list(yaml.safe_load_all(told.stdout))


def test_a_release_has_digests_the_account_s_names_and_the_number_of_replicas_there_is(tmp_path: Path) -> None:
    manifests = release(tmp_path, *IMAGES)
    assert len(manifests) == len(rendered(ROOT / "deploy" / "kubernetes" / "overlays" / "production"))
    said = json.dumps(manifests)
    assert not re.search(
        r"0{12}|brs\.example\.org|of-terraform|eu-central-1", said.replace("https://brs.example.org", "")
    )
    started = {
        container["image"] for one in manifests if (pod := pod_of(one)) is not None for container in pod["containers"]
    }
    assert started == set(IMAGES)
    (api,) = (one for one in manifests if (one["kind"], one["metadata"]["name"]) == ("Deployment", "brs-api"))
    assert api["spec"]["replicas"] == 7
    (runs,) = (one for one in manifests if plain(one) == "brs-release")
    assert runs["data"]["pipeline-image"] == IMAGES[2]


def test_a_rollback_takes_configuration_back_with_the_pods(tmp_path: Path) -> None:
    """What `rollout undo` brings back is a pod's template: it must name everything that the release before was told."""
    other = [image.replace("ab" * 32, "cd" * 32) for image in IMAGES]
    before, after = release(tmp_path / "1", *IMAGES), release(tmp_path / "2", *other, host="api.new.example")
    made = [
        {one["metadata"]["name"]: one["data"] for one in manifests if one["kind"] == "ConfigMap" and plain(one) != name}
        for manifests in (before, after)
        for name in ["brs-dashboard"]
    ]
    changed = set(made[0]) - set(made[1])
    assert {HASH.sub("", name) for name in changed} == {"brs-api", "brs-release"}
    for name in set(made[0]) & set(made[1]):
        assert made[0][name] == made[1][name]  # applying the new release writes over nothing of the old one
    templates = json.dumps([one for one in before if one["kind"] == "Deployment"])
    for name in changed:
        assert name in templates
    # All have a revision of each release, so that "the one before" is the same for all of them.
    for one in before:
        if one["kind"] == "Deployment":
            assert one["spec"]["template"]["metadata"]["annotations"] == {"brs/release": "the name"}
            assert one["spec"]["revisionHistoryLimit"] == 5
    assert "kubectl patch" not in (SCRIPTS / "rollback.sh").read_text()


def test_only_configuration_that_nothing_refers_to_is_thrown_away(tmp_path: Path) -> None:
    first = release(tmp_path / "1", *IMAGES)
    second = release(tmp_path / "2", *IMAGES, host="api.new.example")
    third = release(tmp_path / "3", *IMAGES, host="api.newest.example")
    replica_sets = [
        {"kind": "ReplicaSet", "metadata": {}, "spec": one["spec"]}
        for one in [*second, *third]
        if one["kind"] == "Deployment"
    ]
    jobs = [one for one in third if one["kind"] in {"CronJob", "Job"}]
    maps = {one["metadata"]["name"]: one for one in [*first, *second, *third] if one["kind"] == "ConfigMap"}
    maps["kube-root-ca.crt"] = {"kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt"}}
    done = subprocess.run(
        [sys.executable, SCRIPTS / "unused.py"],
        input=json.dumps({"items": [*maps.values(), *replica_sets, *jobs]}),
        capture_output=True,
        text=True,
        check=True,
    )
    gone = [one["metadata"]["name"] for one in first if (one["kind"], plain(one)) == ("ConfigMap", "brs-api")]
    assert done.stdout.split() == gone


def test_the_pod_of_a_restore_is_confined_as_the_backup_is_and_may_read_the_bucket(tmp_path: Path) -> None:
    cronjob = find("CronJob", "brs-backup")
    (tmp_path / "cronjob.json").write_text(json.dumps(cronjob))
    stub = tmp_path / "kubectl"
    stub.write_text(
        f"#!/bin/sh\ncase $1 in get) cat {tmp_path}/cronjob.json ;; apply) cat >{tmp_path}/pod.json ;; esac\n"
    )
    stub.chmod(0o755)
    if shutil.which("jq") is None:
        pytest.skip("no jq here")
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run([SCRIPTS / "restore-pod.sh", "production"], env={"PATH": path}, check=True, capture_output=True)
    pod = json.loads((tmp_path / "pod.json").read_text())
    backup = pod_of(cronjob)
    assert backup is not None
    assert pod["spec"]["securityContext"] == backup["securityContext"]
    (mine,), (theirs,) = pod["spec"]["containers"], backup["containers"]
    for same in ("image", "securityContext", "volumeMounts", "resources", "envFrom"):
        assert mine[same] == theirs[same]
    assert mine["command"] == ["sleep", str(pod["spec"]["activeDeadlineSeconds"])]
    assert pod["spec"]["serviceAccountName"] == "brs-restore"
    policy = find("NetworkPolicy", "brs-backup")["spec"]["podSelector"]["matchLabels"]
    assert policy.items() <= pod["metadata"]["labels"].items()
