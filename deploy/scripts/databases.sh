#!/usr/bin/env bash
# The three databases of an environment, their owners, and who may read: after Terraform, and after a restore.
#   deploy/scripts/databases.sh staging|production
# Wants aws (signed in as an administrator), kubectl for the environment's cluster, curl, jq.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

environment=${1:-}
[[ $environment == staging || $environment == production ]] || {
    echo "usage: $0 staging|production" >&2
    exit 2
}
postgres=postgres:18.6-bookworm@sha256:3725f4e2499eef5134592b3b4ab79a543ed7f8e533b05b5b637af926630f6650

value() { aws secretsmanager get-secret-value --secret-id "$1" --query SecretString --output text; }
secret=$(value "brs/$environment")
administrator=$(value "$(aws rds describe-db-instances --db-instance-identifier "brs-$environment" \
    --query 'DBInstances[0].MasterUserSecret.SecretArn' --output text)")
roots=$(curl --fail --silent --show-error https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem)

# One short-lived pod in the cluster, because nothing outside reaches the database. Passwords go by standard input: so they are
# in no list of processes here, nor in the pod's definition. The first line is the administrator's address, the second Amazon's
# certificates.
# shellcheck disable=SC2016 # $url and $roots are the pod's
{
    printf 'postgresql://%s:%s@%s:5432/postgres?sslmode=verify-full&sslrootcert=/tmp/rds.pem\n' \
        "$(jq --raw-output .username <<<"$administrator")" \
        "$(jq --raw-output '.password | @uri' <<<"$administrator")" "$(jq --raw-output .database_host <<<"$secret")"
    base64 -w 0 <<<"$roots"
    echo
    for role in brs dagster mlflow backup; do
        printf "\\set %s_password '%s'\n" "$role" "$(jq --raw-output ".${role}_password" <<<"$secret")"
    done
    cat "$here/databases.sql"
} | kubectl run brs-databases --namespace default --rm --stdin --quiet --restart=Never --image="$postgres" -- \
    bash -c 'read -r url && read -r roots && base64 -d <<<"$roots" >/tmp/rds.pem && psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$url"'
