"""Studies with cheap objectives, in this process or in worker processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from forked import ForkedProgram
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from tuning.attempt import Attempt, TrialResult
from tuning.options import StudyOptions
from tuning.space import Space, SpaceFile
from tuning.study import OpenStudy, open_study

EXPERIMENT = "studies of the tests"
RATE = {"type": "float", "low": 1e-5, "high": 3e-3, "log": True}
SIGMA = {"type": "float", "low": 1.0, "high": 4.0}


def space_of(parameters: Mapping[str, Any] | None = None, **fixed: Any) -> Space:
    """Search space, by default over learning rate and sigma."""
    chosen = parameters or {"training.learning_rate": RATE, "heatmap.sigma_cells": SIGMA}
    return Space(SpaceFile.model_validate({"fixed": fixed, "parameters": chosen}))


def study_in(folder: Path, name: str = "study", space: Space | None = None, **options: Any) -> OpenStudy:
    """Open a study whose database is in `folder`."""
    settings = {"storage": f"sqlite:///{folder}/studies.db", "sampler": "random", "heartbeat_s": 1, **options}
    return open_study(StudyOptions(**settings), space or space_of(), name, EXPERIMENT)


def bowl(attempt: Attempt) -> TrialResult:
    """Objective with its minimum, 1.0, at a learning rate of 1e-3 and a sigma of 2; reports three epochs."""
    training, heatmap = attempt.config.training, attempt.config.heatmap
    value = 1.0 + abs(training.learning_rate - 1e-3) * 1e3 + abs(heatmap.sigma_cells - 2.0)
    for epoch in (1, 2, 3):
        attempt.report(value * (4 - epoch), epoch)
    return TrialResult([value], {"val_best/mre_px512": value})


def children(study: OpenStudy) -> list[Run]:
    """The runs of the trials, oldest first."""
    return child_runs(study.runs.parent_id)


def child_runs(parent_id: str) -> list[Run]:
    """The runs with this parent, oldest first."""
    client = MlflowClient()
    experiment = client.get_run(parent_id).info.experiment_id
    runs = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent_id}'", max_results=1000)
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_name))


def states(study: OpenStudy) -> list[str]:
    """Names of the trials' states, by number."""
    return [trial.state.name for trial in study.study.get_trials(deepcopy=False)]


def start_worker(folder: Path, storage: str, *arguments: str) -> ForkedProgram:
    """Start a worker process; `stub_worker.py` describes the arguments."""
    variables = {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}
    return ForkedProgram(folder, "stub_worker", (storage, *arguments), variables)


@contextmanager
def proxy_of(storage: str, folder: Path, port: int) -> Iterator[ForkedProgram]:
    """A proxy in front of a database; killed at the end."""
    program = ForkedProgram(folder, "tuning.proxy", ("--storage", storage, "--port", str(port)), {})
    try:
        for line in program.lines():
            if "are served to workers" in line:
                break
        assert program.poll() is None, program.communicate()
        yield program
    finally:
        program.send_signal(signal.SIGKILL)
        program.wait()
