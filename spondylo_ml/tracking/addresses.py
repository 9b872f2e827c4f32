"""Addresses of runs and experiments in the MLflow UI."""

from __future__ import annotations

from urllib.parse import urlencode

import mlflow

from spondylo_ml.tracking.store import get_run

LOCAL_SERVER = "http://127.0.0.1:5000"
"""Where `spondylo-ml ui` and `mlflow ui` listen by default."""

MODEL_TRAINING = {"workflowType": "machine_learning"}
"""Without it, MLflow 3.17 opens its pages for language models, on which an experiment has no runs."""


def server_address() -> str:
    """The tracking server, or the address of a local one for a store that is a database."""
    uri = str(mlflow.get_tracking_uri())
    return uri.rstrip("/") if uri.startswith("http") else LOCAL_SERVER


def run_path(experiment_id: str, run_id: str, tab: str = "") -> str:
    """The part of a run's address after that of the server; `tab` is one of the run's page, such as `artifacts`."""
    return f"#/experiments/{experiment_id}/runs/{run_id}{f'/{tab}' if tab else ''}?{urlencode(MODEL_TRAINING)}"


def run_address(run_id: str) -> str:
    """The address of a run's page.

    Raises:
        TrackingError: the store has no such run.
    """
    return f"{server_address()}/{run_path(get_run(run_id).info.experiment_id, run_id)}"


def page_link(text: str, page: str = "index.html", run_id: str | None = None) -> str:
    """Markdown for the description of a run, by default the active one: a link that opens a page of its artefacts.

    Raises:
        TrackingError: the store has no such run.
    """
    run = mlflow.active_run() if run_id is None else get_run(run_id)
    return f"[{text}]({run_path(run.info.experiment_id, run.info.run_id, f'artifacts/{page}')})" if run else ""


def experiment_path(experiment_id: str, view: str = "") -> str:
    """The part of the address of an experiment's runs after that of the server; without an id, of all experiments.

    Args:
        view: key of a shared view of the runs.
    """
    query = {"viewStateShareKey": view, **MODEL_TRAINING} if view else MODEL_TRAINING
    return f"#/experiments{f'/{experiment_id}/runs' if experiment_id else ''}?{urlencode(query)}"
