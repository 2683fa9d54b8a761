# IRSA: a service account of the cluster assumes its role by the cluster's own tokens; no key is stored anywhere.

locals {
  issuer = replace(aws_eks_cluster.main.identity[0].oidc[0].issuer, "https://", "")
  pods = {
    mlflow     = "${local.name}:brs-mlflow"
    pipeline   = "${local.name}:brs-pipeline"
    secrets    = "${local.name}:brs-secrets"
    backup     = "${local.name}:brs-backup"
    restore    = "${local.name}:brs-restore"
    disks      = "kube-system:ebs-csi-controller-sa"
    balancer   = "kube-system:aws-load-balancer-controller"
    autoscaler = "kube-system:cluster-autoscaler"
    logs       = "kube-system:aws-for-fluent-bit"
    alerts     = "monitoring:alertmanager"
  }

  # Who reaches which bucket, and what for: whoever makes backups can neither read those of other days nor delete them.
  buckets_of = {
    mlflow   = { bucket = "artifacts", list = true, actions = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"] }
    pipeline = { bucket = "lake", list = false, actions = ["s3:PutObject", "s3:AbortMultipartUpload"] }
    backup   = { bucket = "backups", list = false, actions = ["s3:PutObject", "s3:AbortMultipartUpload"] }
    restore  = { bucket = "backups", list = true, actions = ["s3:GetObject"] }
  }
}

data "aws_iam_policy_document" "pods" {
  for_each = local.pods

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.cluster.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = ["system:serviceaccount:${each.value}"]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "pods" {
  for_each           = local.pods
  name               = "${local.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.pods[each.key].json
}

data "aws_iam_policy_document" "allowed" {
  for_each = local.buckets_of

  dynamic "statement" {
    for_each = each.value.list ? [each.value.bucket] : []

    content {
      actions   = ["s3:ListBucket"]
      resources = [aws_s3_bucket.main[statement.value].arn]
    }
  }

  statement {
    actions   = each.value.actions
    resources = ["${aws_s3_bucket.main[each.value.bucket].arn}/*"]
  }

  # What is uploaded in parts is decrypted to be put together: a key for writing alone there is not.
  statement {
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.main.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "allowed" {
  for_each = data.aws_iam_policy_document.allowed
  name     = "bucket"
  role     = aws_iam_role.pods[each.key].id
  policy   = each.value.json
}

data "aws_iam_policy_document" "secrets" {
  statement {
    actions   = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
    resources = [aws_secretsmanager_secret.application.arn]
  }

  statement {
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.main.arn]
  }
}

resource "aws_iam_role_policy" "secrets" {
  name   = "read"
  role   = aws_iam_role.pods["secrets"].id
  policy = data.aws_iam_policy_document.secrets.json
}

resource "aws_iam_role_policy_attachment" "disks" {
  role       = aws_iam_role.pods["disks"].name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"
}

# The controller's publishers write what it needs: docs/deployment.md says where the file comes from.
resource "aws_iam_role_policy" "balancer" {
  name   = "balancer"
  role   = aws_iam_role.pods["balancer"].id
  policy = file("${path.module}/policies/load-balancer-controller.json")
}

# Adds and takes away nodes between the groups' bounds.
data "aws_iam_policy_document" "autoscaler" {
  statement {
    actions = [
      "autoscaling:DescribeAutoScalingGroups",
      "autoscaling:DescribeAutoScalingInstances",
      "autoscaling:DescribeLaunchConfigurations",
      "autoscaling:DescribeScalingActivities",
      "ec2:DescribeImages",
      "ec2:DescribeInstanceTypes",
      "ec2:DescribeLaunchTemplateVersions",
      "ec2:GetInstanceTypesFromInstanceRequirements",
      "eks:DescribeNodegroup",
    ]
    resources = ["*"] # these only read, and the service knows no narrower one for most of them
  }

  statement {
    actions   = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/k8s.io/cluster-autoscaler/${local.name}"
      values   = ["owned"]
    }
  }
}

data "aws_iam_policy_document" "logs" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    resources = ["${aws_cloudwatch_log_group.application.arn}:*"]
  }
}

data "aws_iam_policy_document" "alerts" {
  statement {
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]
  }

  statement {
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.main.arn]
  }
}

resource "aws_iam_role_policy" "operating" {
  for_each = {
    autoscaler = data.aws_iam_policy_document.autoscaler.json
    logs       = data.aws_iam_policy_document.logs.json
    alerts     = data.aws_iam_policy_document.alerts.json
  }
  name   = each.key
  role   = aws_iam_role.pods[each.key].id
  policy = each.value
}
