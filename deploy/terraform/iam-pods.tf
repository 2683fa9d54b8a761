# IRSA: a service account of the cluster assumes its role by the cluster's own tokens; no key is stored anywhere.

locals {
  issuer = replace(aws_eks_cluster.main.identity[0].oidc[0].issuer, "https://", "")
  pods = {
    mlflow   = "${local.name}:brs-mlflow"
    secrets  = "${local.name}:brs-secrets"
    backup   = "${local.name}:brs-backup"
    disks    = "kube-system:ebs-csi-controller-sa"
    balancer = "kube-system:aws-load-balancer-controller"
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
  for_each = {
    mlflow = {
      bucket = aws_s3_bucket.main["artifacts"].arn
    }
    backup = {
      bucket = aws_s3_bucket.main["backups"].arn
    }
  }

  statement {
    actions   = ["s3:ListBucket"]
    resources = [each.value.bucket]
  }

  statement {
    actions   = each.key == "mlflow" ? ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"] : ["s3:GetObject", "s3:PutObject"]
    resources = ["${each.value.bucket}/*"]
  }

  statement {
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.main.arn]
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
