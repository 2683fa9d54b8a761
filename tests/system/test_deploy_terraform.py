"""The promises of deploy/terraform that can be read from its files, and what other files say of the same things."""

import re
from pathlib import Path

import yaml

from tests.system.manifests import find

ROOT = Path(__file__).parents[2]
TERRAFORM = ROOT / "deploy" / "terraform"
SCRIPTS = ROOT / "deploy" / "scripts"

PROMISES = (
    ("storage", 'image_tag_mutability = "IMMUTABLE"'),
    ("storage", "scan_on_push = true"),
    ("storage", 'sse_algorithm = "aws:kms"'),
    ("storage", 'values = ["false"]'),  # of aws:SecureTransport
    ("versions", "use_lockfile = true"),
    ("versions", "encrypt = true"),
    ("keys", "enable_key_rotation = true"),
    ("variables", '"0.0.0.0/0"'),  # refused for the API server
    ("locals", "slice(data.aws_availability_zones.here.names, 0, 3)"),
    ("network", "nat_gateway_id = aws_nat_gateway.main[count.index % var.nat_gateways].id"),
    ("network", "private_dns_enabled = true"),
    ("cluster", 'resource "aws_iam_openid_connect_provider" "cluster"'),
    ("cluster", 'configuration_values = jsonencode({ enableNetworkPolicy = "true" })'),
    ("cluster", 'http_tokens = "required"'),
    ("database", "multi_az = var.database.multi_az"),
    ("database", "performance_insights_enabled = true"),
    ("database", "deletion_protection = local.is_production"),
    ("database", 'name = "rds.force_ssl"'),
    ("redis", "transit_encryption_enabled = true"),
    ("redis", "at_rest_encryption_enabled = true"),
    ("redis", "automatic_failover_enabled = var.redis.nodes > 1"),
    ("secrets", 'resource "aws_secretsmanager_secret_rotation" "administrator"'),
    ("domain", 'resource "aws_acm_certificate_validation" "main"'),
    ("domain", 'resource "aws_route53_record" "api"'),
    ("alarms", 'resource "aws_sns_topic_subscription" "alarms"'),
    ("logs", "kms_key_id = aws_kms_key.main.arn"),
    ("iam-github", 'variable = "token.actions.githubusercontent.com:sub"'),
)


def test_terraform_keeps_its_promises() -> None:
    told = {path.stem: path.read_text() for path in TERRAFORM.glob("*.tf")}
    database = told["database"]
    for line in (
        "storage_encrypted     = true", "backup_retention_period  = 7", "publicly_accessible    = false",
        "manage_master_user_password   = true", "database_insights_mode",
    ):  # fmt: skip
        assert line in database, line
    for file, promise in PROMISES:
        assert promise in re.sub(" +", " ", told[file]), (file, promise)
    assert set(re.findall(r'(?m)^      version = "(\S+) ', told["versions"])) == {"~>"}
    production, staging = ((TERRAFORM / "environments" / f"{n}.tfvars").read_text() for n in ("production", "staging"))
    assert re.search(r"nat_gateways = 3", production)
    assert re.search(r"multi_az += true", production)
    assert re.search(r"nodes += 2", production[production.index("redis") :])
    # The autoscaler's groups hold the service at its largest beside the rest.
    largest = re.search(r'serving  = \{ instance_types = \["m7i.large"\], minimum = 3, maximum = (\d+) \}', production)
    assert largest
    api = find("Deployment", "brs-api")["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
    assert api["cpu"] == "500m"
    assert int(largest[1]) * 1.9 >= 10 * 0.5 + 3  # processors: those of ten pods, and of everything else
    for name in ("staging", "production"):
        example = (TERRAFORM / "terraform.tfvars.example").read_text() + (staging if name == "staging" else production)
        needed = re.findall(r'variable "(\w+)" \{\n(?:(?!\n\}).)*?\n\}', told["variables"], re.DOTALL)
        for variable in needed:
            block = told["variables"][told["variables"].index(f'variable "{variable}"') :].partition("\n}\n")[0]
            assert re.search(rf"(?m)^{variable}\s+=", example) or "  default " in block, variable
    # One group of networks, whoever names them.
    for name in ("staging", "production"):
        (network,) = re.findall(r'network +=\s"(\S+)"', (TERRAFORM / "environments" / f"{name}.tfvars").read_text())
        assert network in (ROOT / "deploy" / "kubernetes" / "overlays" / name / "kustomization.yaml").read_text()
    services = re.search(r'service_ipv4_cidr = "(\S+)"', told["cluster"])
    assert services
    assert services[1] in (ROOT / "deploy/kubernetes/base/network-policies-pipeline.yaml").read_text()


def test_the_cluster_s_own_parts_are_told_what_pods_cannot_ask_the_instance_and_alerts_reach_people() -> None:
    assert "http_put_response_hop_limit = 1" in (TERRAFORM / "cluster.tf").read_text()
    script = (SCRIPTS / "setup-infrastructure.sh").read_text()
    for told in ("--set region=", "--set vpcId=", "--set awsRegion=", "--set cloudWatchLogs.region="):
        assert told in script, told
    outputs = set(re.findall(r'(?m)^output "(\w+)"', (TERRAFORM / "outputs.tf").read_text()))
    assert set(re.findall(r"\$\(out \.(\w+)\.", script)) <= outputs
    values = script.partition("--values - <<YAML\n")[2].partition("\nYAML")[0]
    config = yaml.safe_load(values)["alertmanager"]["config"]
    receivers = {one["name"]: one for one in config["receivers"]}
    assert receivers[config["route"]["receiver"]]["sns_configs"][0]["topic_arn"] == "$(out .alarms.value)"
    accounts = re.search(r"pods = \{(.*?)\}\n", (TERRAFORM / "iam-pods.tf").read_text(), re.DOTALL)
    assert accounts
    for account in ("cluster-autoscaler", "aws-for-fluent-bit", "alertmanager"):
        assert f":{account}" in accounts[1]
        assert re.search(rf"[Nn]ame[=:] ?{account}", script), account


def test_what_the_secrets_template_reads_terraform_writes() -> None:
    read = set(re.findall(r"\{\{ \.(\w+)", (ROOT / "deploy/kubernetes/base/secrets.yaml").read_text()))
    written = re.search(
        r"secret_string_wo = jsonencode\(\{(.*?)\}\)", (TERRAFORM / "secrets.tf").read_text(), re.DOTALL
    )
    assert written
    assert read == set(re.findall(r"(?m)^\s+(\w+)\s+=", written[1]))
