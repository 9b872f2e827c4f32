"""Training steps, learning rate schedule, device and early stopping."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from memory_run_log import MemoryRunLog
from torch import Tensor

from spondylo_ml.config import Config, resolve_config
from spondylo_ml.config.optimisation import TrainingConfig
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.data.prepare import prepare_films
from spondylo_ml.data.split import split_by_patient
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.errors import ConfigError, NonFiniteLossError
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import LandmarkModel, Landmarks
from spondylo_ml.training.device import Compute, choose_compute
from spondylo_ml.training.fit import FitResult, fit
from spondylo_ml.training.optimisers import cosine_factor

CPU = Compute("cpu", "fp32", "a test")


class BrokenModel(LandmarkModel):
    """Its loss becomes NaN at the third step."""

    def __init__(self) -> None:
        super().__init__(SlotRange(0, 10))
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.steps = 0

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        self.steps += 1
        value = math.nan if self.steps == 3 else 1.0
        return {"good": self.weight.sum(), "bad": self.weight.sum() * value}

    def predict(self, images: Tensor) -> Landmarks:
        count = len(images)
        return Landmarks(torch.zeros(count, 10, 4, 2), torch.zeros(count, 10, 4), torch.zeros(count, 10))


def _fit(model: LandmarkModel, config: Config, log: MemoryRunLog, folder: Path) -> FitResult:
    """Train on eight films of 64 px, with a score that never improves."""
    film_set = phantom_films(10, 0, 64)
    films = split_by_patient(film_set.films, 0.2, 0.0, 0)
    prepared = {
        part: prepare_films([f for f in films if f.split == part], film_set.slots, (64, 64))
        for part in ("train", "val")
    }
    return fit(
        model,
        config,
        CPU,
        prepared,
        score=lambda _films, _predictions: {"mre_px512": 1.0, "sdr_24px": 0.0},
        run_log=log,
        draw_panel=lambda _films, _predictions, _maps, _name: np.zeros((1, 1, 3), np.uint8),
        folder=folder,
    )


def test_a_non_finite_loss_is_an_error_that_names_epoch_step_and_parts(tmp_path: Path) -> None:
    config = resolve_config({"training": {"epochs": 3, "batch_size": 4}, "tracking": {"panel_films": 0}})
    with pytest.raises(
        NonFiniteLossError, match=r"loss is not finite in epoch 2, step 1: good=.*, bad=nan"
    ) as error_info:
        _fit(BrokenModel(), config, MemoryRunLog(), tmp_path)
    assert (error_info.value.epoch, error_info.value.step) == (2, 1)


def test_the_cosine_starts_above_zero_reaches_the_top_and_ends_at_the_floor() -> None:
    config = TrainingConfig(epochs=1, learning_rate=1e-3, warmup_fraction=0.1, min_learning_rate=1e-5)
    factors = [cosine_factor(step, 100, config) for step in range(101)]
    assert factors[0] == pytest.approx(1 / 11)
    assert factors[10] == pytest.approx(1.0)
    assert factors[55] == pytest.approx(0.01 + 0.99 * 0.5)
    assert factors[100] == pytest.approx(0.01)
    assert all(later <= earlier for earlier, later in pairwise(factors[10:]))


def test_an_unavailable_device_is_an_error_that_says_what_to_do() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match=r"training\.device: cuda is not available here; use auto or cpu"):
        choose_compute(TrainingConfig(epochs=1, device="cuda"))


def test_the_automatic_precision_has_a_reason_and_a_configured_one_is_used() -> None:
    assert choose_compute(TrainingConfig(epochs=1, device="cpu", precision="fp32")).reason == "as configured"
    compute = choose_compute(TrainingConfig(epochs=1, device="cpu"))
    capabilities = torch.cpu.get_capabilities()
    assert compute.precision == ("bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32")
    assert "bf16" in compute.reason


class ConstantModel(BrokenModel):
    """Its loss is always 1 and its predictions never change."""

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        return {"constant": 1 + 0 * self.weight.sum()}


def test_training_stops_early_without_improvement_and_keeps_the_first_best_epoch(tmp_path: Path) -> None:
    config = resolve_config(
        {"training": {"epochs": 9, "batch_size": 4, "early_stop_patience": 2}, "tracking": {"panel_films": 0}}
    )
    log = MemoryRunLog()
    result = _fit(ConstantModel(), config, log, tmp_path)
    assert result.best_epoch == 1
    assert [row["epoch"] for row in log.history] == [1, 2, 3]
    assert log.history[0]["train/loss"] == pytest.approx(1.0)
    assert log.history == result.history
    assert (tmp_path / "best.ckpt").is_file()
    assert (tmp_path / "last.ckpt").is_file()
