"""Versions, aliases and history in a real store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run
from stores import store_in

from spondylo_ml.errors import TrackingError
from spondylo_ml.promotion.history import Event, EventKind
from spondylo_ml.tracking.registry import STATUS, Registry, now


class _EmptyModel(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads hints
        return model_input


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Makes an empty SQLite store the current one; its folder."""
    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(tmp_path))
    yield tmp_path
    mlflow.set_tracking_uri(before)


def run_with_model() -> Run:
    # By its id: MLflow remembers the experiment that another test chose in another store.
    with mlflow.start_run(experiment_id="0") as active:
        mlflow.pyfunc.log_model(name="model", python_model=_EmptyModel(), pip_requirements=[])
        mlflow.set_tag("bundle_digest", hashlib.sha256(active.info.run_id.encode()).hexdigest())
    return mlflow.get_run(active.info.run_id)


def promotion(version: int, former: int | None) -> Event:
    return Event(
        kind=EventKind.PROMOTED,
        time=now(),
        version=version,
        model="unet",
        run_id="r",
        former=former,
        reasons=("because",),
    )


def test_an_empty_store_has_no_versions_and_no_history(store: Path) -> None:
    registry = Registry("landmarks")
    assert (registry.champion(), registry.challenger(), registry.events()) == (None, None, [])
    assert registry.rolled_back("r") == ""
    with pytest.raises(TrackingError, match=r"'landmarks' in sqlite.* has no history.* models there: none"):
        registry.require_history()
    with pytest.raises(TrackingError, match="landmarks has no version 4: it was deleted"):
        registry.version(4)


def test_aliases_and_history_agree(store: Path) -> None:
    registry = Registry("landmarks")
    first = registry.add_version(run_with_model(), {"model": "unet"})
    second = registry.add_version(run_with_model(), {"model": "maht_net"})
    registry.set_champion(first, promotion(1, None))
    registry.set_challenger(second)
    assert registry.version(2).aliases == ["challenger"]
    registry.set_champion(registry.version(2), promotion(2, 1))
    assert registry.version(1).aliases == []
    assert registry.version(2).aliases == ["champion"], "a champion challenges nobody"
    assert [registry.version(n).tags[STATUS] for n in (1, 2)] == ["former champion", "champion"]
    assert [(e.version, e.former) for e in registry.events()] == [(1, None), (2, 1)]
    assert registry.version(2).tags["model"] == "maht_net"


@pytest.mark.slow
def test_more_than_nine_events_stay_in_order(store: Path) -> None:
    registry = Registry("landmarks")
    version = registry.add_version(run_with_model(), {})
    for number in range(1, 13):
        registry.set_champion(version, promotion(number, number - 1 or None))
    assert [event.version for event in registry.events()] == list(range(1, 13))


def test_registering_a_run_again_keeps_its_version(store: Path) -> None:
    registry, run = Registry("landmarks"), run_with_model()
    assert registry.add_version(run, {"a": "1"}).version == registry.add_version(run, {"a": "2"}).version
    assert registry.version(1).tags["a"] == "2"


def test_a_version_holds_the_model_of_its_run(store: Path) -> None:
    run = run_with_model()
    version = Registry("landmarks").add_version(run, {})
    assert version.run_id == run.info.run_id
    assert mlflow.pyfunc.load_model("models:/landmarks/1").metadata.run_id == run.info.run_id


def test_a_run_without_a_model_is_refused(store: Path) -> None:
    # By its id: MLflow remembers the experiment that another test chose in another store.
    with mlflow.start_run(experiment_id="0") as active:
        pass
    with pytest.raises(TrackingError, match=f"run {active.info.run_id} has logged no model that could be registered"):
        Registry("landmarks").add_version(mlflow.get_run(active.info.run_id), {})
