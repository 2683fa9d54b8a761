"""The lake: what the pipeline learns from, as Parquet files of one moment. docs/pipeline.md, "The lake"."""

from data.lake.extraction import extract
from data.lake.manifest import (
    MANIFEST,
    Extract,
    LakeUnreadable,
    Part,
    Snapshot,
    files,
    is_of_snapshot,
    last_snapshot,
    scan,
    store,
)
from data.lake.manifest import write_manifest as _write_manifest
from data.lake.pseudonyms import KEY_FILE, lake_key, pseudonym
from data.lake.tables import MOMENT, TABLES

__all__ = [
    "KEY_FILE",
    "MANIFEST",
    "MOMENT",
    "TABLES",
    "Extract",
    "LakeUnreadable",
    "Part",
    "Snapshot",
    "_write_manifest",
    "extract",
    "files",
    "is_of_snapshot",
    "lake_key",
    "last_snapshot",
    "pseudonym",
    "scan",
    "store",
]
