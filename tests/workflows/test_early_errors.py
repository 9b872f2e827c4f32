"""Unknown runs and models are reported before torch is imported, which takes most of a command's time."""

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
results = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as stderr:
        code = main(arguments)
    results.append([code, stderr.getvalue(), "torch" in sys.modules])
print(json.dumps(results))
"""


def run_all(folder: Path, commands: list[list[str]], **extra: str) -> list[tuple[int, str, bool]]:
    """Run the commands in one process; exit code, stderr and whether torch was imported, for each."""
    process = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(commands)],
        cwd=folder,
        env=environment(folder, **extra),
        capture_output=True,
        text=True,
        check=True,
    )
    return [(code, stderr, torch) for code, stderr, torch in json.loads(process.stdout)]


def test_a_missing_store_is_reported_and_not_created(tmp_path: Path) -> None:
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
    results = run_all(tmp_path, commands)
    for command, (code, stderr, torch) in zip(commands, results, strict=True):
        assert (code, torch) == (2, False)
        assert stderr.startswith(f"error: there is no MLflow store {tmp_path}/mlflow.db: nothing was tracked here yet.")
        takes_a_model = command[0] in ("predict", "export-onnx")
        assert stderr.rstrip().endswith("; --model starter needs no store") == takes_a_model
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.slow
def test_an_unknown_run_or_model_is_reported_in_one_line(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    run_id = client.create_run("0").info.run_id
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    no_run, no_model = "no run 'x' in sqlite:///", f"run {run_id} has no model: it failed, is still running, or"
    no_metric = "no finished run with a model has 'val_best/mre_px512'"
    predict = ["predict", "--films", "a.png", "--to", "out"]
    cases = [
        (["evaluate", "--run_id", "x"], no_run),
        (["evaluate", "--run_id", run_id], no_model),
        (["diagnose", "--run_id", run_id], no_model),
        (["compare", "--run_ids", f"{run_id},x"], no_run),
        (["compare", "--top", "2"], no_metric),
        (["compare", "--top", "2", "--experiment", "DEFAULT"], "unknown experiment 'DEFAULT'. Did you mean 'Default'?"),
        (["promote"], no_metric),
        (["promote", "--run_ids", run_id], no_model),
        (["promote", "--noise_floor_from", "x"], no_run),
        (["benchmark", "--resume", "x"], no_run),
        (predict, "no registered model 'spondylo-landmarks'"),
        (["export-onnx", "--to", "out"], "no registered model"),
        ([*predict, "--model", "folder"], "holds no bundle.json"),
        ([*predict, "--model", "0" * 32], "no run '0000"),
        (["train", "--resume", run_id], f"cannot resume {run_id!r}"),
    ]
    for (command, message), (code, stderr, torch) in zip(cases, run_all(tmp_path, [c for c, _ in cases]), strict=True):
        assert (code, torch) == (2, False), command
        assert message in stderr, command
        assert stderr.count("\n") == 1, command
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_command_that_ends_before_it_opens_its_run_names_that_run_and_says_why(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    run_id = client.create_run("0", run_name="gentle-fox-123").info.run_id
    ((code, stderr, torch),) = run_all(tmp_path, [["train", "--training.epoch", "1"]], MLFLOW_RUN_ID=run_id)
    assert (code, torch) == (2, False)
    failed = client.get_run(run_id)
    assert (failed.info.run_name, failed.info.status) == ("train, not started", "FAILED")
    reason = failed.data.tags["error"]
    assert reason.startswith("ConfigError: unknown option '--training.epoch'. Did you mean '--training.epochs'?")
    assert stderr == reason.replace("ConfigError", "error", 1) + "\n"
    assert failed.data.tags["mlflow.note.content"] == f"🔴 **{reason}**"

    ended = client.get_run(run_id).info.end_time
    run_all(tmp_path, [["train", "--training.epoch", "2"]], MLFLOW_RUN_ID=run_id)
    assert (client.get_run(run_id).info.end_time, client.get_run(run_id).data.tags["error"]) == (ended, reason), (
        "a run that has ended is left alone"
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", [["train", "--preset", "smoke"], ["phantom", "--to", "out", "--count", "2"]])
def test_a_stale_run_id_ends_a_command_before_it_starts_work(tmp_path: Path, command: list[str]) -> None:
    client_of(tmp_path).search_experiments()
    ((code, stderr, torch),) = run_all(tmp_path, [command], MLFLOW_RUN_ID="0" * 32)
    assert (code, torch) == (2, False)
    assert f"MLFLOW_RUN_ID is {'0' * 32}, and sqlite:///{tmp_path}/mlflow.db has no such run: unset it" in stderr
    assert not (tmp_path / "out").exists()
