"""Runs of the store, from all pages of MLflow's search."""

from __future__ import annotations

from mlflow.entities import Run, ViewType
from mlflow.tracking import MlflowClient

from spondylo_ml.errors import TrackingError, unknown_name


def search_runs(condition: str = "", experiment: str | None = None, deleted: bool = False) -> list[Run]:
    """The runs that are not deleted, newest first.

    Args:
        condition: in MLflow's language; empty: all runs.
        experiment: name of the only experiment to search; None: all.
        deleted: the deleted runs instead.

    Raises:
        TrackingError: there is no such experiment.
    """
    client = MlflowClient()
    ids = {item.name: item.experiment_id for item in client.search_experiments()}
    if experiment is not None and experiment not in ids:
        raise TrackingError(unknown_name("experiment", experiment, ids))
    searched = list(ids.values()) if experiment is None else [ids[experiment]]
    runs: list[Run] = []
    token = None
    while searched:
        view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
        page = client.search_runs(searched, condition, view, page_token=token)
        runs += page
        token = page.token
        if not token:
            break
    return sorted(runs, key=lambda run: -(run.info.start_time or 0))


def equals(attribute: str, value: str) -> str | None:
    """The condition that an attribute has this value; None for a value that cannot be quoted."""
    quote = next((mark for mark in "'\"" if mark not in value), None)
    return None if quote is None else f"{attribute} = {quote}{value}{quote}"
