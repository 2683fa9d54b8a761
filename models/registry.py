"""The models that were published, and which of them answers: MLflow's registry, seen as BRS needs it."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from models.bundle import Json
from models.registry_client import first_line, knock, public, told_as, unless_missing

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER = "champion", "challenger"
REASON = "gate"  # tag of a run: what the gate said of its bundle
PASSED = "gate.passed"  # tag of a run whose bundle may answer readers
BUNDLE = "bundle"  # the artifact folder of a run that holds its bundle
PAST = "brs.champions"  # tag of the registered model: versions that were champion, oldest first, as JSON
REMEMBERED = 50


class RegistryUnavailable(RuntimeError):
    """The registry does not answer, or not as expected."""


class UnknownVersion(LookupError):
    """There is no such version."""


class NotPassed(ValueError):
    """The gate refused this version, or never saw it."""


class NothingToRollBackTo(LookupError):
    """No version was champion before the present one."""


@dataclass(frozen=True)
class Version:
    """One published bundle; ``version`` is MLflow's number as text, ``created_at`` aware, ``params`` the recipe."""

    name: str
    version: str
    run_id: str
    created_at: datetime
    aliases: tuple[str, ...]
    metrics: Mapping[str, float]
    params: Mapping[str, Json] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.tags.get(PASSED) == "true"


