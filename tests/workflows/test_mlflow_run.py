"""The MLproject, run by MLflow from a clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT, environment
from mlflow.tracking import MlflowClient


@pytest.mark.slow
@pytest.mark.parametrize("manager", ["local", "uv"])
def test_the_smoke_run_works_with_each_environment_manager(tmp_path: Path, manager: str) -> None:
    _mlflow_run(tmp_path, "-e", "main", "--env-manager", manager)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (logged_run,) = client.search_runs([_experiment(client)])
    assert logged_run.info.status == "FINISHED"
    assert logged_run.info.run_name == "unet #1"
    assert logged_run.data.tags["preset"] == "smoke"


@pytest.mark.slow
def test_dotted_parameters_are_passed_on_and_a_misspelt_one_ends_the_run(tmp_path: Path) -> None:
    options = ["-e", "train", "-P", "model=unet", "-P", "preset=smoke", "--env-manager", "local"]
    _mlflow_run(tmp_path, *options, "-P", "training.epochs=1")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (logged_run,) = client.search_runs([_experiment(client)])
    assert logged_run.data.params["config.training.epochs"] == "1"
    process = _start(tmp_path, *options, "-P", "training.epoch=1")
    assert process.returncode != 0
    assert "Did you mean '--training.epochs'?" in process.stdout + process.stderr


def _experiment(client: MlflowClient) -> str:
    """Id of the project's experiment, which exists only if the package is installed: MLflow then finds its provider."""
    experiment = client.get_experiment_by_name("spondylo-landmarks")
    if experiment is None:
        pytest.skip("the package is not installed in this environment: pip install -e .")
    return str(experiment.experiment_id)


def _mlflow_run(folder: Path, *arguments: str) -> None:
    process = _start(folder, *arguments)
    assert process.returncode == 0, process.stdout + process.stderr


def _start(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clone = folder / "clone"
    if not clone.exists():
        ignore_patterns = shutil.ignore_patterns(".git", ".venv", "mlruns", "mlflow.db", "checkpoints", ".*_cache")
        shutil.copytree(ROOT, clone, ignore=ignore_patterns)
    variables = environment(folder)
    variables.pop("PYTHONPATH")
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
    command = [sys.executable, "-m", "mlflow", "run", str(clone), *arguments]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
