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
    assert prepare_to_resume(last, tmp_path).epoch == 0
    assert epoch_of(best) == 0
    assert not previous.exists()


def test_a_damaged_best_checkpoint_is_kept_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("last", "best-previous"):
        torch.save({"epoch": 0}, tmp_path / f"{name}.ckpt")
    best = tmp_path / "best.ckpt"
    best.write_bytes(b"damaged")
    assert prepare_to_resume(tmp_path / "last.ckpt", tmp_path).epoch == 0
    assert epoch_of(best) == 0
    assert (tmp_path / "best-damaged.ckpt").read_bytes() == b"damaged"
    message = f"{best} is damaged (now best-damaged.ckpt): the weights of epoch 1 are taken from best-previous.ckpt"
    assert message in caplog.text
    assert tmp_path / "best-damaged.ckpt" in files_in(tmp_path), "clean finds it"


class ListedScore:
    """Errors of the epochs in this order, for the validation films and the training films."""

    def __init__(self, *errors: float) -> None:
        self._errors = iter([error for error in errors for _ in range(2)])

    def __call__(self, films: Sequence[PreparedFilm], predictions: Sequence[FilmPrediction]) -> Mapping[str, float]:
        return {"mre_px512": next(self._errors), "sdr_24px": 0.0}


def test_an_older_epoch_is_never_taken_for_a_best_one_that_was_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    last, best = tmp_path / "last.ckpt", tmp_path / "best.ckpt"
    run(RecordingModel(), tmp_path, epochs=4, score_fn=ListedScore(9.0, 5.0, 8.0, 8.5))
    shutil.copy(tmp_path / "best-previous.ckpt", tmp_path / "kept.ckpt")
    best.write_bytes(b"damaged")

    result = run(RecordingModel(), tmp_path, last, epochs=5, score_fn=ListedScore(9.5))
    assert "the weights of epoch 2, the best with val/mre_px512 5, are lost" in caplog.text
    assert (result.best_epoch, result.best["val/mre_px512"]) == (1, 9.0)
    assert head_of(best) == head_of(tmp_path / "kept.ckpt")
    assert result.lost_best is not None
    assert result.lost_best["epoch"] == 2
    assert result.epoch_text == "1 of 5; the weights of the best, 2 with MRE 5.00 px512, were lost"

    caplog.clear()
    result = run(RecordingModel(), tmp_path, last, epochs=6, score_fn=ListedScore(7.0))
    assert "the weights of epoch 2, the best with val/mre_px512 5, are lost" in caplog.text, "also the second time"
    assert (result.best_epoch, result.best["val/mre_px512"]) == (6, 7.0), "better than the weights that were kept"
    result = run(RecordingModel(), tmp_path, last, epochs=7, score_fn=ListedScore(4.0))
    assert (result.best_epoch, result.lost_best, result.epoch_text) == (7, None, "7 of 7")


@pytest.mark.parametrize("epochs", [2, 3], ids=["the last epoch", "the one before"])
def test_a_damaged_best_checkpoint_is_replaced_by_a_last_one_of_the_same_epoch(tmp_path: Path, epochs: int) -> None:
    run(RecordingModel(), tmp_path, epochs=epochs, score_fn=ListedScore(9.0, 5.0, 8.0))
    best = tmp_path / "best.ckpt"
    expected = head_of(best)
    best.write_bytes(b"damaged")
    point = prepare_to_resume(tmp_path / "last.ckpt", tmp_path)
    assert (point.epoch, point.best_epoch, point.lost_best) == (epochs - 1, 1, None)
    assert (epoch_of(best), head_of(best)) == (1, expected)
    assert (tmp_path / "last.ckpt").exists()


def test_without_any_whole_checkpoint_the_run_cannot_resume(tmp_path: Path) -> None:
    run(RecordingModel(), tmp_path, epochs=3, score_fn=FallingScore())
    last, best = tmp_path / "last.ckpt", tmp_path / "best.ckpt"
    (tmp_path / "last-previous.ckpt").unlink()
    content = best.read_bytes()
    best.write_bytes(content[:-30])
    with pytest.raises(DataError, match=r"best\.ckpt, with the weights .*, is missing or damaged: start"):
        prepare_to_resume(last, tmp_path)
    assert best.exists(), "nothing was moved"
    best.write_bytes(content)
    last.write_bytes(b"")
    with pytest.raises(DataError, match=r"last\.ckpt is damaged, and there is no whole checkpoint before it: start"):
        prepare_to_resume(last, tmp_path)


def test_a_run_that_was_killed_after_its_early_stop_trains_nothing_more(tmp_path: Path) -> None:
    first = run(RecordingModel(), tmp_path, score_fn=FallingScore(), epochs=9, early_stop_patience=2)
    assert [row["epoch"] for row in first.history] == [1, 2, 3]
    head = head_of(tmp_path / "last.ckpt")
    resumed = run(
        RecordingModel(), tmp_path, tmp_path / "last.ckpt", score_fn=FallingScore(3), epochs=9, early_stop_patience=2
    )
    assert [row["epoch"] for row in resumed.history] == [1, 2, 3]
    assert (resumed.best_epoch, head_of(tmp_path / "last.ckpt")) == (1, head)
