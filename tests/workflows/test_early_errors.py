"""Runs and models that are not there are reported before torch is imported, which takes most of a command's time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import client_of, environment

CODE = """
import contextlib, io, json, sys
from spondylo_ml.cli import main
told = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as stderr:
        code = main(arguments)
    told.append([code, stderr.getvalue(), "torch" in sys.modules])
print(json.dumps(told))
"""


def ended(folder: Path, commands: list[list[str]], **extra: str) -> list[tuple[int, str, bool]]:
    """Of each command, in one process: exit code, stderr, whether torch was imported."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(commands)],
        cwd=folder,
        env=environment(folder, **extra),
        capture_output=True,
        text=True,
        check=True,
    )
    return [(code, stderr, torch) for code, stderr, torch in json.loads(done.stdout)]


def test_without_a_store_nothing_is_looked_for_and_none_is_made(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    commands = [
        ["evaluate", "--run_id", "x"],
        ["diagnose", "--run_id", "x"],
        ["compare", "--run_ids", "x,y"],
        ["compare", "--top", "2"],
        ["promote"],
        ["promote", "--rollback", "true"],
        ["registry"],
        ["benchmark", "--resume", "x"],
        ["predict", "--films", "a.png", "--to", "out"],
        ["export-onnx", "--to", "out"],
    ]
    for code, stderr, torch in ended(tmp_path, commands):
        assert (code, torch) == (2, False)
        assert stderr.startswith(f"error: there is no MLflow store {tmp_path}/mlflow.db: nothing was tracked here yet.")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_run_or_model_that_is_not_there_is_reported_in_a_line(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    run_id = client.create_run("0").info.run_id
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    missing, none = "no run 'x' in sqlite:///", f"run {run_id} has logged no model: it failed or is still running"
    no_metric = "no finished run with a model has 'val_best/mre_px512'"
    predict = ["predict", "--films", "a.png", "--to", "out"]
    cases = [
        (["evaluate", "--run_id", "x"], missing),
        (["evaluate", "--run_id", run_id], none),
        (["diagnose", "--run_id", run_id], none),
        (["compare", "--run_ids", f"{run_id},x"], missing),
        (["compare", "--top", "2"], no_metric),
        (["compare", "--top", "2", "--experiment", "DEFAULT"], "unknown experiment 'DEFAULT'. Did you mean 'Default'?"),
        (["promote"], no_metric),
        (["promote", "--run_ids", run_id], none),
        (["promote", "--noise_floor_from", "x"], missing),
        (["benchmark", "--resume", "x"], missing),
        (predict, "no registered model 'spondylo-landmarks'"),
        (["export-onnx", "--to", "out"], "no registered model"),
        ([*predict, "--model", "folder"], "holds no bundle.json"),
        ([*predict, "--model", "0" * 32], "no run '0000"),
        (["train", "--resume", run_id], f"cannot resume {run_id!r}"),
    ]
    for (command, message), (code, stderr, torch) in zip(cases, ended(tmp_path, [c for c, _ in cases]), strict=True):
        assert (code, torch) == (2, False), command
        assert message in stderr, command
        assert stderr.count("\n") == 1, command
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [["train", "--preset", "smoke"], ["phantom", "--to", "out", "--count", "2"]])
def test_a_stale_run_id_ends_a_command_before_its_work(tmp_path: Path, command: list[str]) -> None:
    client_of(tmp_path).search_experiments()
    ((code, stderr, torch),) = ended(tmp_path, [command], MLFLOW_RUN_ID="0" * 32)
    assert (code, torch) == (2, False)
    assert f"MLFLOW_RUN_ID is {'0' * 32}, and sqlite:///{tmp_path}/mlflow.db has no such run: unset it" in stderr
    assert not (tmp_path / "out").exists()
