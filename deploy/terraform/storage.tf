locals {
  # MLflow's artifacts; what the pipeline makes of the lake for analysts (it works on a volume itself: docs/deployment.md);
  # dumps of the databases.
  buckets = toset(["artifacts", "lake", "backups"])

  # Days until a lifecycle removes what was deleted or replaced. It begins at the next midnight, so that a reader's data are
  # gone within seven days of their erasure; a backup becomes an older version first, after five days.
  older_versions_days = { artifacts = 7, lake = 6, backups = 1 }
  backups_days        = 5
}

resource "aws_s3_bucket" "main" {
  for_each = local.buckets
  bucket   = "${local.name}-${each.key}-${var.account_id}"
}

resource "aws_s3_bucket_public_access_block" "main" {
  for_each                = local.buckets
  bucket                  = aws_s3_bucket.main[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "main" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.main[each.key].id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.main.arn
    }
  }
}

# What is deleted or written over can be had back for some days, and then it is gone.
resource "aws_s3_bucket_versioning" "main" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.main[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "main" {
  for_each   = local.buckets
  bucket     = aws_s3_bucket.main[each.key].id
  depends_on = [aws_s3_bucket_versioning.main]

  rule {
    id     = "days"
    status = "Enabled"

    filter {}

    dynamic "expiration" {
      for_each = each.key == "backups" ? [local.backups_days] : []

      content {
        days = expiration.value
      }
    }

    noncurrent_version_expiration {
      noncurrent_days = local.older_versions_days[each.key]
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }
}

data "aws_iam_policy_document" "tls_only" {
  for_each = local.buckets

  statement {
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.main[each.key].arn, "${aws_s3_bucket.main[each.key].arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "main" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.main[each.key].id
  policy   = data.aws_iam_policy_document.tls_only[each.key].json
}

resource "aws_ecr_repository" "main" {
  for_each             = toset(["brs-api", "brs-migrate", "brs-pipeline", "brs-backup"])
  name                 = "${local.name}/${each.key}"
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.main.arn
  }
}

# Thirty releases can be rolled back to: each is an index, its image, what says how it was built and of what, and a signature.
resource "aws_ecr_lifecycle_policy" "main" {
  for_each   = aws_ecr_repository.main
  repository = each.value.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "thirty releases of at most eight entries"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 240 }
      action       = { type = "expire" }
    }]
  })
}
