"""The analysts' files in a bucket: the same as on disk, over those of yesterday, and errors that say what is wrong."""

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from data.database import Databases
from data.export import parquet_folder
from data.upload import upload
from pipelines.assets.publish import export
from pipelines.resources import State
from pipelines.settings import PipelineSettings
from tests.buckets import buckets
from tests.data.test_export import stored

__all__ = ["stored"]  # a fixture

URL = "s3://analysts/export"


def test_the_files_are_copied_where_the_setting_says(
    stored: Path, tmp_path: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = PipelineSettings(home=tmp_path / "home", export_url=URL)
    settings.home.mkdir()
    settings.lake.symlink_to(stored)
    with buckets() as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        bucket.objects["analysts/export/ratings.parquet"] = b"of yesterday"
        result = export(state=State(settings, databases))
        made = [settings.exports / "brs.duckdb", *parquet_folder(settings.exports / "brs.duckdb").iterdir()]
        assert bucket.objects == {f"analysts/export/{path.name}": path.read_bytes() for path in made}
        size = sum(map(len, bucket.objects.values()))
        bucket.refused.add("PUT")
        with pytest.raises(OSError, match=r"cannot write to s3://analysts/export: .*AccessDenied"):
            export(state=State(settings, databases))
    assert result.metadata is not None
    assert result.metadata["copied to"] == URL
    assert result.metadata["copied (bytes)"] == size


def test_without_the_setting_nothing_leaves_the_disk(stored: Path, tmp_path: Path, databases: Databases) -> None:
    settings = PipelineSettings(home=tmp_path / "home")
    settings.home.mkdir()
    settings.lake.symlink_to(stored)
    assert "copied to" not in (export(state=State(settings, databases)).metadata or {})


def test_without_boto3_one_line_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(OSError, match="wants the package boto3"):
        upload([], URL)


@pytest.mark.parametrize("url", ["s3://bucket", "https://bucket/export", "s3:///export", "export", "s3://b/p?x=1"])
def test_what_is_no_address_of_a_bucket_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValidationError, match="is not an address such as s3://bucket/export"):
        PipelineSettings(export_url=url)
