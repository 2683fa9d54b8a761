#!/usr/bin/env bash
# A pod to restore in, for four hours: image, confinement and networks of the nightly backup, and the role that reads the bucket.
#   deploy/scripts/restore-pod.sh staging|production
# Wants kubectl for the environment's cluster, and jq.
set -euo pipefail

environment=${1:-}
[[ $environment == staging || $environment == production ]] || {
    echo "usage: $0 staging|production" >&2
    exit 2
}
namespace=brs-$environment

kubectl get cronjob brs-backup --namespace "$namespace" --output json | jq '.spec.jobTemplate.spec.template | {
    apiVersion: "v1", kind: "Pod", metadata: {name: "brs-restore", labels: .metadata.labels},
    spec: (.spec | .serviceAccountName = "brs-restore" | .activeDeadlineSeconds = 14400
        | .containers[0].name = "restore" | .containers[0].command = ["sleep", "14400"] | del(.containers[0].args))
}' | kubectl apply --namespace "$namespace" -f -
kubectl wait --namespace "$namespace" --for=condition=Ready pod/brs-restore --timeout=300s
echo "kubectl --namespace $namespace exec --stdin --tty brs-restore -- bash   (docs/runbook.md, Restoring)"
echo "kubectl --namespace $namespace delete pod brs-restore                   when you are done"
