"""Two processes that would train one run: the second is refused, and a killed one does not stand in the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from stores import TRAINING_TAGS, add_run

from spondylo_ml.cli.summaries.store import clean_summary
from spondylo_ml.config import BenchmarkConfig, CleanConfig, resolve_config
from spondylo_ml.config.benchmark_plan import make_plan
from spondylo_ml.errors import RunInUseError, TrackingError
from spondylo_ml.tracking.checkpoints import checkpoint_folder
from spondylo_ml.tracking.resume import find_resume, write_run_folder
from spondylo_ml.tracking.run_process import process_tags
from spondylo_ml.tracking.training_lock import training_lock
from spondylo_ml.tracking.unopened_run import end_unopened_run
from spondylo_ml.workflows.benchmark import benchmark
from spondylo_ml.workflows.clean import clean
from spondylo_ml.workflows.train import train

HOLDER = """
import os, sys, time
from pathlib import Path
from spondylo_ml.tracking.training_lock import training_lock
with training_lock(Path(sys.argv[1])):
    child = os.fork()  # as the processes that load films
    if child:
        print(child, flush=True)
    time.sleep(600)
"""
SMOKE = resolve_config({"preset": "smoke"})


@dataclass(frozen=True)
class Holder:
    """A process that holds the lock of a folder, and its child."""

    process: subprocess.Popen[str]
    child_id: int

    @property
    def refusal(self) -> str:
        """How a second process is refused."""
        return f"is in use: held by process {self.process.pid} on .*, which trains this run"


@contextmanager
def locked_by_another(folder: Path) -> Iterator[Holder]:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child_id = int(process.stdout.readline())
        try:
            yield Holder(process, child_id)
        finally:
            process.kill()
            os.kill(child_id, signal.SIGKILL)


def add_stopped_run(client: MlflowClient) -> tuple[str, Path]:
    """A run with a checkpoint that the store shows as running, and the folder of its checkpoints."""
    run_id = add_run(client, tags=TRAINING_TAGS | process_tags() | {"process_id": "4194999"}, status="RUNNING")
    folder = checkpoint_folder(run_id)
    write_run_folder(folder, run_id, SMOKE)
    with zipfile.ZipFile(folder / "last.ckpt", "w") as archive:
        archive.writestr("weights", b"1234")
    return run_id, folder


def test_a_run_that_another_process_trains_cannot_be_resumed(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, folder = add_stopped_run(client)
    resume = find_resume(run_id)
    copy = find_resume(str(shutil.copytree(folder, tmp_path / "copy") / "last.ckpt"))
    before = client.get_run(run_id).to_dictionary()
    with locked_by_another(folder) as holder:
        for second in (resume, copy):
            with pytest.raises(RunInUseError, match=holder.refusal):
                train(SMOKE, second)
        monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
        with pytest.raises(RunInUseError, match=holder.refusal) as refusal:
            train(SMOKE)
        end_unopened_run("train", refusal.value)
        cleaning = clean(CleanConfig())
        assert cleaning.killed == ()
        assert f"run {run_id} was killed, but its state could not be changed: {folder} is in use: " in clean_summary(
            cleaning
        )
        assert client.get_run(run_id).to_dictionary() == before, "the run of the other process is not touched"
        holder.process.kill()
        holder.process.wait()
        os.kill(holder.child_id, 0)
        with training_lock(folder):
            pass
    assert [run.info.run_id for run in clean(CleanConfig()).killed] == [run_id]


def test_a_benchmark_that_another_process_runs_cannot_be_resumed(client: MlflowClient, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("title: one\nentries:\n  - {name: one, model: unet}\n")
    run_id = add_run(client, tags={"benchmark": "one"}, status="RUNNING")
    plan = make_plan(BenchmarkConfig(entries="one.yaml"), {"preset": "smoke"})
    client.log_dict(run_id, plan.model_dump(mode="json"), "benchmark.json")
    before = client.get_run(run_id).to_dictionary()
    with locked_by_another(checkpoint_folder(run_id)) as holder, pytest.raises(RunInUseError, match=holder.refusal):
        benchmark(BenchmarkConfig(resume=run_id), {})
    assert client.get_run(run_id).to_dictionary() == before


def test_a_lock_that_is_taken_twice_is_held_until_the_end_of_the_first(tmp_path: Path) -> None:
    with training_lock(tmp_path):
        with training_lock(tmp_path):
            pass
        second = subprocess.run(
            [sys.executable, "-c", HOLDER, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
        )
        assert f"RunInUseError: {tmp_path} is in use: held by process {os.getpid()} on " in second.stderr


@pytest.mark.parametrize("obstacle", ["run", "run/training.lock/folder"])
def test_a_folder_to_which_nothing_can_be_written_is_an_error_that_says_so(tmp_path: Path, obstacle: str) -> None:
    path = tmp_path / obstacle
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file")
    with (
        pytest.raises(TrackingError, match=r"checkpoints cannot be written to .*run \(.*\): make it writable"),
        training_lock(tmp_path / "run"),
    ):
        pass
