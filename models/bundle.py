"""A model on disk: arrays and JSON, no pickle, refused when anything about it does not fit.

A bundle is a folder: ``manifest.json``, ``arrays.npz`` and, where there are any, extra files for the pipeline's own
use. It holds books only, no reader.
"""

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from models.ids import unpack

SCHEMA_VERSION = 1
MANIFEST, ARRAYS = "manifest.json", "arrays.npz"
PICKLES = {".pkl", ".pickle", ".joblib", ".pt"}
LIBRARIES = ("numpy", "scipy", "implicit", "scikit-learn", "skops")

Arrays = Mapping[str, NDArray[np.generic]]
Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


class Shape(NamedTuple):
    dtype: str
    dimensions: tuple[str | int, ...]


SCHEMA: Mapping[str, Shape] = {
    "book_ids": Shape("uint8", ("books", 16)),  # row i of every array is this book
    "item_factors": Shape("float32", ("books", "factors")),  # a score is an inner product of these
    "star_weights": Shape("float64", (5,)),  # evidence of liking in 1 to 5 stars, ≥ 0
    "recency": Shape("float64", ()),  # exponent ≥ 0 of the decay with every later rating
}
"""The arrays that every bundle has; it may have more. Equal names stand for equal lengths."""


class BundleRefused(ValueError):
    """The folder or the arrays are not a bundle that this version of the program can answer from."""


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself.

    Attributes:
        schema_version: Of the arrays; a program reads its own only.
        created_at: Aware.
        book_count: Rows of ``book_ids``.
        training_window: Times of the oldest and the newest rating learned from, aware.
        library_versions: Of what made it; nothing is refused for them.
        params: The recipe.
        metrics: Measured before publication.
        checksums: SHA-256 in hex of every other file, by its name in the folder.
    """

    schema_version: int
    created_at: datetime
    book_count: int
    training_window: tuple[datetime, datetime] | None
    library_versions: Mapping[str, str]
    params: Mapping[str, Json]
    metrics: Mapping[str, float]
    checksums: Mapping[str, str]

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=datetime.isoformat, indent=2, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises BundleRefused."""
        try:
            told = json.loads(text)
            schema = told["schema_version"]
        except (KeyError, TypeError, ValueError) as why:
            raise BundleRefused(f"{MANIFEST} is not a manifest: {why!r}") from why
        if schema != SCHEMA_VERSION:
            raise BundleRefused(f"its schema version is {schema}, this program reads {SCHEMA_VERSION}")
        try:
            window = told["training_window"]
            return cls(
                schema_version=SCHEMA_VERSION,
                created_at=datetime.fromisoformat(told["created_at"]),
                book_count=int(told["book_count"]),
                training_window=(datetime.fromisoformat(window[0]), datetime.fromisoformat(window[1]))
                if window
                else None,
                library_versions=dict(told["library_versions"]),
                params=dict(told["params"]),
                metrics={name: float(value) for name, value in told["metrics"].items()},
                checksums={name: str(value) for name, value in told["checksums"].items()},
            )
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as why:
            raise BundleRefused(f"{MANIFEST} is not a manifest: {why!r}") from why


@dataclass(frozen=True)
class Bundle:
    manifest: Manifest
    arrays: Arrays


def check(arrays: Arrays) -> None:
    """Raises BundleRefused unless the arrays are as ``SCHEMA`` says, finite, in range, with each book once."""
    _check_shapes(arrays)
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise BundleRefused(f"array {name} holds {array.dtype}, not numbers")
        if not np.isfinite(array.astype(np.float64, copy=False)).all():
            raise BundleRefused(f"array {name} holds NaN or infinity")
    books, factors = arrays["item_factors"].shape
    if not books or not factors:
        raise BundleRefused("it knows no book")
    if len(set(unpack(arrays["book_ids"].astype(np.uint8, copy=False)))) < books:
        raise BundleRefused("a book has two rows")
    if (arrays["star_weights"].astype(np.float64) < 0).any() or arrays["recency"].astype(np.float64) < 0:
        raise BundleRefused("star weights and recency are not negative")


