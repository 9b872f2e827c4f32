"""Which model of a run is used if a killed process left half of one beside it."""

from __future__ import annotations

from mlflow.entities import LoggedModelOutput
from mlflow.tracking import MlflowClient
from stores import add_run

from spondylo_ml.serving.model_address import model_id_of_run
from spondylo_ml.tracking.logged_models import delete_unfinished_models, has_model, logged_model


def add_model(client: MlflowClient, run_id: str, status: str, step: int = 1) -> str:
    """Add a model as MLflow does: it is linked to the run before its files are written."""
    model_id = str(client.create_logged_model("0", "model", run_id).model_id)
    client.log_outputs(run_id, [LoggedModelOutput(model_id, step)])
    if status != "PENDING":
        client.finalize_logged_model(model_id, status)
    return model_id


def test_the_model_that_was_logged_to_the_end_is_used_whatever_lies_beside_it(client: MlflowClient) -> None:
    run_id = add_run(client, status="RUNNING")
    unfinished = {add_model(client, run_id, "PENDING", step=9), add_model(client, run_id, "FAILED", step=8)}
    assert model_id_of_run(run_id) is None
    assert not has_model(client.get_run(run_id))
    first = add_model(client, run_id, "READY", step=7)
    assert model_id_of_run(run_id) == first
    assert has_model(client.get_run(run_id))
    latest = add_model(client, run_id, "READY", step=1)
    assert model_id_of_run(run_id) == latest
    unfinished.add(add_model(client, run_id, "PENDING"))
    unfinished.add(str(client.create_logged_model("0", "model", run_id).model_id))  # killed before it was linked
    other_run = add_model(client, add_run(client), "PENDING")
    assert model_id_of_run(run_id) == latest

    assert delete_unfinished_models(run_id) == len(unfinished)
    left = {model.model_id for model in client.search_logged_models(["0"])}
    assert left == {first, latest, other_run}
    assert delete_unfinished_models(run_id) == 0
    model = logged_model(client.get_run(run_id))
    assert model is not None
    assert model.model_id == latest
