"""A training run killed at random moments, while it logs its model too, resumes and ends as it should.

The moments have fixed seeds. Fewer than 50 of each signal: `pytest -m slow --moments 2 <this file>`.
"""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
import torch
from commands import TINY, client_of, run, runs_of, start
from mlflow.entities import Run

from spondylo_ml.training.checkpoint_files import is_whole

EPOCHS = 2
OPTIONS = (*TINY, "--training.epochs", str(EPOCHS), "--training.workers", "0", "--training.preflight", "false")
LONGEST_S = 600


@pytest.mark.slow
def test_a_run_killed_while_its_model_is_logged_has_one_model_after_it_resumed(tmp_path: Path) -> None:
    process = start(tmp_path, "train", *OPTIONS)
    client, deadline = client_of(tmp_path), time.monotonic() + LONGEST_S
    while not (models := _models(tmp_path)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert [model.status for model in models] == ["PENDING"]
    (killed,) = runs_of(tmp_path)
    assert killed.info.status == "RUNNING"

    listed = run(tmp_path, "list")
    assert f"run {killed.info.run_id} " in listed
    assert f"Resume it: python -m spondylo_ml train --resume {killed.info.run_id}" in listed
    output = run(tmp_path, "train", "--resume", killed.info.run_id)

    assert "deleted a model that was not logged to the end" in output
    (model,) = _models(tmp_path)
    assert (model.status, model.model_id) != ("PENDING", models[0].model_id)
    assert client.get_run(killed.info.run_id).info.status == "FINISHED"
    run(tmp_path, "evaluate", "--run_id", killed.info.run_id)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(metafunc.config.getoption("--moments")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The folder of an uninterrupted run, and how many seconds it took."""
    folder = tmp_path_factory.mktemp("whole")
    started = time.monotonic()
    run(folder, "train", *OPTIONS)
    return folder, time.monotonic() - started


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda by: by.name)
def test_a_run_ended_at_a_random_moment_resumes(
    whole: tuple[Path, float], tmp_path: Path, by: signal.Signals, seed: int
) -> None:
    process = start(tmp_path, "train", *OPTIONS)
    time.sleep(random.Random(f"{by.name} {seed}").uniform(0, whole[1]))
    process.send_signal(by)
    process.wait(LONGEST_S)
    ended = runs_of(tmp_path)
    if not ended:
        return  # before it began
    (stopped,) = ended
    checkpoints = list(tmp_path.glob("checkpoints/*/*.ckpt"))
    assert all(map(is_whole, checkpoints))
    if by is not signal.SIGKILL:
        assert stopped.info.status in ("KILLED", "FINISHED")
    last = [path for path in checkpoints if path.name == "last.ckpt"]
    if not last:
        if stopped.info.status == "RUNNING":
            assert "was killed" in run(tmp_path, "clean")
            assert runs_of(tmp_path)[0].info.status == "KILLED"
        return
    reported = (last[0].parent / "metrics.jsonl").read_text(encoding="utf-8").count("\n")
    assert torch.load(last[0], weights_only=True)["epoch"] + 1 >= reported, "at most the epoch under way is lost"
    run(tmp_path, "train", "--resume", stopped.info.run_id)
    (resumed,) = runs_of(tmp_path)
    assert resumed.info.status == "FINISHED"
    _assert_equal(resumed, tmp_path, whole[0])
    assert [model.status for model in _models(tmp_path)] == ["READY"] or stopped.info.status == "FINISHED"


def _assert_equal(resumed: Run, folder: Path, whole: Path) -> None:
    """The same history and weights as without the interruption."""
    (expected,) = runs_of(whole)
    for name in ("val/mre_px512", "train/loss"):
        histories = [
            [(metric.step, metric.value) for metric in client_of(where).get_metric_history(one.info.run_id, name)]
            for where, one in ((folder, resumed), (whole, expected))
        ]
        assert sorted(histories[0]) == sorted(histories[1])
    weights = [
        torch.load(next(where.glob("checkpoints/*/best.ckpt")), weights_only=True)["state_dict"]
        for where in (folder, whole)
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def _models(folder: Path):  # type: ignore[no-untyped-def]
    client = client_of(folder)
    return client.search_logged_models([item.experiment_id for item in client.search_experiments()])
