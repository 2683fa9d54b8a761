# Made here and not by the services, so that they end some day and are encrypted.

resource "aws_cloudwatch_log_group" "cluster" {
  name              = "/aws/eks/${local.name}/cluster"
  retention_in_days = 90
  kms_key_id        = aws_kms_key.main.arn
}

resource "aws_cloudwatch_log_group" "database" {
  for_each          = toset(["postgresql", "upgrade"])
  name              = "/aws/rds/instance/${local.name}/${each.key}"
  retention_in_days = 30
  kms_key_id        = aws_kms_key.main.arn
}

resource "aws_cloudwatch_log_group" "flow" {
  name              = "/aws/vpc/${local.name}/rejected"
  retention_in_days = 30
  kms_key_id        = aws_kms_key.main.arn
}

# What the pods print, sent by the collector that setup-infrastructure.sh installs. After a restore it says who erased
# themselves since (docs/runbook.md): longer than backups last.
resource "aws_cloudwatch_log_group" "application" {
  name              = "/brs/${var.environment}/application"
  retention_in_days = 30
  kms_key_id        = aws_kms_key.main.arn
}
