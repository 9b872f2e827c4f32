"""Running the project's commands as a user does: in a process of its own, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.evaluation.catalogue import find_metric

ROOT = Path(__file__).resolve().parents[2]

TINY = (
    "--preset", "smoke", "--data.phantom_films", "24", "--data.max_films", "24", "--data.input_side_px", "64",
    "--data.val_fraction", "0.2", "--data.test_fraction", "0.2",
    "--training.batch_size", "4", "--tracking.system_metrics", "false", "--training.precision", "bf16",
)  # fmt: skip
"""Trained in bf16 on any processor: numbers of a run must be those of its model in use all the same."""

LEARNS = (
    "--preset", "quick", "--data.phantom_films", "300", "--data.test_fraction", "0.15", "--data.val_fraction", "0.1",
    "--data.input_side_px", "64", "--heatmap.flip_average", "false", "--tracking.system_metrics", "false",
    "--tracking.panel_films", "0", "--training.preflight", "false",
)  # fmt: skip
"""With 2,400 film passes, two minutes, enough to beat the mean shape; 6,000 are surely better."""


def environment(folder: Path, **extra: str) -> dict[str, str]:
    """The current environment with a tracking store of its own in `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    paths = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH", "")]))
    # One thread: on busy cores two threads spend their time waiting for each other.
    own = {"PYTHONPATH": paths, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "OMP_NUM_THREADS": "1"}
    return kept | own | extra


def tune(folder: Path, *arguments: str) -> str:
    """`python -m tuning` with the arguments, to its end; what it printed. A failure shows that."""
    command = [sys.executable, "-m", "tuning", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert unknown_metrics(folder) == []
    return done.stdout


def start(folder: Path, *arguments: str, new_group: bool = False, **extra: str) -> subprocess.Popen[str]:
    """`python -m spondylo_ml` with the arguments, started; in a group of processes of its own where that is asked."""
    return subprocess.Popen(
        [sys.executable, "-m", "spondylo_ml", *arguments],
        cwd=folder,
        env=environment(folder, **extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0 if new_group else None,
    )


def run(folder: Path, *arguments: str, **extra: str) -> str:
    """As `start`, to its end; what it printed. A failure shows that."""
    process = start(folder, *arguments, **extra)
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    assert unknown_metrics(folder) == []
    return output


def unknown_metrics(folder: Path) -> list[str]:
    """Metrics that runs of the store in `folder` have logged and the catalogue does not know."""
    runs = runs_of(folder) if (folder / "mlflow.db").is_file() else []
    return sorted({name for run in runs for name in run.data.metrics if find_metric(name) is None})


def client_of(folder: Path) -> MlflowClient:
    """Client of the store in `folder`."""
    return MlflowClient(environment(folder)["MLFLOW_TRACKING_URI"])


def runs_of(folder: Path) -> list[Run]:
    """All runs of the store in `folder`, the newest first."""
    client = client_of(folder)
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def artifacts_of(folder: Path, run_id: str, path: str = "") -> list[str]:
    """Paths of the artefacts that a run logged."""
    return [item.path for item in client_of(folder).list_artifacts(run_id, path)]


def aliases_of(client: MlflowClient, name: str = "spondylo-landmarks") -> dict[str, int]:
    """The versions that the aliases of a registered model name; a store may say 2 or "2"."""
    return {alias: int(version) for alias, version in client.get_registered_model(name).aliases.items()}
