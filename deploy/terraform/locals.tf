data "aws_availability_zones" "here" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"] # no local zones, whatever the account has opted in to
  }
}

locals {
  name          = "brs-${var.environment}"
  is_production = var.environment == "production"
  zones         = slice(data.aws_availability_zones.here.names, 0, 3)
}
