data "aws_route53_zone" "main" {
  name = var.dns_zone
}

resource "aws_acm_certificate" "main" {
  domain_name       = var.host
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "validation" {
  for_each = {
    for option in aws_acm_certificate.main.domain_validation_options : option.domain_name => option
  }
  zone_id         = data.aws_route53_zone.main.zone_id
  name            = each.value.resource_record_name
  type            = each.value.resource_record_type
  records         = [each.value.resource_record_value]
  ttl             = 300
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "main" {
  certificate_arn         = aws_acm_certificate.main.arn
  validation_record_fqdns = [for record in aws_route53_record.validation : record.fqdn]
}

# The load balancer is made by the cluster's controller, after the first deployment: then `terraform apply` again with
# its tag makes the record.
data "aws_lbs" "api" {
  tags = {
    "elbv2.k8s.aws/cluster"    = aws_eks_cluster.main.name
    "ingress.k8s.aws/stack"    = "${local.name}/brs-api"
    "ingress.k8s.aws/resource" = "LoadBalancer"
  }
}

data "aws_lb" "api" {
  for_each = data.aws_lbs.api.arns
  arn      = each.value
}

resource "aws_route53_record" "api" {
  for_each = data.aws_lb.api
  zone_id  = data.aws_route53_zone.main.zone_id
  name     = var.host
  type     = "A"

  alias {
    name                   = each.value.dns_name
    zone_id                = each.value.zone_id
    evaluate_target_health = true
  }
}

# What the limits of the service cannot see: floods from many addresses, and known attacks.
resource "aws_wafv2_web_acl" "api" {
  name  = local.name
  scope = "REGIONAL"

  default_action {
    allow {}
  }

  rule {
    name     = "flood"
    priority = 1

    action {
      block {}
    }

    statement {
      rate_based_statement {
        limit              = 2000 # requests of one address in five minutes
        aggregate_key_type = "IP"
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "flood"
      sampled_requests_enabled   = false
    }
  }

  rule {
    name     = "known-bad"
    priority = 2

    override_action {
      none {}
    }

    statement {
      managed_rule_group_statement {
        name        = "AWSManagedRulesKnownBadInputsRuleSet"
        vendor_name = "AWS"
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "known-bad"
      sampled_requests_enabled   = false
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = local.name
    sampled_requests_enabled   = false
  }
}
