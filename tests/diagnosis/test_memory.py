"""Memory of a training step, counted by hand, and the batch that fits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from planted import batch, config_of, model_of
from torch import Tensor, nn

from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.diagnosis.memory import (
    GIB,
    IN_FLIGHT,
    Footprint,
    available_bytes,
    check_memory,
    container_free_bytes,
    footprint,
)
from spondylo_ml.diagnosis.results import CheckOutcome
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import LandmarkModel, Landmarks

TEN_BYTES_PER_FILM = Footprint(fixed=100, per_film=10)


class OneProduct(LandmarkModel):
    """Keeps exactly its input for the backward pass: 96 x 64 floats per film."""

    def __init__(self) -> None:
        super().__init__(SlotRange(0, 1))
        self.weight = nn.Parameter(torch.ones(5, 1, 1, 1, 1)[0])

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        return {"product": (batch.images.float() * self.weight).sum()}

    def predict(self, images: Tensor) -> Landmarks:
        raise NotImplementedError


def test_the_memory_per_film_counts_activations_and_temporary_tensors() -> None:
    training = config_of().training.model_copy(update={"optimizer": "adam"})
    need = footprint(OneProduct(), batch, training)
    film = 96 * 64 * 4
    assert need == Footprint(fixed=3 * 4, per_film=(1 + IN_FLIGHT) * film)  # gradient and two moments of one weight
    averaged = footprint(OneProduct(), batch, training.model_copy(update={"optimizer": "sgd", "ema_decay": 0.9}))
    assert averaged.fixed == 3 * 4


def test_fixed_memory_counts_gradients_and_optimiser_moments() -> None:
    model = model_of()
    need = footprint(model, batch, config_of().training)
    weights = 4 * sum(p.numel() for p in model.parameters())
    assert need.fixed == pytest.approx(3 * weights, rel=0.1)
    # The first level of the U-Net alone keeps four maps of 36 channels in the encoder and four in the decoder.
    assert need.per_film > 8 * 36 * 96 * 64 * 4


def test_the_largest_batch_that_fits_is_returned() -> None:
    assert TEN_BYTES_PER_FILM.needed(3) == 130
    assert TEN_BYTES_PER_FILM.batch_that_fits(200) == 8  # 0.9 * 200 - 100
    assert TEN_BYTES_PER_FILM.batch_that_fits(199) == 7
    assert TEN_BYTES_PER_FILM.batch_that_fits(50) == 0


def test_a_batch_that_does_not_fit_is_reported_with_one_that_does() -> None:
    training = config_of(training={"batch_size": 32}).training
    need = Footprint(fixed=GIB, per_film=GIB)
    result = check_memory(need, training, 100, 10 * GIB)
    assert result.outcome is CheckOutcome.FAILED
    assert result.finding == "a step of 32 films needs about 33.00 GiB of 10.00 GiB that are free"
    assert "training.batch_size=8 would fit; with training.accumulate_batches=4 " in result.advice
    fitting = training.model_copy(update={"batch_size": 8})
    assert check_memory(need, fitting, 100, 10 * GIB).outcome is CheckOutcome.PASSED
    assert check_memory(need, training, 8, 10 * GIB).outcome is CheckOutcome.PASSED, "no batch is larger than the films"
    no_batch = check_memory(need, training, 100, GIB)
    assert no_batch.outcome is CheckOutcome.FAILED
    assert no_batch.advice.startswith("Not even one film fits: lower data.input_side_px")


def test_the_limit_of_a_container_counts_but_its_file_cache_does_not(tmp_path: Path) -> None:
    assert container_free_bytes(tmp_path) is None
    for name, text in (("max", "1000\n"), ("current", "700\n"), ("stat", "anon 300\ninactive_file 250\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert container_free_bytes(tmp_path) == 550
    (tmp_path / "memory.max").write_text("max\n")
    assert container_free_bytes(tmp_path) is None


def test_the_available_memory_is_plausible() -> None:
    assert 2**20 < available_bytes(torch.device("cpu")) < 2**50
