import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import bundle
from models.bundle import BundleRefused

WINDOW = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 12, 30, tzinfo=UTC))
Break = Callable[[Path], None]


@pytest.fixture
def published(tmp_path: Path, some_world: dict[str, Any]) -> Path:
    extra = tmp_path / "genres.json"
    extra.write_text("{}")
    folder = tmp_path / "a bundle"
    bundle.save(
        folder,
        some_world,
        params={"factors": 6, "star_weights": [0.0, 1.0]},
        metrics={"ndcg_at_10": 0.1},
        training_window=WINDOW,
        extra_files=[extra],
    )
    return folder


def amend(folder: Path, **changes: object) -> None:
    told = json.loads((folder / bundle.MANIFEST).read_text())
    (folder / bundle.MANIFEST).write_text(json.dumps(told | changes))


def publish_anew(folder: Path, arrays: bytes) -> None:
    """The manifest vouches for other arrays: only what is in them can be refused."""
    (folder / bundle.ARRAYS).write_bytes(arrays)
    amend(folder, checksums={bundle.ARRAYS: bundle._sha256(folder / bundle.ARRAYS)})


def as_npz(**arrays: Any) -> bytes:  # noqa: ANN401 - object arrays among them
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_what_was_saved_comes_back(published: Path, some_world: dict[str, Any]) -> None:
    read = bundle.load(published)
    assert read.manifest.book_count == 40
    assert read.manifest.training_window == WINDOW
    assert read.manifest.params == {"factors": 6, "star_weights": [0.0, 1.0]}
    assert read.manifest.metrics == {"ndcg_at_10": 0.1}
    assert read.manifest.library_versions["numpy"] == np.__version__
    assert set(read.manifest.checksums) == {bundle.ARRAYS, "genres.json"}
    assert read.arrays.keys() == some_world.keys()
    assert all(np.array_equal(read.arrays[name], some_world[name]) for name in some_world)


def test_nothing_but_the_bundle_is_left_behind(published: Path) -> None:
    assert sorted(file.name for file in published.parent.iterdir() if file.name != "brs-home") == [
        "a bundle",
        "genres.json",
    ]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / bundle.MANIFEST).unlink(), "No such file"),
        (lambda folder: (folder / bundle.MANIFEST).write_text("{"), "not a manifest"),
        (lambda folder: (folder / bundle.MANIFEST).write_text("[]"), "not a manifest"),
        (lambda folder: amend(folder, metrics=None), "not a manifest"),
        (lambda folder: amend(folder, created_at="yesterday"), "not a manifest"),
        (lambda folder: amend(folder, schema_version=2), "schema version is 2"),
        (lambda folder: amend(folder, checksums={}), "names no arrays.npz"),
        (lambda folder: amend(folder, book_count=39), "its manifest says 39"),
        (lambda folder: (folder / bundle.ARRAYS).unlink(), "No such file"),
        (lambda folder: (folder / "genres.json").write_text("{ }"), "genres.json is not the file"),
        (lambda folder: amend(folder, checksums={bundle.ARRAYS: "", "../x": ""}), "checksum differs"),
        (lambda folder: publish_anew(folder, b"PK"), "refused"),
    ],
)
def test_a_damaged_bundle_is_refused_with_the_reason(published: Path, damage: Break, reason: str) -> None:
    damage(published)
    with pytest.raises(BundleRefused, match=reason) as refused:
        bundle.load(published)
    assert str(published) in str(refused.value)


