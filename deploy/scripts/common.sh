# What deploying and rolling back share; sourced, not run.
# shellcheck shell=bash

say() { printf '%s  %s\n' "$(date -u +%H:%M:%S)" "$*"; }

# The release's manifests: the overlay with the account's names and this release's images over it.
#   release ENVIRONMENT NAME API MIGRATE PIPELINE BACKUP FOLDER  (images with their digests)
release() {
    local environment=$1 name=$2 api=$3 migrate=$4 pipeline=$5 backup=$6 folder=$7 replicas roles
    : "${ACCOUNT:?}" "${AWS_REGION:?}" "${HOST:?}" "${CERTIFICATE:?}" "${FIREWALL:?}"
    # What the autoscaler has made of the number stays: else every release would begin with the manifest's. None at all is
    # somebody's who has stopped it to restore.
    replicas=$(kubectl get deployment brs-api --namespace "brs-$environment" --output 'jsonpath={.spec.replicas}' 2>/dev/null || true)
    [[ $replicas == 0 ]] && replicas=""
    [[ -n $replicas ]] && replicas="replicas: [{name: brs-api, count: $replicas}]"
    roles=$(for role in mlflow pipeline secrets backup restore; do
        printf '  - target: {kind: ServiceAccount, name: brs-%s}\n' "$role"
        printf '    patch: '"'"'[{"op": "replace", "path": "/metadata/annotations/eks.amazonaws.com~1role-arn", "value": "%s"}]'"'"'\n' \
            "arn:aws:iam::$ACCOUNT:role/brs-$environment-$role"
    done)
    cat >"$folder/kustomization.yaml" <<YAML
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [overlay]
images:
  - {name: 000000000000.dkr.ecr.eu-central-1.amazonaws.com/brs-api, newName: ${api%@*}, digest: ${api#*@}}
  - {name: 000000000000.dkr.ecr.eu-central-1.amazonaws.com/brs-migrate, newName: ${migrate%@*}, digest: ${migrate#*@}}
  - {name: 000000000000.dkr.ecr.eu-central-1.amazonaws.com/brs-pipeline, newName: ${pipeline%@*}, digest: ${pipeline#*@}}
  - {name: 000000000000.dkr.ecr.eu-central-1.amazonaws.com/brs-backup, newName: ${backup%@*}, digest: ${backup#*@}}
patches:
  # Every Deployment gets a revision of every release, so that "the one before" is the same release for all of them.
  - target: {kind: Deployment}
    patch: '[{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"brs/release": "$name"}}]'
  - target: {kind: ConfigMap, name: brs-release}
    patch: '[{"op": "replace", "path": "/data/pipeline-image", "value": "$pipeline"}]'
  - target: {kind: ConfigMap, name: brs-mlflow}
    patch: '[{"op": "replace", "path": "/data/artifacts", "value": "s3://brs-$environment-artifacts-$ACCOUNT/mlflow"}]'
  - target: {kind: ConfigMap, name: brs-pipeline}
    patch: '[{"op": "replace", "path": "/data/BRS_EXPORT_URL", "value": "s3://brs-$environment-lake-$ACCOUNT/export"}]'
  - target: {kind: ConfigMap, name: brs-backup}
    patch: '[{"op": "replace", "path": "/data/url", "value": "s3://brs-$environment-backups-$ACCOUNT/daily"}]'
  - target: {kind: ConfigMap, name: brs-api}
    patch: '[{"op": "replace", "path": "/data/BRS_TRUSTED_HOSTS", "value": "$HOST"}]'
  - target: {kind: SecretStore, name: brs}
    patch: '[{"op": "replace", "path": "/spec/provider/aws/region", "value": "$AWS_REGION"}]'
$roles
  - target: {kind: Ingress, name: brs-api}
    patch: |
      [{"op": "replace", "path": "/spec/rules/0/host", "value": "$HOST"},
       {"op": "replace", "path": "/metadata/annotations/alb.ingress.kubernetes.io~1certificate-arn", "value": "$CERTIFICATE"},
       {"op": "replace", "path": "/metadata/annotations/alb.ingress.kubernetes.io~1wafv2-acl-arn", "value": "$FIREWALL"}]
$replicas
YAML
    kubectl kustomize --load-restrictor LoadRestrictionsNone "$folder"
}

# Where the load balancer is, whether or not the name leads there yet: `smoke` asks it by the name, as readers will.
balancer() {
    local namespace=$1 address=""
    for _ in {1..60}; do
        address=$(kubectl get ingress brs-api --namespace "$namespace" \
            --output 'jsonpath={.status.loadBalancer.ingress[0].hostname}' 2>/dev/null || true)
        [[ -n $address ]] && break
        sleep 5
    done
    printf '%s' "$address"
}

# One request of each kind that matters, from outside, through everything. Exit code 1 when one of them fails.
#   smoke NAMESPACE HOST [TRIES]
smoke() {
    local namespace=$1 host=$2 tries=${3:-6} path status address
    address=$(balancer "$namespace")
    [[ -n $address ]] || { say "there is no load balancer: kubectl describe ingress brs-api"; return 1; }
    local to=(--connect-to "$host:443:$address:443" --connect-to "$host:80:$address:80" --silent --output /dev/null --max-time 10)
    for path in /health /api/v1/books?limit=1 /api/v1/recommendations/popular?limit=5; do
        for ((i = 0; i < tries; i++)); do
            status=$(curl "${to[@]}" --write-out '%{http_code}' "https://$host$path" || true)
            [[ $status == 200 ]] && break
            sleep 5
        done
        say "https://$host$path: $status"
        [[ $status == 200 ]] || return 1
    done
    status=$(curl "${to[@]}" --write-out '%{http_code} %{redirect_url}' "http://$host/health" || true)
    say "http://$host/health: $status"
    [[ $status == "301 https://$host"* ]]
}
