"""deploy.sh from beginning to end: programs in place of AWS and the cluster write down what they are asked."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "deploy" / "scripts"
COMMIT = "0123456789abcdef" * 2 + "01234567"
DEPLOYMENTS = ("brs-api", "mlflow", "brs-code-location", "brs-dagster-daemon", "brs-dagster-page")

AWS = f"""case "$*" in
*get-caller-identity*) echo 123456789012 ;;
*describe-images*) echo sha256:{"ab" * 32} ;;
esac"""
KUBECTL = r"""echo "$*" >>"$CALLS"
case "$*" in
kustomize*) exec "$KUBECTL" "$@" ;;
"get deployment brs-api"*readyReplicas*) printf %s "$READY" ;;
"get deployment brs-api"*replicas*) printf %s "$REPLICAS" ;;
"get deployment brs-api"*) [ -n "$REPLICAS" ] ;;
"apply -f -") cat >/dev/null ;;
"get ingress"*) printf balancer.example ;;
"get configmaps,"*) printf '{"items": []}' ;;
"wait"*"job/$BROKEN"*) exit 1 ;;
"rollout status deployment/$BROKEN "*) grep -q "rollout undo deployment/$BROKEN" "$CALLS" ;;
esac"""
CURL = r"""case "$*" in
*http://*) printf '301 https://api.example:443/' ;;
*) answer=$OLD
    if grep -q "selector !brs/stage$" "$CALLS" && ! grep -q "rollout undo" "$CALLS"; then answer=$NEW; fi
    printf %s "$answer" ;;
esac"""


@dataclass
class Ended:
    code: int
    said: str
    calls: list[str]

    def asked(self, beginning: str) -> list[str]:
        return [call for call in self.calls if call.startswith(beginning)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here")
    for name, program in {"aws": AWS, "kubectl": KUBECTL, "curl": CURL, "sleep": ":"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def deploy(folder: Path, *, replicas: int = 3, ready: int = 3, broken: str = "", **answers: str) -> Ended:
    done = subprocess.run(
        [SCRIPTS / "deploy.sh", "production", COMMIT],
        env={
            "PATH": f"{folder}:{os.environ['PATH']}", "CALLS": str(folder / "calls"), "HOME": str(folder),
            "KUBECTL": str(shutil.which("kubectl")), "BROKEN": broken or "nothing", "OLD": "200", "NEW": "200",
            "REPLICAS": str(replicas or ""), "READY": str(ready or ""),
            "AWS_REGION": "eu-west-1", "HOST": "api.example", "CERTIFICATE": "arn:c", "FIREWALL": "arn:f", **answers,
        },
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout + done.stderr, (folder / "calls").read_text().splitlines())


def applied(ended: Ended) -> bool:
    return bool([call for call in ended.asked("apply") if call.endswith("--selector !brs/stage")])


def test_a_release_migrates_before_it_rolls_out_and_tidies_up_at_last(folder: Path) -> None:
    ended = deploy(folder)
    assert ended.code == 0, ended.said
    steps = (
        r"delete job brs-migrate ", r"apply -f -$", r"apply .*--selector brs/stage=before$", r"wait .*job/brs-migrate ",
        r"wait .*job/brs-migrate-state ", r"rollout status deployment/brs-api", r"apply -f .*--selector !brs/stage$",
        r"rollout status deployment/mlflow", r"get configmaps,",
    )  # fmt: skip
    order = [next(at for at, call in enumerate(ended.calls) if re.match(step, call)) for step in steps]
    assert order == sorted(order)
    assert not ended.asked("rollout undo")
    assert f"{COMMIT} is in service" in ended.said


@pytest.mark.parametrize("job", ["brs-migrate", "brs-migrate-state"])
def test_nothing_is_rolled_out_when_a_migration_fails(folder: Path, job: str) -> None:
    ended = deploy(folder, broken=f"{job} ")
    assert ended.code == 1
    assert not applied(ended)
    assert not ended.asked("rollout undo")


def test_nothing_is_rolled_out_when_the_release_that_runs_does_not_answer_on_the_new_schema(folder: Path) -> None:
    ended = deploy(folder, OLD="500")
    assert ended.code == 1
    assert "does not answer on the new schema" in ended.said
    assert not applied(ended)


@pytest.mark.parametrize("what", ["a deployment", "the smoke test"])
def test_a_release_that_fails_is_taken_back_as_a_whole(folder: Path, what: str) -> None:
    ended = deploy(folder, NEW="500") if what == "the smoke test" else deploy(folder, broken="mlflow")
    assert ended.code == 1
    assert applied(ended)
    assert [call.split()[2] for call in ended.asked("rollout undo")] == [f"deployment/{name}" for name in DEPLOYMENTS]
    assert "rolled back" in ended.said
    assert not ended.asked("get configmaps,")  # what was rolled back to needs its own


def test_a_first_release_has_nothing_to_go_back_to(folder: Path) -> None:
    ended = deploy(folder, replicas=0, ready=0, NEW="500", OLD="500")
    assert ended.code == 1
    assert "this is the first release" in ended.said
    assert not ended.asked("rollout undo")


def test_a_release_that_is_down_can_be_mended(folder: Path) -> None:
    ended = deploy(folder, ready=0, OLD="500")
    assert ended.code == 0, ended.said
    assert applied(ended)
