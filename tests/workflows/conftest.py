"""Training runs and a model that several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import TINY, run, runs_of
from mlflow.entities import Run
from small_models import unet_bundle

from spondylo_ml.serving.bundle import save_bundle


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real network with random weights that predicts every vertebra as present."""
    folder = tmp_path_factory.mktemp("model")
    save_bundle(unet_bundle(), folder)
    return folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run, str]:
    """The folder of a short training run, the run, and the output of the command."""
    folder = tmp_path_factory.mktemp("tiny_run")
    output = run(folder, "train", *TINY, "--tracking.run_name", "tiny")
    return folder, runs_of(folder)[0], output


@pytest.fixture(scope="session")
def two_tiny_runs(tiny_run: tuple[Path, Run, str]) -> tuple[Path, Run, Run]:
    """The same folder with a second run: same films, another seed, fewer epochs, and bf16.

    A run trained in bf16 is evaluated in single precision: its metrics, too, must equal those of the loaded model.
    """
    folder, tiny, _ = tiny_run
    other = ("--tracking.run_name", "other", "--seed", "1", "--training.epochs", "1", "--training.precision", "bf16")
    run(folder, "train", *TINY, *other)
    return folder, tiny, next(item for item in runs_of(folder) if item.info.run_name == "other")
