"""The model that answers: followed from the registry, rehearsed first, kept for when the registry is down."""

import contextlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol
from uuid import UUID

import structlog

from models import chain
from models.bundle import BundleRefused, load
from models.engine import Engine
from models.reader import Pick, Rating, Reader
from serving.kit.metrics import Metrics

if TYPE_CHECKING:
    from models.registry import Version

log = structlog.get_logger(__name__)

CHAMPION: Final = "champion"  # the registry's aliases
CHALLENGER: Final = "challenger"
LAST_GOOD = "champion.json"
REFUSED_SECONDS = 300.0  # until a refused bundle is looked at again; it may have been damaged on its way
_KEPT_BESIDE = 2
_STALE_DOWNLOAD_SECONDS = 3600.0
_BASKET_SIZES = (1, 3, 10)
_REHEARSED_PICKS = 10
_LAST_WAIT_SECONDS = 2.0
_LARGEST_SHARE = 1.0 + 1e-6  # rounding


class Registry(Protocol):
    """The part of ``models.registry.Registry`` that serving needs; its docstrings say what it promises."""

    def champion(self) -> "Version | None": ...

    def challenger(self) -> "Version | None": ...

    def download(self, version: "Version", into: Path) -> Path: ...


@dataclass(frozen=True)
class Name:
    """Which model this is. The run tells two registries apart that both begin to count at 1."""

    name: str
    version: str
    run_id: str


@dataclass(frozen=True)
class Champion:
    name: Name
    folder: Path
    engine: Engine
    created_at: datetime


