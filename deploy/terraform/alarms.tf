# What Prometheus cannot tell because it lives beside it: the database, Redis, the load balancer. The application's own
# alerts are deploy/kubernetes/base/monitoring/rules.yaml.

resource "aws_sns_topic" "alarms" {
  name              = "${local.name}-alarms"
  kms_master_key_id = aws_kms_key.main.id
}

resource "aws_sns_topic_subscription" "alarms" {
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

locals {
  alarms = {
    database-cpu = {
      namespace = "AWS/RDS", metric = "CPUUtilization", statistic = "Average", above = true, threshold = 80
      periods   = 15, dimensions = { DBInstanceIdentifier = aws_db_instance.main.identifier }
    }
    database-storage = {
      namespace = "AWS/RDS", metric = "FreeStorageSpace", statistic = "Minimum", above = false
      threshold = 0.15 * var.database.storage * 1024 * 1024 * 1024
      periods   = 5, dimensions = { DBInstanceIdentifier = aws_db_instance.main.identifier }
    }
    database-memory = {
      namespace = "AWS/RDS", metric = "FreeableMemory", statistic = "Minimum", above = false
      threshold = 256 * 1024 * 1024
      periods   = 10, dimensions = { DBInstanceIdentifier = aws_db_instance.main.identifier }
    }
    database-connections = {
      namespace = "AWS/RDS", metric = "DatabaseConnections", statistic = "Maximum", above = true, threshold = 180
      periods   = 5, dimensions = { DBInstanceIdentifier = aws_db_instance.main.identifier }
    }
    redis-cpu = {
      namespace = "AWS/ElastiCache", metric = "EngineCPUUtilization", statistic = "Average", above = true, threshold = 80
      periods   = 10, dimensions = { ReplicationGroupId = aws_elasticache_replication_group.main.id }
    }
    redis-memory = {
      namespace = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", statistic = "Maximum", above = true
      threshold = 80
      periods   = 10, dimensions = { ReplicationGroupId = aws_elasticache_replication_group.main.id }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "main" {
  for_each            = local.alarms
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "docs/runbook.md#${each.key}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  dimensions          = each.value.dimensions
  comparison_operator = each.value.above ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.periods
  treat_missing_data  = "missing"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "balancer" {
  for_each            = data.aws_lb.api
  alarm_name          = "${local.name}-balancer-5xx"
  alarm_description   = "docs/runbook.md#balancer-5xx"
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HTTPCode_ELB_5XX_Count"
  statistic           = "Sum"
  dimensions          = { LoadBalancer = each.value.arn_suffix }
  comparison_operator = "GreaterThanThreshold"
  threshold           = 10
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}
