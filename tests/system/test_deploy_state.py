"""What the cluster does for what must not be lost or overheard: the way to Postgres, backups, buckets."""

import datetime as dt
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from data.database import connect, sqlalchemy_url
from tests.system.manifests import OVERLAYS, ROOT, find, overlay, pod_of, workloads

TERRAFORM = ROOT / "deploy" / "terraform"
ROOTS_IN_THE_IMAGE = "/etc/ssl/brs/rds.pem"
REACHED = "this is the server"


def addresses(name: str = "production") -> dict[str, str]:
    """Every address of a database that a Secret is made with."""
    return {
        f"{one['metadata']['name']}/{variable}": str(template)
        for one in overlay(name)
        if one["kind"] == "ExternalSecret"
        for variable, template in one["spec"]["target"]["template"]["data"].items()
        if "database_host" in template
    }


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_address_of_a_database_wants_the_server_s_certificate_compared(name: str) -> None:
    found = addresses(name)
    assert len(found) == 12
    for where, template in found.items():
        assert template.endswith(f"?sslmode=verify-full&sslrootcert={ROOTS_IN_THE_IMAGE}"), where
    assert "sslmode=require" not in "".join(path.read_text() for path in (ROOT / "deploy").rglob("*.sh"))


class Authority:
    """Signs certificates for a server of the test's own."""

    def __init__(self, folder: Path, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._folder, self._name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.path = folder / f"{name}.pem"
        own = self._signed(self._name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        self.path.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _signed(self, whose: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(whose)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    def context(self, host: str) -> ssl.SSLContext:
        """A server's side with a certificate for the host."""
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        made = self._signed(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), key)
        certificate = made.add_extension(address, critical=False).sign(self._key, hashes.SHA256())
        file = self._folder / f"{host}.pem"
        kind = serialization.PrivateFormat.PKCS8
        file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _serve(client: socket.socket, context: ssl.SSLContext | None) -> None:
    """Postgres' first words: TLS or not, then whoever comes through is told where they are."""
    with client:
        client.settimeout(5)
        client.recv(8)  # SSLRequest
        client.sendall(b"N" if context is None else b"S")
        if context is None:
            return
        with context.wrap_socket(client, server_side=True) as secure:
            secure.recv(1024)  # StartupMessage
            fields = b"SFATAL\0C57P03\0M" + REACHED.encode() + b"\0\0"
            secure.sendall(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)


@contextmanager
def postgres(context: ssl.SSLContext | None) -> Iterator[int]:
    """The port of something that speaks as Postgres does until somebody has proved who they are."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def work() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                try:
                    _serve(client, context)
                except OSError:  # the client does not like what it sees, and goes
                    continue

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def by_psycopg(url: str) -> None:
    connect(url)


def by_psycopg2(url: str) -> None:
    """As Dagster and MLflow do: by SQLAlchemy."""
    from sqlalchemy import create_engine  # noqa: PLC0415

    create_engine(sqlalchemy_url(url, "psycopg2")).connect()


@pytest.mark.parametrize("client", [by_psycopg, by_psycopg2])
@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("right", REACHED),
        ("another's certificate", "certificate verify failed"),
        ("another server's certificate", "does not match host name"),
        ("no TLS", "does not support SSL"),
    ],
)
def test_drivers_refuse_a_server_that_does_not_prove_to_be_the_one(
    tmp_path: Path, client: Callable[[str], None], case: str, said: str
) -> None:
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    context = {
        "right": ours.context("127.0.0.1"),
        "another's certificate": others.context("127.0.0.2"),
        "another server's certificate": ours.context("127.0.0.3"),
        "no TLS": None,
    }[case]
    with postgres(context) as port:
        url = re.sub(r"\{\{[^}]*\}\}", "127.0.0.1", addresses()["brs-api/DATABASE_URL"])
        url = url.replace("5432", str(port)).replace(ROOTS_IN_THE_IMAGE, str(ours.path))
        with pytest.raises(Exception, match=said) as refused:
            client(url)
    assert "OperationalError" in {one.__name__ for one in type(refused.value).__mro__}


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_databases_are_dumped_every_night_by_one_that_only_reads_them(name: str) -> None:
    job = find("CronJob", "brs-backup", name)
    assert job["spec"]["timeZone"] == "Etc/UTC"
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    minute, hour, *rest = job["spec"]["schedule"].split()
    assert rest == ["*", "*", "*"]
    deadline = job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    assert int(hour) * 3600 + int(minute) * 60 + deadline < 3 * 3600  # over when the pipeline's night begins
    pod = pod_of(job)
    assert pod is not None
    assert pod["serviceAccountName"] == "brs-backup"
    (container,) = pod["containers"]
    assert container["args"] == ["backup"]
    folder = next(volume for volume in pod["volumes"] if volume["name"] == "backups")
    asked = container["resources"]["requests"]["ephemeral-storage"]
    assert folder["emptyDir"]["sizeLimit"] == asked
    secret = find("ExternalSecret", "brs-backup", name)["spec"]["target"]["template"]["data"]
    assert set(secret) == {"DATABASE_URL", "BRS_DAGSTER_DATABASE_URL", "BRS_MLFLOW_DATABASE_URL"}
    for template in secret.values():
        assert template.startswith("postgresql://backup:{{ .backup_password | urlquery }}@{{ .database_host }}:5432/")


def test_an_old_backup_raises_an_alert_before_a_second_one_is_missed() -> None:
    rules = [r for group in find("PrometheusRule", "brs")["spec"]["groups"] for r in group["rules"]]
    (rule,) = (r for r in rules if r["alert"] == "BrsBackupOld")
    assert 24 < int(re.findall(r"> (\d+) \* 3600", rule["expr"])[0]) < 48
    assert "absent(" in rule["expr"]  # also one that never was


def numbers(of: str) -> dict[str, int]:
    """A map of numbers among the locals of storage.tf."""
    found = re.search(rf"{of} += \{{(.*?)\}}", (TERRAFORM / "storage.tf").read_text())
    assert found
    return {name: int(number) for name, number in re.findall(r"(\w+) = (\d+)", found[1])}


def test_what_somebody_erased_is_in_no_bucket_after_seven_days() -> None:
    """A lifecycle counts full days and acts at the midnight after them, once for each step."""
    older = numbers("older_versions_days")
    days = re.search(r"backups_days += (\d+)", (TERRAFORM / "storage.tf").read_text())
    assert days
    assert int(days[1]) + 1 + older["backups"] <= 7  # becomes an older version, and is gone
    assert older["lake"] + 1 <= 7  # the next night writes over what holds readers
    assert "backup_retention_period  = 7" in (TERRAFORM / "database.tf").read_text()


def test_each_part_reaches_its_bucket_and_who_writes_backups_neither_reads_nor_deletes_them() -> None:
    text = (TERRAFORM / "iam-pods.tf").read_text()
    table = re.search(r"buckets_of = \{(.*?)\n  \}", text, re.DOTALL)
    assert table
    rights = {
        role: (bucket, set(re.findall(r"s3:(\w+)", actions)))
        for role, bucket, actions in re.findall(r'(\w+) += \{ bucket = "(\w+)".*?actions = \[(.*?)\]', table[1])
    }
    assert rights == {
        "mlflow": ("artifacts", {"GetObject", "PutObject", "DeleteObject"}),
        "pipeline": ("lake", {"PutObject", "AbortMultipartUpload"}),
        "backup": ("backups", {"PutObject", "AbortMultipartUpload"}),
        "restore": ("backups", {"GetObject"}),
    }
    # Each has a service account that carries the role, and a place in the settings that names the bucket.
    for role, (bucket, _) in rights.items():
        for name in OVERLAYS:
            account = find("ServiceAccount", f"brs-{role}", name)["metadata"]["annotations"]
            assert account["eks.amazonaws.com/role-arn"].endswith(f":role/brs-{name}-{role}")
            said = "".join(str(one["data"]) for one in overlay(name) if one["kind"] == "ConfigMap")
            assert f"s3://brs-{name}-{bucket}-000000000000/" in said
    assert "aws:ResourceAccount" in (TERRAFORM / "network.tf").read_text()  # and no way to somebody else's bucket


def test_runs_are_where_the_lake_s_disk_is() -> None:
    told = find("ConfigMap", "brs-dagster-instance")["data"]["dagster.yaml"]
    assert "node_selector: {brs/nodes: training}" in told
    cluster = (TERRAFORM / "cluster.tf").read_text()
    assert '"brs/nodes" = each.key' in cluster
    assert 'each.key == "training" ? [aws_subnet.private[var.training_zone].id]' in cluster
    assert not any(
        "persistentVolumeClaim" in volume for _, pod in workloads("production") for volume in pod["volumes"]
    )  # nothing else mounts it


def test_no_password_is_in_terraform_s_state_but_redis_s() -> None:
    text = "".join(path.read_text() for path in TERRAFORM.glob("*.tf"))
    assert re.findall(r'resource "random_\w+" "(\w+)"', text) == ["redis"]
    assert "secret_string_wo " in text
    assert not re.search(r"\bsecret_string +=", text)
