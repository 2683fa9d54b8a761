variable "environment" {
  description = "Which of the two this is; part of every name."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment is staging or production."
  }
}

variable "account_id" {
  description = "The AWS account; anything else is refused before anything is made."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id has twelve digits."
  }
}

variable "region" {
  description = "AWS region with at least three zones."
  type        = string
  default     = "eu-central-1"
}

variable "network" {
  description = "The VPC's IPv4 network; the Kubernetes overlay names the same."
  type        = string

  validation {
    condition     = can(cidrsubnet(var.network, 4, 0)) && endswith(var.network, "/16")
    error_message = "network is a /16 such as 10.20.0.0/16."
  }
}

variable "host" {
  description = "The API's name."
  type        = string
}

variable "dns_zone" {
  description = "The Route 53 zone that host lies in; it exists already."
  type        = string
}

variable "alarm_email" {
  description = "Who is told of alarms."
  type        = string

  validation {
    condition     = can(regex("^[^@ ]+@[^@ ]+$", var.alarm_email))
    error_message = "alarm_email is an address."
  }
}

variable "repository" {
  description = "The GitHub repository that may deploy, as owner/name."
  type        = string

  validation {
    condition     = can(regex("^[^/ ]+/[^/ ]+$", var.repository))
    error_message = "repository is owner/name."
  }
}

variable "operator_networks" {
  description = "Networks that may reach the cluster's API server."
  type        = list(string)

  validation {
    condition     = length(var.operator_networks) > 0 && !contains(var.operator_networks, "0.0.0.0/0")
    error_message = "operator_networks names networks, and not the whole internet."
  }
}

variable "kubernetes_version" {
  description = "EKS' minor version."
  type        = string
  default     = "1.34"
}

variable "nodes" {
  description = "The two groups of nodes: what answers, and what trains."
  type = map(object({
    instance_types = list(string)
    minimum        = number
    maximum        = number
  }))
}

variable "training_zone" {
  description = "Which of the three zones trains and has the lake's disk: 0, 1 or 2. When it is out, take another."
  type        = number
  default     = 0

  validation {
    condition     = contains([0, 1, 2], var.training_zone)
    error_message = "training_zone is 0, 1 or 2."
  }
}

variable "database" {
  description = "RDS: its class, its storage in GB at first and at most, two zones or one."
  type = object({
    instance_class = string
    storage        = number
    storage_limit  = number
    multi_az       = bool
  })

  validation {
    condition     = var.database.storage >= 20 && var.database.storage_limit >= var.database.storage
    error_message = "storage is at least 20 GB, and storage_limit not below it."
  }
}

variable "redis" {
  description = "ElastiCache: its node type, and how many nodes."
  type = object({
    node_type = string
    nodes     = number
  })
}

variable "nat_gateways" {
  description = "One for each zone in production; one for all is cheaper."
  type        = number

  validation {
    condition     = contains([1, 3], var.nat_gateways)
    error_message = "nat_gateways is 1 or 3."
  }
}
