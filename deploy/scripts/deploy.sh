#!/usr/bin/env bash
# Puts a release into an environment: migrate, roll out, ask it, and go back by itself when it does not answer.
#   deploy/scripts/deploy.sh staging|production COMMIT
# The images of COMMIT are in the registry already (the workflow `deploy` builds, signs and pushes them). Wants aws, kubectl,
# curl, and in the environment: AWS_REGION, HOST, CERTIFICATE, FIREWALL (Terraform's outputs).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/scripts/common.sh
. "$here/common.sh"

environment=${1:-} commit=${2:-}
if [[ ! $environment =~ ^(staging|production)$ || ! $commit =~ ^[0-9a-f]{40}$ ]]; then
    echo "usage: $0 staging|production COMMIT (40 digits)" >&2
    exit 2
fi
: "${AWS_REGION:?}" "${HOST:?}" "${CERTIFICATE:?}" "${FIREWALL:?}"
ACCOUNT=$(aws sts get-caller-identity --query Account --output text)
namespace=brs-$environment

# A tag says what is meant, a digest what it is: pods are started from digests.
image() {
    local repository=brs-$environment/$1 digest
    digest=$(aws ecr describe-images --repository-name "$repository" --image-ids "imageTag=$commit" \
        --query 'imageDetails[0].imageDigest' --output text)
    printf '%s.dkr.ecr.%s.amazonaws.com/%s@%s' "$ACCOUNT" "$AWS_REGION" "$repository" "$digest"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Kustomize wants its resources below it: a link will do.
ln -s "$here/../kubernetes/overlays/$environment" "$work/overlay"
manifests=$work/release.yaml
aws eks update-kubeconfig --name "$namespace" --region "$AWS_REGION" >/dev/null
release "$environment" "$commit of $(date -u +%FT%TZ)" "$(image brs-api)" "$(image brs-migrate)" "$(image brs-pipeline)" \
    "$(image brs-backup)" "$work" >"$manifests"
before="" tries=60 # a load balancer that is new takes minutes
if kubectl get deployment brs-api --namespace "$namespace" >/dev/null 2>&1; then before=yes tries=6; fi
answered=$(kubectl get deployment brs-api --namespace "$namespace" --output 'jsonpath={.status.readyReplicas}' 2>/dev/null || true)

say "what changes:"
kubectl diff -f "$manifests" || [[ $? == 1 ]]

say "secrets and configuration, then migrations; what runs stays in service"
kubectl apply --namespace "$namespace" -f "$manifests" --selector '!brs/stage' --dry-run=server >/dev/null
kubectl delete job brs-migrate brs-migrate-state --namespace "$namespace" --ignore-not-found --wait
python3 "$here/of_kind.py" ConfigMap ServiceAccount SecretStore ExternalSecret NetworkPolicy <"$manifests" | kubectl apply -f -
kubectl wait --namespace "$namespace" --for=condition=Ready externalsecret --all --timeout=120s
kubectl apply -f "$manifests" --selector brs/stage=before
for job in brs-migrate brs-migrate-state; do
    if ! kubectl wait --namespace "$namespace" --for=condition=Complete "job/$job" --timeout=900s; then
        kubectl logs --namespace "$namespace" "job/$job" --tail=50 || true
        say "$job failed: nothing was rolled out; docs/runbook.md, a stuck migration"
        exit 1
    fi
done
# The release that runs must work on the new schema until it is replaced, and after a rollback. (One that did not answer
# before, because it is broken or somebody restores, does not stop the one that mends it.)
if ((${answered:-0} > 0)); then
    sleep 15 # readiness is asked every 5 s, and gives up after two refusals
    kubectl rollout status deployment/brs-api --namespace "$namespace" --timeout=60s && smoke "$namespace" "$HOST" ||
        { say "the release that runs does not answer on the new schema: nothing was rolled out"; exit 1; }
fi

say "rolling out $commit"
kubectl apply -f "$manifests" --selector '!brs/stage'
failed=
for deployment in brs-api mlflow brs-code-location brs-dagster-daemon brs-dagster-page; do
    kubectl rollout status "deployment/$deployment" --namespace "$namespace" --timeout=420s || failed=$deployment
done
[[ -z $failed ]] && { smoke "$namespace" "$HOST" "$tries" || failed="the smoke test"; }
if [[ -n $failed && -z $before ]]; then
    say "$failed failed, and this is the first release: there is none to go back to"
    exit 1
elif [[ -n $failed ]]; then
    say "$failed failed: back to the release before"
    "$here/rollback.sh" "$environment"
    exit 1
fi
# Configuration of releases that nobody can go back to any more.
kubectl get configmaps,replicasets,jobs,cronjobs,pods --namespace "$namespace" --output json | python3 "$here/unused.py" |
    xargs --no-run-if-empty kubectl delete configmap --namespace "$namespace"
say "$commit is in service"
