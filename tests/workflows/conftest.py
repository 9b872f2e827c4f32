"""Trained runs that several files of tests share: each training takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import TINY, run, runs_of
from mlflow.entities import Run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run, str]:
    """A folder in which a tiny model was trained, its run, and what the command printed."""
    folder = tmp_path_factory.mktemp("trained")
    output = run(folder, "train", *TINY, "--tracking.run_name", "tiny")
    return folder, runs_of(folder)[0], output


@pytest.fixture(scope="session")
def trained_twice(trained: tuple[Path, Run, str]) -> tuple[Path, Run, Run]:
    """The same folder with a second run: the same films, another seed, less training."""
    folder, tiny, _ = trained
    run(folder, "train", *TINY, "--tracking.run_name", "other", "--seed", "1", "--training.epochs", "1")
    return folder, tiny, next(found for found in runs_of(folder) if found.info.run_name == "other")
