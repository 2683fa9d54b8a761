# EKS: its API server is reached from inside, and from the operators' networks; pods get AWS roles by IRSA (iam-pods.tf).

resource "aws_eks_cluster" "main" {
  name                      = local.name
  version                   = var.kubernetes_version
  role_arn                  = aws_iam_role.cluster.arn
  enabled_cluster_log_types = ["api", "audit", "authenticator", "controllerManager", "scheduler"]

  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = true
  }

  encryption_config {
    resources = ["secrets"]

    provider {
      key_arn = aws_kms_key.main.arn
    }
  }

  kubernetes_network_config {
    service_ipv4_cidr = "172.20.0.0/16" # named by the network policies, too
  }

  vpc_config {
    subnet_ids              = aws_subnet.private[*].id
    endpoint_private_access = true
    endpoint_public_access  = true
    public_access_cidrs     = var.operator_networks
  }

  depends_on = [aws_iam_role_policy_attachment.cluster, aws_cloudwatch_log_group.cluster]
}

data "tls_certificate" "issuer" {
  url = aws_eks_cluster.main.identity[0].oidc[0].issuer
}

resource "aws_iam_openid_connect_provider" "cluster" {
  url             = aws_eks_cluster.main.identity[0].oidc[0].issuer
  client_id_list  = ["sts.amazonaws.com"]
  thumbprint_list = [data.tls_certificate.issuer.certificates[0].sha1_fingerprint]
}

# Nodes' disks are encrypted, and pods cannot ask the instance for the node's role: one hop is not enough for them.
resource "aws_launch_template" "nodes" {
  for_each    = var.nodes
  name_prefix = "${local.name}-${each.key}-"

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = 50
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
}

resource "aws_eks_node_group" "main" {
  for_each        = var.nodes
  cluster_name    = aws_eks_cluster.main.name
  node_group_name = each.key
  node_role_arn   = aws_iam_role.nodes.arn
  # What trains lies where the lake's disk is: a node of another zone could not have it.
  subnet_ids     = each.key == "training" ? [aws_subnet.private[var.training_zone].id] : aws_subnet.private[*].id
  ami_type       = "AL2023_x86_64_STANDARD"
  instance_types = each.value.instance_types
  labels         = { "brs/nodes" = each.key }

  launch_template {
    id      = aws_launch_template.nodes[each.key].id
    version = aws_launch_template.nodes[each.key].latest_version
  }

  scaling_config {
    min_size     = each.value.minimum
    max_size     = each.value.maximum
    desired_size = each.value.minimum
  }

  update_config {
    max_unavailable = 1
  }

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size] # the cluster's autoscaler's
  }

  depends_on = [aws_iam_role_policy_attachment.nodes]
}

# Network policies are this add-on's; the disks of the lake are the other's.
resource "aws_eks_addon" "network" {
  cluster_name = aws_eks_cluster.main.name
  addon_name   = "vpc-cni"

  # A new cluster has one already, made by nobody.
  resolve_conflicts_on_create = "OVERWRITE"
  configuration_values        = jsonencode({ enableNetworkPolicy = "true" })
}

resource "aws_eks_addon" "disks" {
  cluster_name             = aws_eks_cluster.main.name
  addon_name               = "aws-ebs-csi-driver"
  service_account_role_arn = aws_iam_role.pods["disks"].arn
  depends_on               = [aws_eks_node_group.main]
}

resource "aws_eks_addon" "plain" {
  for_each     = toset(["coredns", "kube-proxy", "metrics-server"])
  cluster_name = aws_eks_cluster.main.name
  addon_name   = each.key
  depends_on   = [aws_eks_node_group.main]

  resolve_conflicts_on_create = "OVERWRITE"
}

# Whoever deploys may change what is in the application's namespace, and nothing else of the cluster: the rights of the group
# are in deploy/kubernetes/cluster. (EKS' own access policies know no External Secrets and no Prometheus rules.)
resource "aws_eks_access_entry" "deploy" {
  cluster_name      = aws_eks_cluster.main.name
  principal_arn     = aws_iam_role.github["deploy"].arn
  kubernetes_groups = ["brs-deployers"]
}
