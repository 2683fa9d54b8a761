resource "aws_db_subnet_group" "main" {
  name       = local.name
  subnet_ids = aws_subnet.data[*].id
}

resource "aws_security_group" "database" {
  name        = "${local.name}-database"
  description = "Postgres, from the cluster alone"
  vpc_id      = aws_vpc.main.id
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  security_group_id            = aws_security_group.database.id
  referenced_security_group_id = aws_eks_cluster.main.vpc_config[0].cluster_security_group_id
  description                  = "Postgres"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_db_parameter_group" "main" {
  name_prefix = "${local.name}-"
  family      = "postgres18"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  # Whoever holds a transaction open and does nothing holds back everybody's vacuum.
  parameter {
    name  = "idle_in_transaction_session_timeout"
    value = "60000"
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "1000"
  }

  parameter {
    name         = "shared_preload_libraries"
    value        = "pg_stat_statements"
    apply_method = "pending-reboot"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "main" {
  identifier     = local.name
  engine         = "postgres"
  engine_version = "18" # the newest minor version, at first and by itself later
  instance_class = var.database.instance_class

  allocated_storage     = var.database.storage
  max_allocated_storage = var.database.storage_limit
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = aws_kms_key.main.arn

  # RDS makes the administrator's password itself, keeps it in Secrets Manager and rotates it (secrets.tf).
  username                      = "brs_admin"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = aws_kms_key.main.key_id

  multi_az               = var.database.multi_az
  db_subnet_group_name   = aws_db_subnet_group.main.name
  vpc_security_group_ids = [aws_security_group.database.id]
  parameter_group_name   = aws_db_parameter_group.main.name
  publicly_accessible    = false
  ca_cert_identifier     = "rds-ca-rsa2048-g1" # its roots are in the images

  # A daily snapshot and the log between them: any second of the last seven days can be restored. What a reader has had
  # erased is gone from the last of them after the same seven days.
  backup_retention_period  = 7
  backup_window            = "01:00-02:00" # before the night's pipeline run
  maintenance_window       = "sun:06:00-sun:07:00"
  copy_tags_to_snapshot    = true
  delete_automated_backups = true

  # What was called Performance Insights is CloudWatch Database Insights now. Its Advanced mode wants 15 months of history;
  # Standard keeps seven days and costs nothing.
  database_insights_mode                = local.is_production ? "advanced" : "standard"
  performance_insights_enabled          = true
  performance_insights_retention_period = local.is_production ? 465 : 7
  performance_insights_kms_key_id       = aws_kms_key.main.arn
  monitoring_interval                   = 60
  monitoring_role_arn                   = aws_iam_role.rds.arn
  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]

  auto_minor_version_upgrade = true
  deletion_protection        = local.is_production
  skip_final_snapshot        = !local.is_production
  final_snapshot_identifier  = "${local.name}-last"

  depends_on = [aws_cloudwatch_log_group.database]
}
