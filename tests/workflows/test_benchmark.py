"""`benchmark` as a user runs it: parent and child runs, a leaderboard, resuming after a kill."""

from __future__ import annotations

import csv
import os
import re
import signal
import time
from pathlib import Path

import mlflow
import numpy as np
import pytest
from commands import TINY, artifacts_of, client_of, runs_of, start
from mlflow.entities import Run
from stores import store_in

from spondylo_ml.config import PromoteConfig, validate
from spondylo_ml.evaluation.leaderboard import FINISHED, BenchmarkRun, Leaderboard
from spondylo_ml.evaluation.paired import PairedValues
from spondylo_ml.evaluation.seed_noise import values_text
from spondylo_ml.workflows.benchmark.workflow import log_noise_floor
from spondylo_ml.workflows.promote.candidates import noise_floor

TWO = """
title: two
entries:
  - {name: one, model: unet}
  - {name: other, model: unet, values: {VALUES}}
"""
EPOCHS = 12
BROKEN = "model.pretrained_file: nowhere.safetensors"


def entries_file(folder: Path, values: str = "heatmap.levels: slot") -> None:
    (folder / "two.yaml").write_text(TWO.replace("VALUES", values), encoding="utf-8")


def benchmark(folder: Path, *arguments: str) -> tuple[int, str]:
    process = start(folder, "benchmark", "--entries", "two.yaml", "--seeds", "0", "--minutes", "5", *TINY, *arguments)
    output, _ = process.communicate(timeout=1500)
    return process.returncode, output


def table(folder: Path, run_id: str, name: str) -> dict[str, dict[str, str]]:
    """Rows of a logged table, by entry."""
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    text = mlflow.artifacts.load_text(f"runs:/{run_id}/{name}")
    return {row["entry"]: row for row in csv.DictReader(text.splitlines())}


def parent_of(folder: Path) -> Run:
    (parent,) = (run for run in runs_of(folder) if "benchmark" in run.data.tags)
    return parent


def children_of(folder: Path, parent_id: str) -> dict[str, Run]:
    runs = [run for run in runs_of(folder) if run.data.tags.get("mlflow.parentRunId") == parent_id]
    return {run.data.tags["benchmark_entry"]: run for run in runs}


@pytest.mark.slow
def test_a_failed_child_run_is_listed_with_its_reason_and_does_not_stop_the_others(tmp_path: Path) -> None:
    entries_file(tmp_path, BROKEN)
    code, output = benchmark(tmp_path, "--training.epochs", "1")
    assert code == 1, output
    parent = parent_of(tmp_path)
    one, other = (children_of(tmp_path, parent.info.run_id)[name] for name in ("one", "other"))
    assert (parent.info.status, one.info.status, other.info.status) == ("FAILED", "FINISHED", "FAILED")
    assert parent.data.tags["error"] == "1 training run(s) failed: see children.csv"
    assert f"failed: other seed 0: {other.data.tags['error']}" in output
    assert {"leaderboard.csv", "children.csv", "index.html", "benchmark.json"} <= set(
        artifacts_of(tmp_path, parent.info.run_id)
    )
    rows = table(tmp_path, parent.info.run_id, "leaderboard.csv")
    assert set(rows) == {"one", "other", "mean shape"}
    assert float(rows["one"]["mre_px512"]) == pytest.approx(one.data.metrics["val_best/mre_px512"], abs=0.005)
    assert parent.data.metrics["val_best/mre_px512"] == pytest.approx(one.data.metrics["val_best/mre_px512"], abs=0.005)
    assert {name: value for name, value in parent.data.metrics.items() if name.startswith("trainings/")} == {
        "trainings/finished": 1,
        "trainings/failed": 1,
        "trainings/cut": 0,
        "trainings/not_run": 0,
    }
    assert parent.data.tags["best_entry"] == "one"
    assert float(rows["one"]["mre_px512_low"]) <= float(rows["one"]["mre_px512"])
    assert float(rows["mean shape"]["mre_px512"]) == pytest.approx(
        one.data.metrics["val/mean_shape_mre_px512"], abs=0.005
    )
    assert all(float(rows["one"][name]) > 0 for name in ("latency_ms", "films_per_s", "peak_memory_mb", "training_s"))
    assert (rows["one"]["parameters"], rows["one"]["best_epoch"]) == ("542608.0", "1.0")
    assert (rows["other"]["n_finished"], rows["other"]["n_failed"], rows["other"]["mre_px512"]) == ("0", "1", "")
    child_rows = table(tmp_path, parent.info.run_id, "children.csv")
    assert child_rows["other"]["reason"] == other.data.tags["error"]


