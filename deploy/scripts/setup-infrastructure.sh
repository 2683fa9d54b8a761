#!/usr/bin/env bash
# From an empty account to a cluster that can be deployed to. Every step may be repeated.
#   deploy/scripts/setup-infrastructure.sh staging|production
# Wants: terraform, aws (signed in as an administrator), kubectl, helm, curl, jq; deploy/terraform/terraform.tfvars.
set -euo pipefail
cd "$(dirname "$0")/../terraform"

environment=${1:-}
[[ $environment == staging || $environment == production ]] || {
    echo "usage: $0 staging|production" >&2
    exit 2
}
for program in terraform aws kubectl helm curl jq sha256sum; do
    command -v "$program" >/dev/null || { echo "$program is missing" >&2; exit 1; }
done
[[ -f terraform.tfvars ]] || { echo "copy terraform.tfvars.example to terraform.tfvars and fill it in" >&2; exit 1; }

# Versions of what the cluster needs beside ours; the policy's hash is that of the file at this tag.
balancer=v3.5.0
policy=16f232c9d9f79366fe949c4550ad517a202380058a9e48d45a4e215044a20a6a
namespace=brs-$environment
account=$(aws sts get-caller-identity --query Account --output text)
region=$(sed -n 's/^region *= *"\(.*\)"/\1/p' "environments/$environment.s3.tfbackend")
state=brs-terraform-$account

step() { printf '\n== %s\n' "$1"; }

step "A bucket for Terraform's state: $state"
if ! aws s3api head-bucket --bucket "$state" 2>/dev/null; then
    aws s3api create-bucket --bucket "$state" --region "$region" \
        --create-bucket-configuration "LocationConstraint=$region" >/dev/null
fi
aws s3api put-bucket-versioning --bucket "$state" --versioning-configuration Status=Enabled
aws s3api put-public-access-block --bucket "$state" --public-access-block-configuration \
    BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true

step "The load balancer controller's policy, $balancer"
mkdir -p policies
curl --fail --silent --show-error --location --output policies/load-balancer-controller.json \
    "https://raw.githubusercontent.com/kubernetes-sigs/aws-load-balancer-controller/$balancer/docs/install/iam_policy.json"
echo "$policy  policies/load-balancer-controller.json" | sha256sum --check --quiet

step "Infrastructure: Terraform shows what it will do and asks"
terraform init -input=false -reconfigure -backend-config="environments/$environment.s3.tfbackend" -backend-config="bucket=$state"
terraform apply -var-file="environments/$environment.tfvars"
outputs=$(terraform output -json)
out() { jq --raw-output "$1" <<<"$outputs"; }

step "The cluster's own parts"
aws eks update-kubeconfig --name "$(out .cluster.value)" --region "$region"
kubectl apply -k ../kubernetes/cluster
kubectl apply -f "../kubernetes/overlays/$environment/namespace.yaml"
kubectl create rolebinding brs-deployer --namespace "$namespace" --clusterrole brs-deployer --group brs-deployers \
    --dry-run=client --output yaml | kubectl apply -f -
helm upgrade --install aws-load-balancer-controller aws-load-balancer-controller --namespace kube-system --wait \
    --repo https://aws.github.io/eks-charts --set clusterName="$(out .cluster.value)" \
    --set serviceAccount.annotations."eks\.amazonaws\.com/role-arn"="$(out .roles.value.balancer)"
helm upgrade --install external-secrets external-secrets --namespace external-secrets --create-namespace --wait \
    --repo https://charts.external-secrets.io
helm upgrade --install kube-prometheus-stack kube-prometheus-stack --namespace monitoring --create-namespace --wait \
    --repo https://prometheus-community.github.io/helm-charts \
    --set grafana.sidecar.dashboards.searchNamespace=ALL

step "Databases and their owners"
# One short-lived pod in the cluster, because nothing outside reaches the database. Passwords go by standard input.
secret=$(aws secretsmanager get-secret-value --secret-id "$(out .application_secret.value)" --query SecretString --output text)
administrator=$(aws secretsmanager get-secret-value --secret-id "$(out .database_administrator.value)" --query SecretString --output text)
# shellcheck disable=SC2016 # $url is the pod's
{
    for owner in brs dagster mlflow; do
        printf "\\set %s_password '%s'\n" "$owner" "$(jq --raw-output ".${owner}_password" <<<"$secret")"
    done
    cat ../scripts/databases.sql
} | {
    # The administrator's address is the first line: so it is in no list of processes here, nor in the pod's definition.
    printf 'postgresql://%s:%s@%s:5432/postgres?sslmode=require\n' \
        "$(jq --raw-output .username <<<"$administrator")" \
        "$(jq --raw-output '.password | @uri' <<<"$administrator")" "$(out .database_host.value)"
    cat
} | kubectl run brs-databases --namespace default --rm --stdin --quiet --restart=Never --image=postgres:18.6-bookworm -- \
    bash -c 'read -r url && psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$url"'

step "Done"
echo "GitHub's environments ($environment, $environment-infrastructure) want these variables:"
echo "  AWS_REGION=$region  HOST=$(out .host.value)  TERRAFORM_STATE=$state"
echo "  DEPLOY_ROLE=$(out .github_roles.value.deploy)"
echo "  INFRASTRUCTURE_ROLE=$(out .github_roles.value.infrastructure)  PLAN_ROLE=$(out .github_roles.value.plan)"
echo "Next: deploy/scripts/deploy.sh $environment COMMIT; then this script again, for the name of the load balancer."
