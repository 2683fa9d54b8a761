# One secret of the application, in the form that deploy/kubernetes/base/secrets.yaml reads. Terraform makes the first values
# and leaves them alone from then on: rotating them is docs/runbook.md's. What is ephemeral is never written down: plans read
# the state, and so may whoever opens a pull request. Redis' token is in it, because ElastiCache has no other way; behind it
# are counts of a minute, reached from inside the VPC alone.

ephemeral "random_password" "made" {
  for_each = toset(["brs", "dagster", "mlflow", "backup", "secret_key", "monitoring_token", "lake_key"])
  length   = 64
  special  = false
}

resource "random_password" "redis" {
  length  = 64
  special = false
}

resource "aws_secretsmanager_secret" "application" {
  name                    = "brs/${var.environment}"
  description             = "What the application's parts are told and nobody else"
  kms_key_id              = aws_kms_key.main.arn
  recovery_window_in_days = 7
}

resource "aws_secretsmanager_secret_version" "application" {
  secret_id = aws_secretsmanager_secret.application.id
  # Written once, and again only when this number changes: it would replace all of them.
  secret_string_wo_version = 1
  secret_string_wo = jsonencode({
    database_host     = aws_db_instance.main.address
    redis_host        = aws_elasticache_replication_group.main.primary_endpoint_address
    redis_token       = random_password.redis.result
    brs_password      = ephemeral.random_password.made["brs"].result
    dagster_password  = ephemeral.random_password.made["dagster"].result
    mlflow_password   = ephemeral.random_password.made["mlflow"].result
    backup_password   = ephemeral.random_password.made["backup"].result
    secret_key        = ephemeral.random_password.made["secret_key"].result
    other_secret_keys = ""
    monitoring_token  = ephemeral.random_password.made["monitoring_token"].result
    lake_key          = ephemeral.random_password.made["lake_key"].result
    alert_webhook     = "" # a receiver in the namespace monitoring, port 8080; the network policies open no other
  })
}

# The administrator's password is rotated by RDS itself, without a function of ours.
resource "aws_secretsmanager_secret_rotation" "administrator" {
  secret_id = aws_db_instance.main.master_user_secret[0].secret_arn

  rotation_rules {
    automatically_after_days = 30
  }
}