def test_a_single_flipped_byte_is_noticed(published: Path) -> None:
    arrays = bytearray((published / bundle.ARRAYS).read_bytes())
    arrays[len(arrays) // 2] ^= 1
    (published / bundle.ARRAYS).write_bytes(arrays)
    with pytest.raises(BundleRefused, match="checksum differs"):
        bundle.load(published)


def test_a_file_outside_the_bundle_is_not_even_read(published: Path, tmp_path: Path) -> None:
    outside = tmp_path / "genres.json"
    checksums = json.loads((published / bundle.MANIFEST).read_text())["checksums"]
    amend(published, checksums=checksums | {"../genres.json": bundle._sha256(outside)})
    with pytest.raises(BundleRefused, match="outside the bundle"):
        bundle.load(published)


class Trap:
    """What a pickle can do to who reads it."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("sprung",)


def test_a_pickle_inside_is_refused_and_does_not_run(
    published: Path, some_world: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    publish_anew(published, as_npz(**some_world, trap=np.array([Trap()], dtype=object)))
    with pytest.raises(BundleRefused, match="allow_pickle"):
        bundle.load(published)
    publish_anew(published, pickle.dumps(Trap()))
    with pytest.raises(BundleRefused):
        bundle.load(published)
    assert not Path("sprung").exists()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"item_factors": None}, "item_factors is missing"),
        ({"item_factors": np.full((40, 6), np.nan, dtype=np.float32)}, "NaN"),
        ({"item_factors": np.full((40, 6), np.inf, dtype=np.float32)}, "NaN or infinity"),
        ({"item_factors": np.ones((40, 6))}, "item_factors is float64"),
        ({"item_factors": np.ones((39, 6), dtype=np.float32)}, "item_factors"),
        ({"item_factors": np.ones(40, dtype=np.float32)}, "item_factors"),
        ({"item_factors": np.ones((40, 0), dtype=np.float32)}, "knows no book"),
        ({"book_ids": np.zeros((40, 16), dtype=np.uint8)}, "two rows"),
        ({"book_ids": np.zeros((40, 8), dtype=np.uint8)}, "book_ids"),
        ({"star_weights": np.ones(4)}, "star_weights"),
        ({"star_weights": np.array([-1.0, 0, 0, 1, 1])}, "not negative"),
        ({"recency": np.array(-0.1)}, "not negative"),
        ({"recency": np.array([0.1])}, "recency"),
        ({"more": np.array([0.0, np.nan])}, "more holds NaN"),
        ({"more": np.array(["text"])}, "not numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_when_read_and_when_written(
    published: Path, some_world: dict[str, Any], changed: dict[str, Any], reason: str
) -> None:
    arrays = {name: array for name, array in (some_world | changed).items() if array is not None}
    publish_anew(published, as_npz(**arrays))
    with pytest.raises(BundleRefused, match=reason):
        bundle.load(published)
    with pytest.raises(BundleRefused, match=reason):
        bundle.save(published.parent / "new", arrays, params={}, metrics={}, training_window=None)
    assert not (published.parent / "new").exists()


def test_more_arrays_than_needed_are_welcome(tmp_path: Path, some_world: dict[str, Any]) -> None:
    bundle.save(tmp_path / "b", some_world | {"more": np.arange(3)}, params={}, metrics={}, training_window=None)
    read = bundle.load(tmp_path / "b")
    assert read.manifest.training_window is None
    assert read.arrays["more"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["model.pkl", "model.JOBLIB", bundle.MANIFEST, bundle.ARRAYS])
def test_extra_files_are_neither_pickles_nor_replace_the_bundles_own(
    tmp_path: Path, some_world: dict[str, Any], name: str
) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(BundleRefused, match=name):
        bundle.save(
            tmp_path / "b", some_world, params={}, metrics={}, training_window=None, extra_files=[tmp_path / name]
        )
    assert not (tmp_path / "b").exists()


def test_a_bundle_is_not_written_over_another(published: Path, some_world: dict[str, Any]) -> None:
    before = (published / bundle.MANIFEST).read_text()
    with pytest.raises(OSError, match="not empty"):
        bundle.save(published, some_world, params={}, metrics={}, training_window=None)
    assert (published / bundle.MANIFEST).read_text() == before


def test_no_file_of_a_bundle_is_a_pickle(published: Path) -> None:
    with zipfile.ZipFile(published / bundle.ARRAYS) as arrays:
        assert all(name.endswith(".npy") for name in arrays.namelist())
    assert {file.suffix for file in published.iterdir()} == {".npz", ".json"}