def rehearse(engine: Engine) -> None:
    """Ask for a few fixed baskets of the model's own books what readers will ask for, and look at the answers.

    Raises:
        BundleRefused: an answer repeats a book or returns one of the basket, its scores rise, leave 0..1 or are not
            numbers, its shares leave (0, 1], or there is no answer at all.
    """
    books = list(engine.taste.books)
    for size in (size for size in _BASKET_SIZES if size < len(books)):
        basket = books[:: max(1, len(books) // size)][:size]
        reader = _reader_of(basket)
        for source in engine.personal():
            _look_at(source.picks(reader, _REHEARSED_PICKS), reader, f"{source.name} with {size} books")
        _look_at(engine.similar_to(basket[0], _REHEARSED_PICKS, reader), reader, "similar books")
        _look_at(engine.starting(_REHEARSED_PICKS, reader), reader, "starters")
    if not any(chain.page(engine.personal(), _reader_of([book]), 1, on_failure=_raise).picks for book in books[:50]):
        raise BundleRefused("it recommends nothing to anybody")


def _reader_of(basket: Sequence[UUID]) -> Reader:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return Reader(ratings=tuple(Rating(book, 5, start + timedelta(days=day)) for day, book in enumerate(basket)))


def _look_at(picks: Sequence[Pick], reader: Reader, what: str) -> None:
    scores = [pick.score for pick in picks]
    shares = [reason.share for pick in picks for reason in pick.because if reason.share is not None]
    sound = (
        len({pick.book_id for pick in picks}) == len(picks)
        and not {pick.book_id for pick in picks} & reader.barred
        and all(0 <= score <= 1 for score in scores)  # NaN is not
        and all(after <= before for before, after in pairwise(scores))
        and all(0 < share <= _LARGEST_SHARE for share in shares)
    )
    if not sound:
        raise BundleRefused(f"it failed the rehearsal: {what}")


def _raise(source: str, failure: Exception) -> None:
    raise BundleRefused(f"it failed the rehearsal: {source}") from failure


class Follower:
    """Keeps the model with an alias at hand and exchanges it when the registry names another.

    Args:
        registry: ``None``: there is none, and the last good bundle answers for ever.
        bundles: Folder that all workers of a host share.
        metrics: Where refusals and the current version are shown.
        poll_seconds: How often the registry is asked.
        alias: Whom to follow; of the challenger the metrics do not say that it is the service's model.
    """

    def __init__(
        self,
        registry: Registry | None,
        bundles: Path,
        metrics: Metrics,
        poll_seconds: float,
        alias: Literal["champion", "challenger"] = CHAMPION,
    ) -> None:
        self._alias = alias
        self._note = bundles / f"{alias}.json"
        self._registry = registry
        self._bundles = bundles
        self._metrics = metrics
        self._poll_seconds = poll_seconds
        self._current: Champion | None = None
        self._refused: dict[Name, float] = {}
        self._registry_is_down = False
        self._stopping = threading.Event()
        self._looking = threading.Lock()

    @property
    def current(self) -> Champion | None:
        return self._current

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Answers from the last good bundle at once, and follows the registry until the block ends.

        The thread is a daemon and not waited for long: a registry that hangs must not keep the service from stopping.
        """
        self._restore()
        thread = threading.Thread(target=self._follow, name=f"follow-{self._alias}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join(timeout=_LAST_WAIT_SECONDS)

    def _follow(self) -> None:
        if self._registry is None:
            return
        self.poll(self._registry)
        while not self._stopping.wait(self._poll_seconds):
            self.poll(self._registry)

    def poll(self, registry: Registry) -> None:
        """Ask once. Runs in the thread: neither a slow registry nor a download holds up requests.

        Who asks beside the thread waits for it: two looks at once would fetch the same bundle twice.
        """
        with self._looking:
            self._look(registry)

    def _look(self, registry: Registry) -> None:
        try:
            version = registry.champion() if self._alias == CHAMPION else registry.challenger()
        except Exception as exc:  # noqa: BLE001  whatever the registry's client raises, the service goes on with what it has
            self._metrics.registry_failures.inc()
            if not self._registry_is_down:
                log.warning("the model registry does not answer", reason=f"{type(exc).__name__}: {exc}"[:500])
            self._registry_is_down = True
            return
        self._registry_is_down = False
        if version is None:
            self._retire()
            return
        name = Name(version.name, str(version.version), version.run_id)
        is_known = self._current is not None and self._current.name == name
        was_refused = time.monotonic() - self._refused.get(name, -REFUSED_SECONDS) < REFUSED_SECONDS
        if not is_known and not was_refused:
            self._adopt(registry, name, version)

    def _adopt(self, registry: Registry, name: Name, version: "Version") -> None:
        folder: Path | None = None
        try:
            folder = registry.download(version, self._bundles)
            champion = self._take(name, folder)
        except Exception as exc:  # noqa: BLE001  a bundle that cannot be fetched, read or rehearsed never replaces one that can
            self._refuse(name, folder, exc)
            return
        self._refused.clear()
        try:
            self._remember(champion)
            self._prune(champion)
        except OSError as exc:
            log.warning("the bundles folder cannot be written", reason=str(exc))

    def _take(self, name: Name, folder: Path) -> Champion:
        """Raises BundleRefused; the champion changes only when everything went well."""
        bundle = load(folder)
        engine = Engine.from_bundle(bundle)
        rehearse(engine)
        if self._current is not None:
            self._show(self._current.name, 0)
        self._current = Champion(name, folder, engine, bundle.manifest.created_at)
        self._show(name, 1)
        log.info(self._alias, name=name.name, version=name.version, books=engine.book_count)
        return self._current

    def _show(self, name: Name, value: int) -> None:
        if self._alias == CHAMPION:
            self._metrics.model.labels(name.name, name.version).set(value)

    def _refuse(self, name: Name, folder: Path | None, exc: Exception) -> None:
        self._refused[name] = time.monotonic()
        self._metrics.models_refused.inc()
        log.error("bundle refused", name=name.name, version=name.version, reason=f"{type(exc).__name__}: {exc}"[:500])
        if folder is not None:  # it may have been damaged on its way: the next look fetches it afresh
            shutil.rmtree(folder, ignore_errors=True)

    def _retire(self) -> None:
        """The registry answers, and nothing has the alias: somebody took it away."""
        if self._current is None:
            return
        log.warning(
            "the alias was taken away",
            alias=self._alias,
            name=self._current.name.name,
            version=self._current.name.version,
        )
        self._show(self._current.name, 0)
        self._current = None
        self._note.unlink(missing_ok=True)

    def _remember(self, champion: Champion) -> None:
        with tempfile.NamedTemporaryFile("w", dir=self._bundles, prefix=f".{self._alias}-", delete=False) as beside:
            json.dump({**asdict(champion.name), "folder": champion.folder.name}, beside)
        os.replace(beside.name, self._note)  # noqa: PTH105  an atomic swap, named as the house names it

    def _restore(self) -> None:
        """The last good bundle, so that the service starts with a model when the registry is down."""
        try:
            noted = json.loads(self._note.read_text())
            folder = self._bundles / Path(noted.pop("folder")).name
            self._take(Name(**noted), folder)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:  # BundleRefused is a ValueError
            log.warning("the last good bundle cannot be used", reason=f"{type(exc).__name__}: {exc}"[:500])

    def _prune(self, champion: Champion) -> None:
        """Old bundles go, but for a few to roll back to; so do downloads that a killed worker left behind."""
        used = {champion.folder, self._folder_of_the_other()}
        folders = [folder for folder in self._bundles.iterdir() if folder.is_dir() and folder not in used]
        whole = sorted((f for f in folders if not f.name.startswith(".")), key=lambda f: f.stat().st_mtime)
        left = [
            f for f in folders if f.name.startswith(".") and time.time() - f.stat().st_mtime > _STALE_DOWNLOAD_SECONDS
        ]
        for folder in [*whole[:-_KEPT_BESIDE], *left]:
            shutil.rmtree(folder, ignore_errors=True)

    def _folder_of_the_other(self) -> Path | None:
        """What the follower of the other alias, in this process or another, has noted; None where it has not."""
        other = self._bundles / f"{CHALLENGER if self._alias == CHAMPION else CHAMPION}.json"
        try:
            return self._bundles / str(json.loads(other.read_text())["folder"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
