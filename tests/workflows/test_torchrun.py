"""`torchrun` trains one run in two processes: it is logged once, and equals that of one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import small_net_program
import torch
from commands import TINY, environment, runs_of
from forked import ForkedProgram
from mlflow.entities import Run
from processes import environment_of
from servers import free_port
from stores import store_in

SETTINGS = (
    "train", *TINY, "--model", "small_net", "--training.epochs", "6", "--training.preflight", "false",
    "--tracking.panel_films", "0", "--training.optimizer", "sgd", "--training.learning_rate", "0.01",
    "--training.workers", "0",
)  # fmt: skip
TOLERANCE = 1e-4
"""Relative; sums over the films of a batch are rounded in another order."""


def program(folder: Path, *arguments: str, **variables: str) -> ForkedProgram:
    """Start one process."""
    store_in(folder)
    return ForkedProgram(folder, "small_net_program", arguments, environment(folder, **variables))


def torchrun(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start two processes by torchrun."""
    store_in(folder)
    tests = Path(small_net_program.__file__).parents[1]
    paths = os.pathsep.join([environment(folder)["PYTHONPATH"], str(tests)])
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*launch, small_net_program.__file__, *arguments],
        cwd=folder,
        env=environment(folder, **variables) | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def two_programs(folder: Path, *arguments: str, **variables: str) -> list[ForkedProgram]:
    """Start two processes as torchrun does, without torchrun, which would end the one when the other fails."""
    port = free_port()
    return [program(folder, *arguments, **environment_of(rank, 2, port), **variables) for rank in range(2)]


def only_run(folder: Path) -> Run:
    (run,) = runs_of(folder)
    return run


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    path = folder / "checkpoints" / only_run(folder).info.run_id / "last.ckpt"
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return weights


def assert_same_run(folder: Path, expected: Path) -> None:
    run, other = only_run(folder), only_run(expected)
    assert run.info.status == other.info.status == "FINISHED"
    metrics, expected_metrics = (
        {name: value for name, value in item.data.metrics.items() if "time/" not in name} for item in (run, other)
    )
    assert metrics == pytest.approx(expected_metrics, rel=TOLERANCE, abs=TOLERANCE)
    for name, weights in weights_of(expected).items():
        torch.testing.assert_close(weights_of(folder)[name], weights, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in one process."""
    folder = tmp_path_factory.mktemp("alone")
    process = program(folder, *SETTINGS)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return folder


def after_epoch(lines: Iterator[str], epoch: int) -> None:
    assert any(line.startswith(f"epoch {epoch}/") for line in lines)


@pytest.mark.slow
def test_two_processes_log_one_run_that_equals_that_of_one_process(alone: Path, tmp_path: Path) -> None:
    with torchrun(tmp_path, *SETTINGS) as process:
        output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert output.count("epoch 6/6") == output.count("trivial predictor") == 1
    assert only_run(tmp_path).data.tags["processes"] == "2"
    assert "processes" not in only_run(alone).data.tags
    assert_same_run(tmp_path, alone)


@pytest.mark.slow
def test_a_run_of_two_processes_that_was_terminated_resumes_in_one(alone: Path, tmp_path: Path) -> None:
    with torchrun(tmp_path, *SETTINGS, PAUSE_S="0.3") as process:
        assert process.stdout is not None
        after_epoch(process.stdout, 2)
        process.send_signal(signal.SIGTERM)
        output = process.stdout.read()
    assert process.returncode != 0
    run = only_run(tmp_path)
    assert run.info.status == "KILLED", output
    assert "Resume it: python -m spondylo_ml train --resume" in run.data.tags["mlflow.note.content"]
    resumed = program(tmp_path, "train", "--resume", run.info.run_id)
    output, _ = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, output
    assert_same_run(tmp_path, alone)


@pytest.mark.slow
def test_where_one_of_two_processes_is_killed_the_run_ends_with_the_reason_and_resumes(
    alone: Path, tmp_path: Path
) -> None:
    first, second = two_programs(tmp_path, *SETTINGS, PAUSE_S="0.3")
    after_epoch(first.lines(), 2)
    second.send_signal(signal.SIGKILL)
    output, _ = first.communicate(timeout=60)
    assert first.returncode == 2
    assert "error: another process of this training run has ended" in output
    run = only_run(tmp_path)
    assert run.info.status == "FAILED"
    assert "another process of this training run has ended" in run.data.tags["error"]
    resumed = two_programs(tmp_path, "train", "--resume", run.info.run_id)
    outputs = [process.communicate(timeout=120)[0] for process in resumed]
    assert [process.returncode for process in resumed] == [0, 0], outputs
    assert outputs[1] == "", "the second process is silent"
    assert_same_run(tmp_path, alone)


@pytest.mark.slow
def test_what_several_processes_cannot_do_is_refused(tmp_path: Path) -> None:
    processes = two_programs(tmp_path, *SETTINGS, "--training.batch_size", "5")
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [2, 1]
    assert "training.batch_size: given 5" in outputs[0]
    assert "give a multiple of 2, such as 6" in outputs[0]
    assert outputs[1] == "", "the first process says it"
    assert runs_of(tmp_path) == []
    (one, other) = two_programs(tmp_path, "audit")
    assert "only train runs in several processes" in one.communicate(timeout=60)[0]
    assert (other.communicate(timeout=60)[0], other.returncode) == ("", 0)