class Registry:
    """Every method raises RegistryUnavailable; an address where nobody listens is noticed at once."""

    def __init__(self, tracking_uri: str, *, name: str = "brs-recommender", artifact_root: Path | None = None) -> None:
        """Connects to nothing yet.

        Args:
            tracking_uri: ``postgresql+psycopg2://…`` or ``http(s)://…``.
            name: Of the registered model, and of the experiment with its runs.
            artifact_root: Folder for the files of new runs; without it the tracking server's own place.
        """
        self.name = name
        self._uri = tracking_uri
        self._artifact_root = artifact_root

    @cached_property
    def _client(self) -> "MlflowClient":
        from mlflow import MlflowClient  # noqa: PLC0415 - takes seconds, and a service that has a bundle starts without it

        return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    def champion(self) -> Version | None:
        """What should answer; None while nothing was promoted, whether or not anything was stored."""
        return self._called(CHAMPION)

    def challenger(self) -> Version | None:
        """What somebody put beside the champion by hand; None where nobody did."""
        return self._called(CHALLENGER)

    def _called(self, alias: str) -> Version | None:
        with self._asking() as client:
            found = unless_missing(lambda: client.get_model_version_by_alias(self.name, alias))
            return None if found is None else self._version(found)

    def latest(self) -> Version | None:
        """What was stored last, promoted or not."""
        with self._asking() as client:
            newest = client.search_model_versions(
                f"name = '{self.name}'", max_results=1, order_by=["version_number DESC"]
            )
            return self._version(newest[0]) if newest else None

    def versions(self) -> list[Version]:
        """All that was stored, newest first."""
        with self._asking() as client:
            batch = client.search_model_versions(f"name = '{self.name}'")
            found: list[ModelVersion] = list(batch)
            while batch.token:
                batch = client.search_model_versions(f"name = '{self.name}'", page_token=batch.token)
                found += batch
            # The list leaves aliases out, the model has them all.
            model = unless_missing(lambda: client.get_registered_model(self.name))
            aliases: Mapping[str, str] = model.aliases if model else {}
            newest_first = sorted(found, key=lambda one: int(one.version), reverse=True)
            return [self._version(one, aliases) for one in newest_first]

    def download(self, version: Version, into: Path) -> Path:
        """The bundle's folder on this machine, ``into/<version>-<run>``.

        A copy that is there already is returned as it is, so that processes may share ``into``; ``models.bundle.load``
        verifies it, and who finds it damaged removes it.
        """
        folder = into / f"{version.version}-{version.run_id}"
        if folder.exists():
            return folder
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=into) as aside, self._asking() as client:
            fetched = Path(client.download_artifacts(version.run_id, BUNDLE, aside))
            try:
                fetched.rename(folder)
            except OSError:
                if not folder.exists():  # else another process was faster, with the same files
                    raise
        return folder

    def store(
        self,
        folder: Path,
        *,
        params: Mapping[str, Json],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        pictures: Mapping[str, Path] | None = None,
    ) -> Version:
        """Uploads a bundle with what is known of it, as a new version without an alias.

        Args:
            folder: The bundle.
            params: The recipe.
            metrics: Names of letters, digits and ``_-./ ``; no ``@``.
            tags: Of the run.
            pictures: Name to image file.
        """
        from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415 - see _client

        with self._asking() as client:
            run = client.create_run(self._experiment(client))
            run_id = run.info.run_id
            now = int(datetime.now(UTC).timestamp() * 1000)
            status = "FAILED"
            try:
                client.log_batch(
                    run_id,
                    metrics=[Metric(name, value, now, 0) for name, value in metrics.items()],
                    params=[Param(name, json.dumps(value)) for name, value in params.items()],
                    tags=[RunTag(name, value) for name, value in tags.items()],
                )
                client.log_artifacts(run_id, str(folder), BUNDLE)
                with tempfile.TemporaryDirectory() as album:
                    for name, picture in (pictures or {}).items():
                        shutil.copyfile(picture, Path(album, name).with_suffix(picture.suffix))
                    client.log_artifacts(run_id, album, "pictures")
                if unless_missing(lambda: client.get_registered_model(self.name)) is None:
                    client.create_registered_model(self.name)
                made = client.create_model_version(self.name, f"{run.info.artifact_uri}/{BUNDLE}", run_id)
                status = "FINISHED"
            finally:
                client.set_terminated(run_id, status)
            return self._version(made)

    def promote(self, version: str) -> Version:
        """Makes ``version`` the champion. Raises UnknownVersion."""
        with self._asking() as client:
            self._known(client, version)
            past = self._past(client)
            if past[-1:] != [version]:
                self._remember(client, [*past, version])
            client.set_registered_model_alias(self.name, CHAMPION, version)
            return self._version(client.get_model_version(self.name, version))

    def challenge(self, version: str | None) -> None:
        """Puts ``version`` beside the champion; None: nothing stands there any more.

        Raises:
            UnknownVersion: There is no such version.
            NotPassed: The gate refused it.
        """
        with self._asking() as client:
            if version is None:
                if unless_missing(lambda: client.get_registered_model(self.name)) is not None:
                    client.delete_registered_model_alias(self.name, CHALLENGER)
                return
            self._known(client, version)
            if not self._version(client.get_model_version(self.name, version)).passed:
                raise NotPassed(f"version {version} did not pass the gate: it may not answer readers as challenger")
            client.set_registered_model_alias(self.name, CHALLENGER, version)

    def rollback(self) -> Version:
        """Makes the champion before the present one champion again. Raises NothingToRollBackTo."""
        with self._asking() as client:
            present = unless_missing(lambda: client.get_model_version_by_alias(self.name, CHAMPION))
            past = self._past(client)
            if present is not None and (now := str(present.version)) in past:
                # Cut at the present champion: what stands after it is a promotion that was not finished.
                past = past[: len(past) - 1 - past[::-1].index(now)]
            while past and unless_missing(lambda: client.get_model_version(self.name, past[-1])) is None:
                past.pop()
            if not past:
                raise NothingToRollBackTo(f"no version of {self.name} was champion before the present one")
            client.set_registered_model_alias(self.name, CHAMPION, past[-1])
            self._remember(client, past)
            return self._version(client.get_model_version(self.name, past[-1]))

    def _known(self, client: "MlflowClient", version: str) -> None:
        """Raises UnknownVersion."""
        if (
            not re.fullmatch(r"[1-9][0-9]*", version)
            or unless_missing(lambda: client.get_model_version(self.name, version)) is None
        ):
            raise UnknownVersion(f"{self.name} has no version {version!r}")

    def _past(self, client: "MlflowClient") -> list[str]:
        model = unless_missing(lambda: client.get_registered_model(self.name))
        return [str(version) for version in json.loads(model.tags.get(PAST, "[]"))] if model else []

    def _remember(self, client: "MlflowClient", past: list[str]) -> None:
        client.set_registered_model_tag(self.name, PAST, json.dumps(past[-REMEMBERED:]))

    def _experiment(self, client: "MlflowClient") -> str:
        if (found := client.get_experiment_by_name(self.name)) is not None:
            return str(found.experiment_id)
        location = self._artifact_root.absolute().as_uri() if self._artifact_root else None
        return str(client.create_experiment(self.name, artifact_location=location))

    def _version(self, told: "ModelVersion", aliases: Mapping[str, str] | None = None) -> Version:
        number, run_id = str(told.version), str(told.run_id)
        run = self._client.get_run(run_id).data
        return Version(
            name=self.name,
            version=number,
            run_id=run_id,
            created_at=datetime.fromtimestamp(told.creation_timestamp / 1000, UTC),
            aliases=tuple(
                sorted(told.aliases if aliases is None else (a for a, v in aliases.items() if str(v) == number))
            ),
            metrics=dict(run.metrics),
            params={name: told_as(value) for name, value in run.params.items()},
            tags=dict(run.tags),
        )

    @contextmanager
    def _asking(self) -> Iterator["MlflowClient"]:
        try:
            knock(self._uri)
        except OSError as why:
            raise RegistryUnavailable(f"the model registry at {public(self._uri)} does not answer: {why}") from why
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - see _client

        try:
            yield self._client
        except MlflowException as why:
            raise RegistryUnavailable(f"the model registry says: {first_line(why)}") from why
        except Exception as why:
            # MLflow lets its database driver's errors through; their classes are not ours to import.
            if not any(base.__module__.startswith("sqlalchemy.") for base in type(why).__mro__):
                raise
            raise RegistryUnavailable(f"the model registry's database says: {first_line(why)}") from why
