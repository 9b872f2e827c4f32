"""The last lines of a command that has logged a run: where to see it."""

from __future__ import annotations

import mlflow

from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.tracking.addresses import run_address


def where_to_see(run_id: str) -> str:
    """The address of a run, and how to start the server for a store that is no server."""
    lines = [f"See it: {run_address(run_id)}"]
    uri = mlflow.get_tracking_uri()
    if not uri.startswith("http"):
        lines.append(f"Server: spondylo-ml ui, or mlflow ui --backend-store-uri {uri}")
    return "\n".join([*lines, DISCLAIMER])
