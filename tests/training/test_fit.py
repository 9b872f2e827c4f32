"""Training around the single step: frozen stages, accumulated gradients, running means of the weights, Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from memory_run_log import MemoryRunLog
from torch import Tensor, nn

from spondylo_ml.config import Config, resolve_config
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.data.prepare import PreparedFilm, prepare_films
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.errors import NonFiniteMetricError, OutOfMemoryError
from spondylo_ml.landmarks import FilmPrediction, SlotRange
from spondylo_ml.models.backbones import Backbone
from spondylo_ml.models.base import LandmarkModel, Landmarks
from spondylo_ml.training.callbacks import ProgressLines
from spondylo_ml.training.device import Compute
from spondylo_ml.training.fit import FitResult, fit
from spondylo_ml.training.module import Score
from spondylo_ml.training.run_log import RunLog

CPU = Compute("cpu", "fp32", "a test")


class RecordingModel(LandmarkModel):
    """Two weights with a gradient of 1 each, one of them the backbone; records them at each step and prediction."""

    def __init__(self, pretrained: str = "none") -> None:
        super().__init__(SlotRange(0, 10))
        self.head = nn.Parameter(torch.zeros(1))
        self.body = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.body.weight)
        self.backbone_net = Backbone("test", self.body, [[self.body]])
        self.pretrained = pretrained
        self.at_step: list[tuple[float, float]] = []
        self.at_prediction: list[float] = []

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        self.at_step.append((float(self.head.detach()), float(self.body.weight.detach())))
        return {"line": self.head.sum() + self.body.weight.sum()}

    def predict(self, images: Tensor) -> Landmarks:
        self.at_prediction.append(float(self.head.detach()))
        count = len(images)
        return Landmarks(torch.zeros(count, 10, 4, 2), torch.zeros(count, 10, 4), torch.zeros(count, 10))


def score(films: Sequence[PreparedFilm], predictions: Sequence[FilmPrediction]) -> Mapping[str, float]:
    return {"mre_px512": 1.0, "sdr_24px": 0.0}


def run(
    model: LandmarkModel,
    folder: Path,
    resume_from: Path | None = None,
    run_log: RunLog | None = None,
    score_fn: Score = score,
    **training: Any,
) -> FitResult:
    """Train on four films in batches of two, by default with SGD at a constant rate of 0.1."""
    config: Config = resolve_config(
        {
            "training": {
                "epochs": 2,
                "batch_size": 2,
                "scheduler": "constant",
                "optimizer": "sgd",
                "learning_rate": 0.1,
                "clip_norm": 0,
                "weight_decay": 0,
                "workers": 0,
                "train_metric_films": 1,
                **training,
            },
            "tracking": {"panel_films": 1, "panel_every_epochs": 1},
        }
    )
    film_set = phantom_films(5, 0, 64)
    films = prepare_films(film_set.films, film_set.slots, (64, 64))
    parts = {"train": films[:4], "val": films[4:]}
    return fit(
        model,
        config,
        CPU,
        parts,
        score_fn,
        run_log or MemoryRunLog(),
        lambda *_: np.zeros((1, 1, 3), np.uint8),
        folder,
        resume_from,
    )


def backbone_weights(model: RecordingModel) -> list[float]:
    return [weight for _, weight in model.at_step]


def test_a_pretrained_backbone_is_frozen_until_it_thaws(tmp_path: Path) -> None:
    model = RecordingModel("file")
    run(model, tmp_path, epochs=3, frozen_stages=1, thaw_epoch=3)
    # Two steps per epoch: frozen in epochs 1 and 2, changed by the first step of epoch 3.
    assert backbone_weights(model)[:5] == [0.0] * 5
    assert backbone_weights(model)[5] == pytest.approx(-0.19)  # 0.1 with Nesterov momentum of 0.9
    assert model.at_step[1][0] == pytest.approx(-0.19)


def test_a_nan_validation_error_ends_the_training(tmp_path: Path) -> None:
    def nan_score(films: Sequence[PreparedFilm], predictions: Sequence[FilmPrediction]) -> Mapping[str, float]:
        return {"mre_px512": float("nan")}

    with pytest.raises(NonFiniteMetricError, match="val/mre_px512 is nan after epoch 1: no labelled corner"):
        run(RecordingModel(), tmp_path, score_fn=nan_score)
    assert not list(tmp_path.glob("*.ckpt"))


def test_random_weights_are_not_frozen_and_a_warning_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = RecordingModel("none")
    run(model, tmp_path, frozen_stages=1)
    assert "training.frozen_stages=1 freezes nothing: the backbone's weights are random" in caplog.messages
    assert backbone_weights(model)[1] < 0


def test_a_resumed_run_knows_that_its_backbone_was_pretrained(tmp_path: Path) -> None:
    run(RecordingModel("file"), tmp_path, epochs=1, frozen_stages=1)
    resumed = RecordingModel("none")
    run(resumed, tmp_path, tmp_path / "last.ckpt", epochs=2, frozen_stages=1)
    assert len(resumed.at_step) == 2
    assert backbone_weights(resumed) == [0.0, 0.0]


def test_gradients_of_several_batches_accumulate_into_one_step(tmp_path: Path) -> None:
    model = RecordingModel()
    run(model, tmp_path, epochs=1, accumulate_batches=2)
    heads = [head for head, _ in model.at_step]
    assert heads == [0.0, 0.0]
    assert float(model.head.detach()) == pytest.approx(-0.19)


def test_the_mean_weights_are_validated_and_saved_and_restored_on_resuming(tmp_path: Path) -> None:
    model = RecordingModel()
    run(model, tmp_path / "whole", epochs=2, ema_decay=0.5, optimizer="adam")
    # The mean starts as the weights after the first step, then moves half way each time.
    steps = [head for head, _ in model.at_step]
    first_two = steps[1:3]
    mean = (first_two[0] + first_two[1]) / 2
    validated = model.at_prediction[1:]  # the first is that of the picture of step 0
    assert validated[0] == pytest.approx(mean, rel=1e-5)
    assert steps[2] < validated[0], "training continues from the plain weights"
    run(RecordingModel(), tmp_path / "parts", epochs=1, ema_decay=0.5, optimizer="adam")
    resumed = RecordingModel()
    run(resumed, tmp_path / "parts", tmp_path / "parts" / "last.ckpt", epochs=2, ema_decay=0.5, optimizer="adam")
    assert resumed.at_prediction[-1] == pytest.approx(validated[-1], rel=1e-6)
    assert resumed.at_step[0] == pytest.approx(model.at_step[2], rel=1e-6)
    best = torch.load(tmp_path / "parts" / "best.ckpt", weights_only=True)
    assert set(best) == {"epoch", "state_dict"}, "without the states that only the last checkpoint needs"
    validated_once = resumed.at_prediction[-1] if best["epoch"] == 1 else validated[0]
    assert float(best["state_dict"]["model.head"]) == pytest.approx(validated_once, rel=1e-6)


def test_the_panel_is_drawn_with_the_validated_weights(tmp_path: Path) -> None:
    model = RecordingModel()
    run(model, tmp_path, epochs=1, ema_decay=0.5, optimizer="adam")
    # After a panel before training, validation, the fixed training film and the panel all use the mean weights.
    assert len(model.at_prediction) == 4
    assert len(set(model.at_prediction[1:])) == 1


def test_the_films_are_not_copied_with_the_weights() -> None:
    from copy import deepcopy

    film_set = phantom_films(1, 0, 64)
    (film,) = prepare_films(film_set.films, film_set.slots, (64, 64))
    assert deepcopy([film])[0] is film


class InterruptingRunLog(MemoryRunLog):
    """Raises KeyboardInterrupt when the first epoch is logged."""

    def metrics(self, values: Mapping[str, float], epoch: int) -> None:
        raise KeyboardInterrupt


class TooLargeModel(RecordingModel):
    """Needs more memory than any machine has."""

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        return {"line": torch.empty(1 << 60, dtype=torch.uint8).sum() * self.head}


def test_out_of_memory_names_the_batch_size_to_try(tmp_path: Path) -> None:
    message = "on cpu with batches of 2 .*: start a new run with training.batch_size=1; with .*accumulate_batches=2"
    with pytest.raises(OutOfMemoryError, match=message):
        run(TooLargeModel(), tmp_path / "two")
    with pytest.raises(OutOfMemoryError, match=r"on cpu with batches of 1 .*: lower data\.input_side_px, or"):
        run(TooLargeModel(), tmp_path / "one", batch_size=1)


def test_ctrl_c_is_raised_and_its_handler_is_restored(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(RecordingModel(), tmp_path, run_log=InterruptingRunLog())
    assert signal.getsignal(signal.SIGINT) is before


def test_where_there_is_no_terminal_lines_say_how_far_an_epoch_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(RecordingModel(), tmp_path / "quick")
    assert "step" not in capsys.readouterr().out, "an epoch of a second needs none"
    monkeypatch.setattr(
        "spondylo_ml.training.lightning_epochs.ProgressLines", lambda seconds_left: ProgressLines(0, seconds_left)
    )
    run(RecordingModel(), tmp_path / "slow")
    lines = [line.partition("  ")[::2] for line in capsys.readouterr().out.splitlines() if "step" in line]
    assert [(epoch, rest.split("  ")[0]) for epoch, rest in lines] == [
        ("epoch 1/2", "step 1/2"),
        ("epoch 2/2", "step 1/2"),
    ]


def test_a_line_comes_as_soon_as_the_last_one_is_20_s_old(capsys: pytest.CaptureFixture[str]) -> None:
    """Steps of 6 s: the first ones to end 20 s or more after the last line are those at 24 and 48 s."""
    trainer = SimpleNamespace(num_training_batches=9, current_epoch=0, max_epochs=1)
    clock = iter(range(0, 60, 6))
    lines = ProgressLines(clock=lambda: next(clock))
    lines.on_train_epoch_start(trainer, None)  # type: ignore[arg-type]
    for step in range(9):
        lines.on_train_batch_end(trainer, None, None, None, step)  # type: ignore[arg-type]
    assert capsys.readouterr().out.splitlines() == [
        "epoch 1/1  step 4/9  30 s to its end",
        "epoch 1/1  step 8/9  6 s to its end",
    ]


def test_the_lines_know_the_time_that_is_left_in_the_budget(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = SimpleNamespace(num_training_batches=1000, current_epoch=0, max_epochs=1)
    lines = ProgressLines(0, seconds_left=lambda: 0.0)
    lines.on_train_epoch_start(trainer, None)  # type: ignore[arg-type]
    lines.on_train_batch_end(trainer, None, None, None, 0)  # type: ignore[arg-type]
    assert capsys.readouterr().out == "epoch 1/1  step 1/1000  0 s to its end\n"
