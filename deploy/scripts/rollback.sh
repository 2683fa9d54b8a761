#!/usr/bin/env bash
# Back to the release before: images and pods, not the schema. It works on the newer schema, because a migration only adds;
# docs/runbook.md says what to do where one did more.
#   deploy/scripts/rollback.sh staging|production [REVISION of the API]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/scripts/common.sh
. "$here/common.sh"

environment=${1:-} revision=${2:-0} # 0: the one before
if [[ ! $environment =~ ^(staging|production)$ || ! $revision =~ ^[0-9]+$ ]]; then
    echo "usage: $0 staging|production [REVISION]" >&2
    exit 2
fi
namespace=brs-$environment

# The API first: it is what readers see. Of the rest only what has a revision to go back to.
kubectl rollout undo deployment/brs-api --namespace "$namespace" --to-revision="$revision"
for deployment in mlflow brs-code-location brs-dagster-daemon brs-dagster-page; do
    kubectl rollout undo "deployment/$deployment" --namespace "$namespace" || say "$deployment has no release before"
done
# Runs start from the image that the configuration names: that of the code location that is back now.
image=$(kubectl get deployment brs-code-location --namespace "$namespace" \
    --output 'jsonpath={.spec.template.spec.containers[0].image}')
kubectl patch configmap brs-release --namespace "$namespace" --type merge --patch "{\"data\": {\"pipeline-image\": \"$image\"}}"
kubectl rollout restart deployment/brs-dagster-daemon deployment/brs-dagster-page --namespace "$namespace"
for deployment in brs-api mlflow brs-code-location brs-dagster-daemon brs-dagster-page; do
    kubectl rollout status "deployment/$deployment" --namespace "$namespace" --timeout=420s
done
if [[ -n ${HOST:-} ]]; then
    smoke "$HOST"
fi
say "rolled back"
