#!/usr/bin/env bash
# Back to the release before: pods, and the configuration that they were started with; not the schema, which works with it
# because a migration only adds (docs/runbook.md says what to do where one did more). What is no pod stays as it is: alerts,
# network policies, the Ingress, the nightly backup. A second time goes forward again.
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
for deployment in brs-api mlflow brs-code-location brs-dagster-daemon brs-dagster-page; do
    kubectl rollout status "deployment/$deployment" --namespace "$namespace" --timeout=420s
done
if [[ -n ${HOST:-} ]]; then
    smoke "$namespace" "$HOST"
fi
say "rolled back"
