"""Backups that lie in a bucket: makes one and puts it there, lists them, fetches one for `restore`.

The standard library and boto3 alone: in the image `brs-backup` it is `offsite`. Who the program is to AWS it gets from
its surroundings (a pod's role).
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

LAST = "SHA256SUMS"  # a backup without it is not whole; `restore` refuses it
EXAMPLE = """examples:
  offsite backup                  (DATABASE_URL and its like as for `backup`; BRS_BACKUP_URL=s3://bucket/daily)
  offsite list
  offsite fetch brs-20261123T001500Z-logical /backups && restore --replace /backups/brs-20261123T001500Z-logical
"""


class Refused(RuntimeError):
    """One line for the operator."""


def place(url: str) -> tuple[str, str]:
    """Bucket and prefix of s3://bucket/prefix."""
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    if parts.scheme != "s3" or not parts.netloc or not prefix:
        raise Refused("BRS_BACKUP_URL is not an address such as s3://bucket/daily")
    return parts.netloc, prefix


def backup(s3: Any, bucket: str, prefix: str, folder: Path) -> str:  # noqa: ANN401  boto3 makes its clients' classes itself
    """A new backup in the folder, its files in the bucket, and the folder empty again."""
    program = Path(__file__).resolve().with_name("backup")
    done = subprocess.run([program, folder], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Refused("nothing was uploaded")
    made = Path(done.stdout.splitlines()[-1].rpartition(" (")[0])
    try:
        files = sorted(made.iterdir(), key=lambda path: (path.name == LAST, path.name))
        size = sum(path.stat().st_size for path in files)
        for path in files:
            s3.upload_file(str(path), bucket, f"{prefix}/{made.name}/{path.name}")
    finally:
        for path in made.iterdir():
            path.unlink()
        made.rmdir()
    return f"s3://{bucket}/{prefix}/{made.name} ({size / 1e6:.1f} MB in {len(files)} files)"


def found(s3: Any, bucket: str, prefix: str) -> dict[str, dict[str, str]]:  # noqa: ANN401  as above
    """Names of backups to their files' names and keys."""
    names: dict[str, dict[str, str]] = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
        for entry in page.get("Contents", []):
            name, _, file = entry["Key"][len(prefix) + 1 :].partition("/")
            names.setdefault(name, {})[file] = entry["Key"]
    return names


def fetch(s3: Any, bucket: str, prefix: str, name: str, folder: Path) -> Path:  # noqa: ANN401  as above
    files = found(s3, bucket, prefix).get(name, {})
    if LAST not in files:
        raise Refused(f"there is no whole backup {name}: see offsite list")
    into = folder / name
    into.mkdir(parents=True)
    for file, key in sorted(files.items()):
        if Path(file).name != file:
            raise Refused(f"{key} is no file of a backup")
        s3.download_file(bucket, key, str(into / file))
    return into


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="offsite", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default=os.environ.get("BRS_BACKUP_URL", ""), help="else BRS_BACKUP_URL")
    what = parser.add_subparsers(dest="what", required=True)
    for name in ("backup", "list", "fetch"):
        command = what.add_parser(name)
        if name == "fetch":
            command.add_argument("backup")
        if name != "list":
            command.add_argument("folder", type=Path, nargs="?", default=Path("/backups"))
    return parser.parse_args()


def answer(told: argparse.Namespace) -> str:
    bucket, prefix = place(told.url)
    s3 = boto3.client("s3")
    if told.what == "backup":
        return backup(s3, bucket, prefix, told.folder)
    if told.what == "fetch":
        return str(fetch(s3, bucket, prefix, told.backup, told.folder))
    names = sorted(found(s3, bucket, prefix).items())
    return "\n".join(name if LAST in files else f"{name} (not whole)" for name, files in names)


def main() -> int:
    try:
        sys.stdout.write(f"{answer(arguments())}\n")
    except (Refused, OSError, Boto3Error, BotoCoreError, ClientError) as exc:
        sys.stderr.write(f"offsite: {' '.join(str(exc).split())}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