def test_the_noise_floor_is_measured_per_observation_and_read_by_promote(tmp_path: Path) -> None:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(tmp_path))
    experiment = mlflow.create_experiment("floors", artifact_location=str(tmp_path / "artifacts"))
    percent_right = {
        ("a", 0): (100.0, 0.0),
        ("a", 1): (100.0, 100.0),
        ("b", 0): (0.0, 0.0),
        ("old", 0): None,
        ("old", 1): None,
    }
    children = []
    try:
        for (entry, seed), values in percent_right.items():
            with mlflow.start_run(experiment_id=experiment) as child:
                if values is not None:
                    paired_values = {"grade_accuracy_all": PairedValues(np.array(values), ("f1", "f2"))}
                    mlflow.log_text(values_text(paired_values), "val_report/paired_values.json")
            children.append(BenchmarkRun(entry, "unet", seed, FINISHED, child.info.run_id, data_digest="d"))
        with mlflow.start_run(experiment_id=experiment, run_name="benchmark: t") as parent:
            log_noise_floor(Leaderboard("t", "phantom films, val part", "3 minutes", tuple(children)))
        floor = noise_floor(validate(PromoteConfig, {"noise_floor_from": parent.info.run_id}))
    finally:
        mlflow.set_tracking_uri(before)
    assert floor.value == pytest.approx(1.96 * 50), "of entry a alone, whose seeds differ by half of the levels"
    assert floor.source == (f"measured by benchmark: t {parent.info.run_id[:8]}: a 2 seeds; on phantom films, val part")


@pytest.mark.slow
def test_a_killed_benchmark_resumes(tmp_path: Path) -> None:
    entries_file(tmp_path)
    run_id, reported = _kill_after_two_epochs(tmp_path)
    parent = parent_of(tmp_path)

    code, output = benchmark(tmp_path, "--training.epochs", str(EPOCHS), "--resume", parent.info.run_id)

    assert code == 0, output
    resumed = re.search(rf"one seed 0: resumed after epoch (\d+), from its last checkpoint \(run {run_id}\)", output)
    assert resumed is not None, output
    # An epoch is saved before it is reported.
    assert int(resumed[1]) in (reported, reported + 1)
    assert "other seed 0: started (run " in output
    assert parent_of(tmp_path).info.status == "FINISHED"
    children = children_of(tmp_path, parent.info.run_id)
    assert {name: run.info.status for name, run in children.items()} == {"one": "FINISHED", "other": "FINISHED"}
    assert children["one"].info.run_id == run_id
    history = client_of(tmp_path).get_metric_history(run_id, "val/mre_px512")
    assert sorted(metric.step for metric in history) == list(range(1, EPOCHS + 1)), "no epoch twice, none missing"

    code, output = benchmark(tmp_path, "--training.epochs", str(EPOCHS), "--resume", parent.info.run_id)
    assert code == 0, output
    assert output.count("finished already, kept") == 2
    assert ": started" not in output


@pytest.mark.slow
def test_some_entries_are_trained_now_and_the_rest_later(tmp_path: Path) -> None:
    entries_file(tmp_path)
    code, output = benchmark(tmp_path, "--training.epochs", "1", "--only", "other")
    assert code == 0, output
    assert "not run: one seed 0" in output
    parent_id = parent_of(tmp_path).info.run_id
    assert set(children_of(tmp_path, parent_id)) == {"other"}
    code, output = benchmark(tmp_path, "--training.epochs", "2", "--resume", parent_id)
    assert code == 2
    assert "a resumed benchmark keeps its values" in output


def _kill_after_two_epochs(folder: Path) -> tuple[str, int]:
    """Kill -9 a benchmark with its children after two epochs; the run id of the child and its epochs."""
    process = start(
        folder, "benchmark", "--entries", "two.yaml", "--seeds", "0", "--minutes", "5", *TINY,
        "--training.epochs", str(EPOCHS), new_group=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 1200
        while not (metric_files := list(folder.glob("checkpoints/*/metrics.jsonl"))) or _epochs(metric_files[0]) < 2:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "no second epoch in 20 minutes"
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert _epochs(metric_files[0]) < EPOCHS, "killed too late: training was over"
    return metric_files[0].parent.name, _epochs(metric_files[0])


def _epochs(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())
