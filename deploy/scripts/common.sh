# What deploying and rolling back share; sourced, not run.
# shellcheck shell=bash

say() { printf '%s  %s\n' "$(date -u +%H:%M:%S)" "$*"; }

# The release's manifests: the overlay with the account's names and this release's images over it.
#   release ENVIRONMENT API MIGRATE PIPELINE FOLDER  (images with their digests)
release() {
    local environment=$1 api=$2 migrate=$3 pipeline=$4 folder=$5 replicas
    : "${ACCOUNT:?}" "${AWS_REGION:?}" "${HOST:?}" "${CERTIFICATE:?}" "${FIREWALL:?}"
    # What the autoscaler has made of the number stays: else every release would begin with the manifest's.
    replicas=$(kubectl get deployment brs-api --namespace "brs-$environment" --output 'jsonpath={.spec.replicas}' 2>/dev/null || true)
    [[ -n $replicas ]] && replicas="replicas: [{name: brs-api, count: $replicas}]"
    cat >"$folder/kustomization.yaml" <<YAML
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [overlay]
images:
  - {name: 000000000000.dkr.ecr.eu-central-1.amazonaws.com/brs-api, newName: ${api%@*}, digest: ${api#*@}}
  - {name: 000000000000.dkr.ecr.eu-central-1.amazonaws.com/brs-migrate, newName: ${migrate%@*}, digest: ${migrate#*@}}
  - {name: 000000000000.dkr.ecr.eu-central-1.amazonaws.com/brs-pipeline, newName: ${pipeline%@*}, digest: ${pipeline#*@}}
patches:
  - target: {kind: ConfigMap, name: brs-release}
    patch: '[{"op": "replace", "path": "/data/pipeline-image", "value": "$pipeline"}]'
  - target: {kind: ConfigMap, name: brs-mlflow}
    patch: '[{"op": "replace", "path": "/data/artifacts", "value": "s3://brs-$environment-artifacts-$ACCOUNT/mlflow"}]'
  - target: {kind: ConfigMap, name: brs-api}
    patch: '[{"op": "replace", "path": "/data/BRS_TRUSTED_HOSTS", "value": "$HOST"}]'
  - target: {kind: SecretStore, name: brs}
    patch: '[{"op": "replace", "path": "/spec/provider/aws/region", "value": "$AWS_REGION"}]'
  - target: {kind: ServiceAccount, name: brs-mlflow}
    patch: '[{"op": "replace", "path": "/metadata/annotations/eks.amazonaws.com~1role-arn", "value": "arn:aws:iam::$ACCOUNT:role/brs-$environment-mlflow"}]'
  - target: {kind: ServiceAccount, name: brs-secrets}
    patch: '[{"op": "replace", "path": "/metadata/annotations/eks.amazonaws.com~1role-arn", "value": "arn:aws:iam::$ACCOUNT:role/brs-$environment-secrets"}]'
  - target: {kind: Ingress, name: brs-api}
    patch: |
      [{"op": "replace", "path": "/spec/rules/0/host", "value": "$HOST"},
       {"op": "replace", "path": "/metadata/annotations/alb.ingress.kubernetes.io~1certificate-arn", "value": "$CERTIFICATE"},
       {"op": "replace", "path": "/metadata/annotations/alb.ingress.kubernetes.io~1wafv2-acl-arn", "value": "$FIREWALL"}]
$replicas
YAML
    kubectl kustomize --load-restrictor LoadRestrictionsNone "$folder"
}

# One request of each kind that matters, from outside, through everything. Exit code 1 when one of them fails.
smoke() {
    local host=$1 path status
    for path in /health /api/v1/books?limit=1 /api/v1/recommendations/popular?limit=5; do
        for _ in 1 2 3 4 5 6; do
            status=$(curl --silent --output /dev/null --write-out '%{http_code}' --max-time 10 "https://$host$path" || true)
            [[ $status == 200 ]] && break
            sleep 5
        done
        say "https://$host$path: $status"
        [[ $status == 200 ]] || return 1
    done
    status=$(curl --silent --output /dev/null --write-out '%{http_code} %{redirect_url}' --max-time 10 "http://$host/health" || true)
    say "http://$host/health: $status"
    [[ $status == "301 https://$host"* ]]
}
