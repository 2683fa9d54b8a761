"""The analysts' files in a bucket as well: where the pipeline runs in a cluster nobody else reaches its disk."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit


def place(url: str) -> tuple[str, str]:
    """Bucket and prefix of ``s3://bucket/prefix``. Raises ValueError."""
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    if parts.scheme != "s3" or not parts.netloc or not prefix or parts.query or parts.fragment:
        raise ValueError(f"{url} is not an address such as s3://bucket/export")
    return parts.netloc, prefix


def upload(files: Iterable[Path], url: str) -> int:
    """Put files below ``s3://bucket/prefix``, each under its own name, over what was there.

    Each file changes in one step, one after the other. Who the program is to the bucket it gets from its surroundings
    (a pod's role, a profile).

    Returns:
        Bytes.

    Raises:
        OSError: the bucket cannot be written to, or boto3 is not installed.
    """
    try:
        import boto3  # noqa: PLC0415 - of the cluster's environment alone
        from boto3.exceptions import Boto3Error  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    except ImportError as exc:
        raise OSError(f"writing to {url} wants the package boto3") from exc
    bucket, prefix = place(url)
    written = 0
    try:
        client = boto3.client("s3")
        for file in files:
            client.upload_file(str(file), bucket, f"{prefix}/{file.name}")
            written += file.stat().st_size
    except (Boto3Error, BotoCoreError, ClientError) as exc:
        raise OSError(f"cannot write to {url}: {' '.join(str(exc).split())}") from exc
    return written
