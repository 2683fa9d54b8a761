#!/usr/bin/env bash
# From an empty account to a cluster that can be deployed to. Every step may be repeated.
#   deploy/scripts/setup-infrastructure.sh staging|production
# Wants: terraform, aws (signed in as an administrator), kubectl, helm, curl, jq; deploy/terraform/terraform.tfvars.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/scripts/common.sh
. "$here/common.sh"
cd "$here/../terraform"

environment=${1:-}
[[ $environment == staging || $environment == production ]] || {
    echo "usage: $0 staging|production" >&2
    exit 2
}
for program in terraform aws kubectl helm curl jq sha256sum; do
    command -v "$program" >/dev/null || { echo "$program is missing" >&2; exit 1; }
done
[[ -f terraform.tfvars ]] || { echo "copy terraform.tfvars.example to terraform.tfvars and fill it in" >&2; exit 1; }

# Versions of the charts of what the cluster needs beside ours; the policy's hash is that of the file at the controller's tag.
balancer_chart=3.5.0 secrets_chart=2.9.0 prometheus_chart=88.5.3 autoscaler_chart=9.59.0 logs_chart=0.2.0
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

step "The load balancer controller's policy, v$balancer_chart"
mkdir -p policies
curl --fail --silent --show-error --location --output policies/load-balancer-controller.json \
    "https://raw.githubusercontent.com/kubernetes-sigs/aws-load-balancer-controller/v$balancer_chart/docs/install/iam_policy.json"
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
# chart NAME VERSION NAMESPACE REPOSITORY [helm's options]
chart() {
    local name=$1 version=$2 namespace=$3 repository=$4
    shift 4
    helm upgrade --install "$name" "$name" --version "$version" --namespace "$namespace" --create-namespace --wait \
        --repo "$repository" "$@"
}
role='eks\.amazonaws\.com/role-arn'
# Pods cannot ask the instance where they are: they are told.
chart aws-load-balancer-controller "$balancer_chart" kube-system https://aws.github.io/eks-charts \
    --set clusterName="$(out .cluster.value)" --set region="$region" --set vpcId="$(out .vpc.value)" \
    --set serviceAccount.annotations."$role"="$(out .roles.value.balancer)"
chart cluster-autoscaler "$autoscaler_chart" kube-system https://kubernetes.github.io/autoscaler \
    --set autoDiscovery.clusterName="$(out .cluster.value)" --set awsRegion="$region" \
    --set rbac.serviceAccount.name=cluster-autoscaler \
    --set rbac.serviceAccount.annotations."$role"="$(out .roles.value.autoscaler)"
chart aws-for-fluent-bit "$logs_chart" kube-system https://aws.github.io/eks-charts \
    --set serviceAccount.name=aws-for-fluent-bit --set serviceAccount.annotations."$role"="$(out .roles.value.logs)" \
    --set cloudWatchLogs.region="$region" --set cloudWatchLogs.logGroupName="$(out .log_group.value)" \
    --set cloudWatchLogs.autoCreateGroup=false
chart external-secrets "$secrets_chart" external-secrets https://charts.external-secrets.io
# Alerts go where CloudWatch's alarms go: to the topic's subscribers.
chart kube-prometheus-stack "$prometheus_chart" monitoring https://prometheus-community.github.io/helm-charts --values - <<YAML
grafana: {sidecar: {dashboards: {searchNamespace: ALL}}}
alertmanager:
  serviceAccount: {name: alertmanager, annotations: {eks.amazonaws.com/role-arn: "$(out .roles.value.alerts)"}}
  config:
    route:
      receiver: operators
      group_by: [namespace, alertname]
      repeat_interval: 12h
      routes:
        - {receiver: "null", matchers: ['alertname =~ "Watchdog|InfoInhibitor"']}
    receivers:
      - name: "null"
      - name: operators
        sns_configs:
          - {topic_arn: "$(out .alarms.value)", sigv4: {region: "$region"}, send_resolved: true}
YAML

step "Databases, their owners, and who may read"
"$here/databases.sh" "$environment"

step "Done"
echo "GitHub's environments ($environment, $environment-infrastructure) want these variables:"
echo "  AWS_REGION=$region  HOST=$(out .host.value)  TERRAFORM_STATE=$state"
echo "  DEPLOY_ROLE=$(out .github_roles.value.deploy)"
echo "  INFRASTRUCTURE_ROLE=$(out .github_roles.value.infrastructure)  PLAN_ROLE=$(out .github_roles.value.plan)"
echo "Next: deploy/scripts/deploy.sh $environment COMMIT; then this script again, for the name of the load balancer."
