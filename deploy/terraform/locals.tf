data "aws_availability_zones" "here" {
  state = "available"
}

locals {
  name          = "brs-${var.environment}"
  is_production = var.environment == "production"
  zones         = slice(data.aws_availability_zones.here.names, 0, 3)
}
