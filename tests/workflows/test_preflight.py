"""The checks before the first epoch: printed, logged, without side effects, and able to stop the run."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pytest
from commands import TINY, client_of, run, runs_of
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from stores import store_in
from torch import Tensor, nn

from spondylo_ml.config import resolve_config
from spondylo_ml.data.prepare import prepare_films
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.errors import PreflightError
from spondylo_ml.models.zoo import build_model
from spondylo_ml.training.device import Compute
from spondylo_ml.workflows.train.preflight import check_before_training

CHECKS = ["gradients", "oracle", "inputs", "first rate", "flip", "memory"]


def test_train_prints_the_checks_in_one_line_and_logs_them(tiny_run: tuple[Path, Run, str]) -> None:
    folder, tiny, output = tiny_run
    assert tiny.data.tags["preflight"] == "passed"
    (line,) = [line for line in output.splitlines() if line.startswith("checks before training")]
    assert all(f"{name} ok" in line for name in CHECKS)
    path = client_of(folder).download_artifacts(tiny.info.run_id, "preflight.json")
    rows = json.loads(Path(path).read_text(encoding="utf-8"))
    assert [row["name"] for row in rows] == CHECKS
    assert {row["outcome"] for row in rows} == {"passed"}
    assert rows[1]["limit"] == 0.1


@pytest.mark.slow
def test_two_runs_with_one_seed_are_equal_with_and_without_the_checks(
    tiny_run: tuple[Path, Run, str], tmp_path: Path
) -> None:
    _, tiny, _ = tiny_run
    output = run(tmp_path, "train", *TINY, "--training.preflight", "false")
    assert "checks before training" not in output
    (unchecked,) = runs_of(tmp_path)
    assert unchecked.data.tags["preflight"] == "off"
    for name, value in tiny.data.metrics.items():
        if not name.startswith("time/"):
            assert unchecked.data.metrics[name] == value, name
    assert unchecked.data.tags["data_digest.train"] == tiny.data.tags["data_digest.train"]


def _detached(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    return output.detach()


def test_a_failed_check_stops_the_run_and_is_logged(tmp_path: Path) -> None:
    config = resolve_config({"preset": "smoke"})
    model = build_model(config, SLOTS)
    model.get_submodule("presence").register_forward_hook(_detached)
    films = prepare_films(phantom_films(4, 0, 96).films, SLOTS, (64, 64))
    uri_before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(tmp_path))
    try:
        experiment = mlflow.create_experiment("made", artifact_location=(tmp_path / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=experiment) as active, pytest.raises(PreflightError) as error:
            check_before_training(
                model, config, Compute("cpu", "fp32", "a test"), {"train": films[:2], "val": films[2:]}
            )
        logged_run = MlflowClient().get_run(active.info.run_id)
    finally:
        mlflow.set_tracking_uri(uri_before)
    assert "the part 'presence' does not reach presence." in str(error.value)
    assert logged_run.data.tags["preflight"] == "failed: gradients"
    (path,) = (tmp_path / "artifacts").rglob("preflight.json")
    assert json.loads(path.read_text(encoding="utf-8"))[0]["outcome"] == "failed"
