"""MLflow's model registry: versions, the aliases `champion` and `challenger`, and the history in tags.

The tags of the registered model are the history, one per event (`event.0001` ...). Descriptions are generated from it
and can be rewritten at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import mlflow
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.errors import TrackingError
from spondylo_ml.promotion.history import Event
from spondylo_ml.tracking.digests import BUNDLE_DIGEST, digest_of_run, require_same_digest
from spondylo_ml.tracking.logged_models import logged_model
from spondylo_ml.tracking.store_check import store_name
from spondylo_ml.tracking.store_uri import uri_without_password

CHAMPION, CHALLENGER = "champion", "challenger"
EVENT = "event."
STATUS = "status"
ROLLED_BACK = "rolled_back"
"""Tag of a version: when and why it was rolled back."""

OUT_OF_USE = "rolled back"
FILMS_DIGEST, FILMS, SPLIT = "frozen_films.digest", "frozen_films.data", "frozen_films.split"
LONGEST_DESCRIPTION = 5000
"""Longest description that PostgreSQL stores."""


class Registry:
    """One registered model."""

    def __init__(self, name: str) -> None:
        self.name, self._client = name, MlflowClient()

    def champion(self) -> ModelVersion | None:
        """The version with this alias; None if there is no registered model, or no version has it."""
        return self._with_alias(CHAMPION)

    def challenger(self) -> ModelVersion | None:
        """As `champion`."""
        return self._with_alias(CHALLENGER)

    def version(self, number: int) -> ModelVersion:
        """One version.

        Raises:
            TrackingError: there is no such version.
        """
        try:
            return self._client.get_model_version(self.name, str(number))
        except MlflowException:
            raise TrackingError(f"{self.name} has no version {number}: it was deleted") from None

    def rolled_back(self, run_id: str) -> str:
        """When and why the run's model was rolled back; empty if it was not."""
        if self._model() is None:
            return ""
        versions = self._client.search_model_versions(f"name = '{self.name}' and run_id = '{run_id}'")
        return next((v.tags[ROLLED_BACK] for v in versions if v.tags.get(STATUS) == OUT_OF_USE), "")

    def tags(self) -> dict[str, str]:
        """Tags of the registered model; empty if it does not exist."""
        model = self._model()
        return dict(model.tags) if model else {}

    def events(self) -> list[Event]:
        """The history, oldest first."""
        return [Event.from_text(text) for name, text in sorted(self.tags().items()) if name.startswith(EVENT)]

    def require_history(self) -> list[Event]:
        """As `events`, but raises if there are none.

        Raises:
            TrackingError: there is no such registered model, or it never had a champion.
        """
        events = self.events()
        if not events:
            names = ", ".join(sorted(m.name for m in self._client.search_registered_models())) or "none"
            raise TrackingError(
                f"{self.name!r} in {store_name()} has no history: no model was promoted yet. "
                f"Registered models there: {names}"
            )
        return events

    def add_version(self, run: Run, tags: Mapping[str, str]) -> ModelVersion:
        """Register the run's model as a new version, or update the tags of the version that it is already.

        The version has a tag with the digest of the model's files, which loading verifies.

        Raises:
            TrackingError: the run has logged no model, or its digest is not that of its version.
        """
        run_id = run.info.run_id
        model = logged_model(run)
        if model is None:
            raise TrackingError(f"run {run_id} has logged no model that could be registered")
        tags = {**tags, BUNDLE_DIGEST: digest_of_run(run_id)}
        versions = self._client.search_model_versions(f"name = '{self.name}' and run_id = '{run_id}'")
        if versions:
            newest = max(versions, key=lambda version: int(version.version))
            require_same_digest(newest, tags[BUNDLE_DIGEST])
            self.tag_version(newest, tags)
            return newest
        if self._model() is None:
            self._client.create_registered_model(self.name)
        return self._client.create_model_version(
            self.name, f"models:/{model.model_id}", run_id, dict(tags), model_id=model.model_id
        )

    def tag_version(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for name, value in tags.items():
            self._client.set_model_version_tag(self.name, version.version, name, value)

    def describe_version(self, version: ModelVersion, text: str) -> None:
        """Set a version's description."""
        self._client.update_model_version(self.name, version.version, text[:LONGEST_DESCRIPTION])

    def describe(self, text: str) -> None:
        """Set the registered model's description."""
        self._client.update_registered_model(self.name, text[:LONGEST_DESCRIPTION])

    def set_champion(self, version: ModelVersion, event: Event) -> None:
        """Record the event and make the version the champion, in place of the former one."""
        former = self.champion()
        self.record(event)
        self._client.set_registered_model_alias(self.name, CHAMPION, version.version)
        challenger = self.challenger()
        if challenger is not None and challenger.version == version.version:
            self._client.delete_registered_model_alias(self.name, CHALLENGER)
        if former is not None and former.version != version.version:
            self.tag_version(former, {STATUS: "former champion"})
        self.tag_version(version, {STATUS: CHAMPION})

    def set_challenger(self, version: ModelVersion) -> None:
        """Make the version the challenger, in place of the former one."""
        former = self.challenger()
        self._client.set_registered_model_alias(self.name, CHALLENGER, version.version)
        if former is not None and former.version != version.version:
            self.tag_version(former, {STATUS: "former challenger"})
        self.tag_version(version, {STATUS: CHALLENGER})

    def record(self, event: Event) -> None:
        """Add an event to the history."""
        number = 1 + sum(name.startswith(EVENT) for name in self.tags())
        self.set_tags({f"{EVENT}{number:04d}": event.to_text()})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the registered model."""
        for name, value in tags.items():
            self._client.set_registered_model_tag(self.name, name, value)

    def _model(self) -> RegisteredModel | None:
        try:
            return self._client.get_registered_model(self.name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise TrackingError(
                f"the registry {uri_without_password(mlflow.get_registry_uri())} cannot be read: {error}"
            ) from None

    def _with_alias(self, alias: str) -> ModelVersion | None:
        model = self._model()
        number = model.aliases.get(alias) if model else None
        return None if number is None else self.version(int(number))


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
