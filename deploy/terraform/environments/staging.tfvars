environment  = "staging"
network      = "10.30.0.0/16"
nat_gateways = 1

nodes = {
  serving  = { instance_types = ["t3.large"], minimum = 2, maximum = 4 }
  training = { instance_types = ["m7i.xlarge"], minimum = 1, maximum = 1 }
}

database = {
  instance_class = "db.t4g.medium"
  storage        = 20
  storage_limit  = 100
  multi_az       = false
}

redis = {
  node_type = "cache.t4g.micro"
  nodes     = 1
}
