# One secret of the application, in the form that deploy/kubernetes/base/secrets.yaml reads. Terraform makes the first values
# and leaves them alone from then on: rotating them is docs/runbook.md's. They are in the state, which is why the state is
# encrypted and only the infrastructure's role reads it.

resource "random_password" "database" {
  for_each = toset(["brs", "dagster", "mlflow"])
  length   = 40
  special  = false
}

resource "random_password" "redis" {
  length  = 64
  special = false
}

resource "random_id" "key" {
  for_each    = toset(["secret_key", "monitoring_token", "lake_key"])
  byte_length = 32
}

resource "aws_secretsmanager_secret" "application" {
  name                    = "brs/${var.environment}"
  description             = "What the application's parts are told and nobody else"
  kms_key_id              = aws_kms_key.main.arn
  recovery_window_in_days = 7
}

resource "aws_secretsmanager_secret_version" "application" {
  secret_id = aws_secretsmanager_secret.application.id
  secret_string = jsonencode({
    database_host     = aws_db_instance.main.address
    redis_host        = aws_elasticache_replication_group.main.primary_endpoint_address
    redis_token       = random_password.redis.result
    brs_password      = random_password.database["brs"].result
    dagster_password  = random_password.database["dagster"].result
    mlflow_password   = random_password.database["mlflow"].result
    secret_key        = random_id.key["secret_key"].hex
    other_secret_keys = ""
    monitoring_token  = random_id.key["monitoring_token"].hex
    lake_key          = random_id.key["lake_key"].hex
    alert_webhook     = "" # a receiver in the namespace monitoring, port 8080; the network policies open no other
  })

  lifecycle {
    ignore_changes = [secret_string]
  }
}

# The administrator's password is rotated by RDS itself, without a function of ours.
resource "aws_secretsmanager_secret_rotation" "administrator" {
  secret_id = aws_db_instance.main.master_user_secret[0].secret_arn

  rotation_rules {
    automatically_after_days = 30
  }
}