def save(
    folder: Path,
    arrays: Arrays,
    *,
    params: Mapping[str, Json],
    metrics: Mapping[str, float],
    training_window: tuple[datetime, datetime] | None,
    extra_files: Iterable[Path] = (),
) -> Bundle:
    """Writes a bundle beside and moves it in place, so that a half-written one is never seen.

    Args:
        folder: Does not exist yet, or is empty.
        arrays: At least those of ``SCHEMA``.
        params: The recipe, to be read by people and by the next run.
        metrics: Finite.
        training_window: Times of the oldest and the newest rating learned from.
        extra_files: Copied in under their own names, with checksums.

    Raises:
        BundleRefused: What would be written could not be loaded again, or carries a pickle.
        OSError: The folder cannot be written, or is not empty.
    """
    check(arrays)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        made = Path(beside, "bundle")
        made.mkdir()
        np.savez(made / ARRAYS, allow_pickle=False, **arrays)
        _copy(extra_files, made)
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            created_at=datetime.now(UTC),
            book_count=len(arrays["book_ids"]),
            training_window=training_window,
            library_versions=_library_versions(),
            params=dict(params),
            metrics=dict(metrics),
            checksums={file.name: _sha256(file) for file in sorted(made.iterdir())},
        )
        (made / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        made.replace(folder)
    return Bundle(manifest, dict(arrays))


def load(folder: Path) -> Bundle:
    """Reads a bundle, verifying checksums, schema version, shapes and finiteness; nothing in it can run code.

    Raises:
        BundleRefused: With the folder and the reason.
    """
    try:
        return _read(folder)
    except (OSError, ValueError, zipfile.BadZipFile) as why:  # BundleRefused is a ValueError
        raise BundleRefused(f"bundle {folder} refused: {why}") from why


def _read(folder: Path) -> Bundle:
    manifest = Manifest.from_json((folder / MANIFEST).read_text(encoding="utf-8"))
    if ARRAYS not in manifest.checksums:
        raise BundleRefused(f"{MANIFEST} names no {ARRAYS}")
    for name, checksum in manifest.checksums.items():
        if Path(name).name != name:
            raise BundleRefused(f"{name} lies outside the bundle")
        if _sha256(folder / name) != checksum:
            raise BundleRefused(f"{name} is not the file that was published: its checksum differs")
    with np.load(folder / ARRAYS, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    check(arrays)
    if len(arrays["book_ids"]) != manifest.book_count:
        raise BundleRefused(f"{len(arrays['book_ids'])} books, its manifest says {manifest.book_count}")
    return Bundle(manifest, arrays)


def _check_shapes(arrays: Arrays) -> None:
    lengths: dict[str, int] = {}
    for name, (dtype, dimensions) in SCHEMA.items():
        if name not in arrays:
            raise BundleRefused(f"array {name} is missing")
        array = arrays[name]
        fits = array.dtype == dtype and array.ndim == len(dimensions)
        for wanted, length in zip(dimensions, array.shape, strict=False):
            fits &= length == (wanted if isinstance(wanted, int) else lengths.setdefault(wanted, length))
        if not fits:
            raise BundleRefused(f"array {name} is {array.dtype} {array.shape}, wanted {dtype} {dimensions}")


def _copy(extra_files: Iterable[Path], into: Path) -> None:
    for extra in extra_files:
        if extra.suffix.lower() in PICKLES:
            raise BundleRefused(f"{extra.name}: a bundle carries no pickle")
        if extra.name in {MANIFEST, *(file.name for file in into.iterdir())}:
            raise BundleRefused(f"{extra.name}: the bundle has a file of this name already")
        shutil.copyfile(extra, into / extra.name)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _library_versions() -> dict[str, str]:
    """Read from the packages' metadata: what makes bundles is not imported here."""
    found: dict[str, str] = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # serving has no implicit, and a bundle of Spark's no need of it
            continue
    return found
