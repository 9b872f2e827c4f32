"""Whether a child run is kept, resumed or started again. Runs and store are real, nothing is trained."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.config import resolve_config
from spondylo_ml.config.benchmark_plan import PlannedRun
from spondylo_ml.errors import TrackingError
from spondylo_ml.tracking.resume import write_run_folder
from spondylo_ml.tracking.run_process import process_tags
from spondylo_ml.workflows.benchmark.children import ChildRuns
from spondylo_ml.workflows.benchmark.workflow import find_benchmark

PLANNED = PlannedRun("a", 0, resolve_config({"preset": "smoke"}))


@pytest.fixture
def parent(client: MlflowClient) -> Run:
    return client.create_run("0", tags={"benchmark": "five models"})


def checkpoint(run_id: str, epoch: int) -> Path:
    """Write the checkpoints of a run; returns their folder."""
    folder = Path("checkpoints") / run_id
    write_run_folder(folder, run_id, PLANNED.config)
    for name in ("last.ckpt", "best.ckpt"):
        torch.save({"epoch": epoch - 1}, folder / name)
    return folder


def test_a_new_child_run_is_opened_below_the_parent(client: MlflowClient, parent: Run) -> None:
    children = ChildRuns(parent)
    assert children.find() == {}
    start = children.prepare(PLANNED, None)
    assert (start.resumed, start.reason) == (False, "started")
    run = client.get_run(start.run_id)
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert run.info.run_name == "a seed 0"
    assert {key: child.info.run_id for key, child in children.find().items()} == {("a", 0): start.run_id}


def test_an_interrupted_child_resumes_in_its_run_and_drops_its_failure_tag(client: MlflowClient, parent: Run) -> None:
    children = ChildRuns(parent)
    first = children.prepare(PLANNED, None)
    client.set_tag(first.run_id, "error", "ended by SIGKILL")
    checkpoint(first.run_id, epoch=3)
    again = children.prepare(PLANNED, children.find()["a", 0])
    assert (again.run_id, again.resumed) == (first.run_id, True)
    assert again.reason == "resumed after epoch 3, from its last checkpoint"
    assert "error" not in client.get_run(first.run_id).data.tags


def test_a_child_without_a_local_checkpoint_starts_again_in_a_new_run(client: MlflowClient, parent: Run) -> None:
    children = ChildRuns(parent)
    first = children.prepare(PLANNED, None)
    again = children.prepare(PLANNED, children.find()["a", 0])
    assert again.run_id != first.run_id
    assert (again.resumed, again.reason) == (False, "started again: there is no checkpoint of it on this machine")
    replaced = client.get_run(first.run_id)
    assert replaced.info.status == "KILLED"
    assert replaced.data.tags["superseded_by"] == again.run_id
    assert children.find()["a", 0].info.run_id == again.run_id


def test_a_child_that_a_left_over_process_still_trains_is_left_alone(client: MlflowClient, parent: Run) -> None:
    children = ChildRuns(parent)
    first = children.prepare(PLANNED, None)
    checkpoint(first.run_id, epoch=1)
    path = Path("checkpoints") / first.run_id / "process.json"
    path.write_text(json.dumps({"pid": os.getpid(), "born": psutil.Process().create_time()}))
    with pytest.raises(TrackingError, match=rf"a seed 0 is still trained by process {os.getpid()}: wait for it"):
        children.prepare(PLANNED, children.find()["a", 0])
    # The id of a process that has ended may be reused.
    path.write_text(json.dumps({"pid": os.getpid(), "born": 1.0}))
    assert children.prepare(PLANNED, children.find()["a", 0]).resumed
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path.write_text(json.dumps({"pid": ended.pid, "born": 1.0}))
    assert children.prepare(PLANNED, children.find()["a", 0]).resumed


@pytest.mark.parametrize("damaged", ["last.ckpt", "best.ckpt", "config.json"])
def test_a_child_with_damaged_files_starts_again_and_says_why(client: MlflowClient, parent: Run, damaged: str) -> None:
    children = ChildRuns(parent)
    first = children.prepare(PLANNED, None)
    (checkpoint(first.run_id, epoch=2) / damaged).write_bytes(b"damaged")
    again = children.prepare(PLANNED, children.find()["a", 0])
    assert not again.resumed
    assert re.match(rf"started again: .*{re.escape(damaged)}.* damaged", again.reason)


def test_a_child_that_may_live_on_another_machine_keeps_its_state(
    client: MlflowClient, parent: Run, caplog: pytest.LogCaptureFixture
) -> None:
    children = ChildRuns(parent)
    first = children.prepare(PLANNED, None)
    for name, value in (process_tags() | {"process_host": "elsewhere 0123"}).items():
        client.set_tag(first.run_id, name, value)
    again = children.prepare(PLANNED, children.find()["a", 0])
    assert again.run_id != first.run_id
    assert client.get_run(first.run_id).info.status == "RUNNING"
    assert (
        f"a seed 0: run {first.run_id} stays RUNNING, since whether process {os.getpid()} on elsewhere" in caplog.text
    )


def test_a_child_that_was_refused_does_not_end_the_run_of_another_process(client: MlflowClient, parent: Run) -> None:
    children = ChildRuns(parent)
    run_id = children.prepare(PLANNED, None).run_id
    for name, value in process_tags().items():
        client.set_tag(run_id, name, value)
    before = client.get_run(run_id).to_dictionary()
    children._record_end(run_id, 2)
    assert client.get_run(run_id).to_dictionary() == before


def test_children_follow_the_benchmark_into_the_run_that_resumes_it(client: MlflowClient, parent: Run) -> None:
    first = ChildRuns(parent).prepare(PLANNED, None)
    elsewhere = client.create_experiment("another experiment")
    other = ChildRuns(client.create_run(elsewhere, tags={"benchmark": "five models"}))
    other.adopt(parent.info.run_id)
    assert other.find()["a", 0].info.run_id == first.run_id
    assert ChildRuns(parent).find() == {}


def test_a_resumed_benchmark_is_found_by_its_first_run_id_too(client: MlflowClient, parent: Run) -> None:
    later = client.create_run("0", tags={"benchmark": "five models"})
    client.set_tag(parent.info.run_id, "resumed_as", later.info.run_id)
    assert find_benchmark(parent.info.run_id).info.run_id == later.info.run_id


def test_a_run_that_is_not_a_benchmark_is_refused(client: MlflowClient) -> None:
    single = client.create_run("0").info.run_id
    with pytest.raises(TrackingError, match=rf"run {single} is not a benchmark: copy the id of the parent run"):
        find_benchmark(single)
    with pytest.raises(TrackingError, match="no run 'nowhere'"):
        find_benchmark("nowhere")
