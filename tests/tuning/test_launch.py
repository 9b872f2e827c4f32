"""Starting the workers of a study: as processes of this machine, and as an array of Slurm."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from tuning import launch
from tuning.launched_worker import work

pytest.importorskip("submitit", reason="workers are started by submitit: pip install submitit")
ROOT = Path(__file__).resolve().parents[2]
STUDY = ("--model", "unet", "--preset", "smoke", "--data.phantom_films", "12", "--data.max_films", "12")
WAIT_S = 600


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--worker", "2"], "unknown option '--worker'. Did you mean '--workers'"),
        (["--on", "pbs"], "on: given 'pbs'"),
        (["--", "--trial", "3"], "unknown option '--trial'. Did you mean '--trials'"),
        (["--", "--model", "unett"], "Did you mean 'unet'"),
        (["--on", "slurm", "--", *STUDY], "on=slurm: there is no srun here"),
    ],
)
def test_bad_input_is_reported_before_anything_is_started(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert launch.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.rglob("*.pkl")) == []


def test_a_missing_submitit_is_reported_with_the_command_that_installs_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)  # importing it raises ImportError
    assert launch.main([]) == 2
    assert "submitit, which is not installed: in a clone, pip install -e '.[tuning,slurm]'" in capsys.readouterr().err


def test_a_worker_that_fails_ends_its_job_with_the_exit_code() -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        work(["--trials", "0"])


@pytest.mark.slow
def test_slurm_gets_an_array_whose_workers_are_signalled_before_their_time_is_up(tmp_path: Path) -> None:
    """Slurm itself is not here: programs of its names keep the script that they are given."""
    for name, does in (("srun", "true"), ("sbatch", f'cat "$1" > {tmp_path}/script; echo Submitted batch job 17')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    options = (
        "--workers",
        "3",
        "--hours",
        "2",
        "--gpus",
        "1",
        "--cpus",
        "4",
        "--partition",
        "long",
        "--memory_gb",
        "32",
    )
    output = _launch(tmp_path, *options, "--", *STUDY, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert "started 3 worker(s): 17_0, 17_1, 17_2; their output: worker_logs/" in output
    script = (tmp_path / "script").read_text()
    flags = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", script, re.M))
    asked = {"array": "0-2%3", "signal": "TERM@120", "time": "120", "cpus-per-task": "4", "gpus-per-node": "1"}
    assert flags.items() >= (asked | {"partition": "long", "mem": "32GB", "job-name": "tune"}).items()
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0


@pytest.mark.slow
def test_two_workers_on_this_machine_share_a_study(tmp_path: Path) -> None:
    study = ("--study", "launched", "--trials", "2", "--sampler", "random", "--space", "space")
    output = _launch(
        tmp_path, "--on", "local", "--workers", "2", "--", *STUDY, *study, MLFLOW_TRACKING_URI=mlflow.get_tracking_uri()
    )
    assert output.startswith("started 2 worker(s): ")
    deadline = time.monotonic() + WAIT_S
    while len(results := list((tmp_path / "worker_logs").glob("*_result.pkl"))) < 2:
        assert time.monotonic() < deadline, [path.read_text() for path in (tmp_path / "worker_logs").glob("*.err")]
        time.sleep(0.5)
    assert len(results) == 2
    outputs = [path.read_text() for path in (tmp_path / "worker_logs").glob("*.out")]
    assert all("study       launched: 2 complete" in text for text in outputs), outputs


def _launch(folder: Path, *arguments: str, **variables: str) -> str:
    """The output of the command, run in `folder`."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | variables
    process = subprocess.run(
        [sys.executable, "-m", "tuning.launch", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=WAIT_S,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout
