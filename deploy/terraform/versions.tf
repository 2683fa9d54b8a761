# Where state lies is said at init: terraform init -backend-config=environments/production.s3.tfbackend
terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.25.0"
    }
    tls = {
      source  = "hashicorp/tls"
      version = "~> 4.1.0"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7.2"
    }
  }

  # Locked by a file beside the state, which S3 writes only where there is none: no DynamoDB table any more.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = {
      project     = "brs"
      environment = var.environment
      managed-by  = "terraform"
    }
  }
}
