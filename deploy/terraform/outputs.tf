# What deploy/scripts reads with `terraform output -json`.

output "cluster" {
  description = "Name of the EKS cluster."
  value       = aws_eks_cluster.main.name
}

output "vpc" {
  description = "Id of the VPC: controllers in pods cannot ask the instance for it."
  value       = aws_vpc.main.id
}

output "alarms" {
  description = "ARN of the topic that tells people."
  value       = aws_sns_topic.alarms.arn
}

output "log_group" {
  description = "Where what the pods print goes."
  value       = aws_cloudwatch_log_group.application.name
}

output "repositories" {
  description = "Image name to its repository's address."
  value       = { for name, repository in aws_ecr_repository.main : name => repository.repository_url }
}

output "certificate" {
  description = "ARN for the Ingress."
  value       = aws_acm_certificate_validation.main.certificate_arn
}

output "firewall" {
  description = "ARN of the web ACL for the Ingress."
  value       = aws_wafv2_web_acl.api.arn
}

output "roles" {
  description = "ARNs of the service accounts' roles."
  value       = { for name, role in aws_iam_role.pods : name => role.arn }
}

output "github_roles" {
  description = "ARNs of the workflows' roles."
  value       = { for name, role in aws_iam_role.github : name => role.arn }
}

output "buckets" {
  description = "What a bucket is for to its name."
  value       = { for name, bucket in aws_s3_bucket.main : name => bucket.id }
}

output "database_host" {
  description = "Address of Postgres."
  value       = aws_db_instance.main.address
}

output "database_administrator" {
  description = "ARN of the secret with the administrator's password."
  value       = aws_db_instance.main.master_user_secret[0].secret_arn
}

output "application_secret" {
  description = "Name of the application's secret."
  value       = aws_secretsmanager_secret.application.name
}

output "host" {
  description = "The API's name."
  value       = var.host
}

output "region" {
  description = "Where all of this is."
  value       = var.region
}
