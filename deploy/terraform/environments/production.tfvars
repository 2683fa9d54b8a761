environment  = "production"
network      = "10.20.0.0/16"
nat_gateways = 3

nodes = {
  serving  = { instance_types = ["m7i.large"], minimum = 3, maximum = 8 }
  training = { instance_types = ["m7i.2xlarge"], minimum = 1, maximum = 2 }
}

database = {
  instance_class = "db.m7g.large"
  storage        = 100
  storage_limit  = 500
  multi_az       = true
}

redis = {
  node_type = "cache.t4g.small"
  nodes     = 2
}
