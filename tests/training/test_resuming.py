"""A run goes on from its checkpoints, also if they are damaged, of different epochs, or were moved."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from test_fit import RecordingModel, run

from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import FilmPrediction
from spondylo_ml.training.checkpoint_files import files_in
from spondylo_ml.training.checkpoints import prepare_to_resume


class FallingScore:
    """An error that is 1, 2, 3 and so on: the first epoch is the best."""

    def __init__(self, start: int = 0) -> None:
        self._calls = 2 * start  # the validation films and the training films

    def __call__(self, films: Sequence[PreparedFilm], predictions: Sequence[FilmPrediction]) -> Mapping[str, float]:
        self._calls += 1
        return {"mre_px512": float((self._calls + 1) // 2), "sdr_24px": 0.0}


def epoch_of(path: Path) -> int:
    return int(torch.load(path, weights_only=True)["epoch"])


def head_of(path: Path) -> float:
    return float(torch.load(path, weights_only=True)["state_dict"]["model.head"])


def test_a_damaged_last_checkpoint_costs_one_epoch_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run(RecordingModel(), whole, epochs=3)
    run(RecordingModel(), stopped, epochs=2)
    last, previous = stopped / "last.ckpt", stopped / "last-previous.ckpt"
    assert (epoch_of(last), epoch_of(previous)) == (1, 0)
    content = bytearray(last.read_bytes())
    content[len(content) // 3] ^= 8
    last.write_bytes(content)
    (stopped / "last.ckpt.partial").write_bytes(b"half")

    result = run(RecordingModel(), stopped, last, epochs=3)

    message = f"{last} is damaged (now last-damaged.ckpt): the run resumes from the checkpoint before it, of epoch 1"
    assert message in caplog.text
    assert (stopped / "last-damaged.ckpt").read_bytes() == content
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    assert head_of(last) == head_of(whole / "last.ckpt")
    assert not list(stopped.glob("*.partial"))


def test_the_best_epoch_is_kept_if_the_run_resumes_in_another_folder(tmp_path: Path) -> None:
    first = run(RecordingModel(), tmp_path / "a", epochs=2, score_fn=FallingScore())
    assert first.best_epoch == 1
    resumed = run(RecordingModel(), tmp_path / "b", tmp_path / "a" / "last.ckpt", epochs=3, score_fn=FallingScore(2))
    assert resumed.best_epoch == 1
    assert resumed.best["val/mre_px512"] == 1.0
    assert head_of(tmp_path / "b" / "best.ckpt") == head_of(tmp_path / "a" / "best.ckpt")


def test_a_best_checkpoint_of_an_epoch_that_was_not_finished_is_replaced_by_the_one_before(tmp_path: Path) -> None:
    run(RecordingModel(), tmp_path, epochs=1)
    last, best, previous = tmp_path / "last.ckpt", tmp_path / "best.ckpt", tmp_path / "best-previous.ckpt"
    shutil.copy(best, previous)
    torch.save({"epoch": 1, "state_dict": {}}, best)  # the kill came before the last checkpoint of epoch 2
    assert prepare_to_resume(last, tmp_path) == 0
    assert epoch_of(best) == 0
    assert not previous.exists()


def test_a_damaged_best_checkpoint_is_kept_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("last", "best-previous"):
        torch.save({"epoch": 0}, tmp_path / f"{name}.ckpt")
    best = tmp_path / "best.ckpt"
    best.write_bytes(b"damaged")
    assert prepare_to_resume(tmp_path / "last.ckpt", tmp_path) == 0
    assert epoch_of(best) == 0
    assert (tmp_path / "best-damaged.ckpt").read_bytes() == b"damaged"
    assert f"{best} is damaged (now best-damaged.ckpt): the best epoch before it is taken" in caplog.text
    assert tmp_path / "best-damaged.ckpt" in files_in(tmp_path), "clean finds it"


def test_without_any_whole_checkpoint_the_run_cannot_resume(tmp_path: Path) -> None:
    run(RecordingModel(), tmp_path, epochs=1)
    last, best = tmp_path / "last.ckpt", tmp_path / "best.ckpt"
    content = best.read_bytes()
    best.write_bytes(content[:-30])
    with pytest.raises(DataError, match=r"best\.ckpt, with the weights .*, is missing or damaged: start"):
        prepare_to_resume(last, tmp_path)
    best.write_bytes(content)
    last.write_bytes(b"")
    with pytest.raises(DataError, match=r"last\.ckpt is damaged, and there is no whole checkpoint before it: start"):
        prepare_to_resume(last, tmp_path)
