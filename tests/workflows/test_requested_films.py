"""Commands called from Python use the films that their configuration sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from commands import environment
from mlflow.entities import Run

from spondylo_ml.config import CompareConfig, DataConfig, DiagnoseConfig, EvaluateConfig, PromoteConfig
from spondylo_ml.workflows.compare import compare
from spondylo_ml.workflows.diagnose import diagnose
from spondylo_ml.workflows.evaluate import evaluate
from spondylo_ml.workflows.promote import promote

FILMS = DataConfig(phantom_seed=7)


def _evaluate(first: str, second: str) -> Any:
    return evaluate(EvaluateConfig(run_id=first, data=FILMS, overlays=0, resamples=100))


def _diagnose(first: str, second: str) -> Any:
    return diagnose(DiagnoseConfig(run_id=first, data=FILMS, films=1, resamples=100))


def _compare(first: str, second: str) -> Any:
    return compare(CompareConfig(run_ids=(first, second), data=FILMS, overlays=0, resamples=100))


def _promote(first: str, second: str) -> Any:
    config = PromoteConfig(run_ids=(first,), data=FILMS, split="val", overlays=1, latency_films=1, resamples=100)
    return promote(config)


@pytest.mark.parametrize(
    "command", [_evaluate, *(pytest.param(slow, marks=pytest.mark.slow) for slow in (_diagnose, _compare, _promote))]
)
def test_a_command_uses_the_films_of_its_configuration(
    two_tiny_runs: tuple[Path, Run, Run], monkeypatch: pytest.MonkeyPatch, command: Callable[[str, str], Any]
) -> None:
    folder, first, second = two_tiny_runs
    monkeypatch.chdir(folder)
    mlflow.set_tracking_uri(environment(folder)["MLFLOW_TRACKING_URI"])
    result = command(first.info.run_id, second.info.run_id)
    tags = mlflow.get_run(result.run_id).data.tags
    assert first.data.tags["dataset"] == "phantom-0-24x256px"
    assert tags["dataset"] == "phantom-7-24x256px", "the seed of the configuration, the film count of training"
