"""The registry and its lock on an MLflow server with PostgreSQL, over HTTP."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from servers import mlflow_server, postgres

from spondylo_ml.errors import TrackingError
from spondylo_ml.promotion.history import Event, EventKind
from spondylo_ml.promotion.registry_pages import model_page
from spondylo_ml.tracking.lock import promotion_lock
from spondylo_ml.tracking.registry import CHAMPION, Registry, now

LONG = tuple(f"reason {number}: " + "x" * 300 for number in range(30))


class _EmptyModel(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads hints
        return model_input


@pytest.mark.slow
def test_registry_and_lock_on_a_real_server(tmp_path: Path) -> None:
    before = mlflow.get_tracking_uri()
    with postgres() as database, mlflow_server(tmp_path, database) as address:
        mlflow.set_tracking_uri(address)
        try:
            _register_and_promote()
        finally:
            mlflow.set_tracking_uri(before)


def _register_and_promote() -> None:
    registry = Registry("landmarks")
    with promotion_lock("landmarks") as lock:
        with pytest.raises(TrackingError, match=f"another promotion holds .* --break_lock {lock.lock_id}"):
            with promotion_lock("landmarks"):
                pytest.fail("two promotions hold one lock")
        with mlflow.start_run(experiment_id="0") as active:
            mlflow.pyfunc.log_model(name="model", python_model=_EmptyModel(), pip_requirements=[])
            mlflow.set_tag("bundle_digest", "0" * 64)
        version = registry.add_version(mlflow.get_run(active.info.run_id), {"model": "unet"})
        event = Event(
            kind=EventKind.PROMOTED,
            time=now(),
            version=1,
            model="unet",
            run_id=active.info.run_id,
            former=None,
            reasons=LONG,
        )
        registry.set_champion(version, event)
        # Unlike SQLite, PostgreSQL refuses texts longer than their columns.
        registry.describe(model_page("landmarks", registry.events()))
        registry.describe_version(version, "x" * 9000)
        lock.require_held()
    assert [model.name for model in MlflowClient().search_registered_models()] == ["landmarks"]
    assert registry.events()[0].reasons[0] == LONG[0]
    champion = registry.champion()
    assert champion is not None
    assert champion.aliases == [CHAMPION]
    assert mlflow.pyfunc.load_model("models:/landmarks@champion").metadata.run_id == active.info.run_id
