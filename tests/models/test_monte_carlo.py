"""Monte Carlo dropout: only dropout is random, and mean and spread are those of the passes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from spondylo_ml.config import Config
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import LandmarkModel, Landmarks
from spondylo_ml.models.maht_net import MAHTNet
from spondylo_ml.models.monte_carlo import dropout_active, has_dropout, monte_carlo_landmarks
from spondylo_ml.models.zoo import build_model

ONE = SlotRange(0, 1)
IMAGES = torch.randint(0, 255, (2, 1, 64, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def unet_of(dropout: float) -> LandmarkModel:
    model = {"name": "unet", "decoder_dropout": [dropout] * 5}
    return build_model(Config.model_validate({"model": model, "training": {"epochs": 1}}), ONE).eval()


class InTurn(LandmarkModel):
    """Predicts the next of some corners at each call; NaN where a corner is not found."""

    def __init__(self, corners: list[float]) -> None:
        super().__init__(ONE)
        self.drop = nn.Dropout(0.5)
        self.corners = iter(corners)

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        return {}

    def predict(self, images: Tensor) -> Landmarks:
        value = next(self.corners)
        present = torch.full((1, 1), 0.0 if value != value else 1.0)
        return Landmarks(torch.full((1, 1, 4, 2), value), present[..., None].expand(1, 1, 4), present)


def test_mean_and_spread_are_those_of_the_passes() -> None:
    landmarks = monte_carlo_landmarks(InTurn([1.0, 3.0, 8.0]), IMAGES, 3)
    assert landmarks.spread_px is not None
    torch.testing.assert_close(landmarks.corners_xy, torch.full((1, 1, 4, 2), 4.0))
    torch.testing.assert_close(landmarks.spread_px, torch.full((1, 1, 4, 2), 13.0**0.5))  # (9 + 1 + 16) / 2


def test_a_corner_that_a_pass_did_not_find_is_left_out_of_its_mean() -> None:
    landmarks = monte_carlo_landmarks(InTurn([1.0, float("nan"), 3.0, float("nan")]), IMAGES, 4)
    assert landmarks.spread_px is not None
    torch.testing.assert_close(landmarks.corners_xy, torch.full((1, 1, 4, 2), 2.0))
    torch.testing.assert_close(landmarks.spread_px, torch.full((1, 1, 4, 2), 2.0**0.5))
    assert float(landmarks.presence) == 0.5
    once = monte_carlo_landmarks(InTurn([1.0, float("nan")]), IMAGES, 2)
    assert once.spread_px is not None
    assert bool(once.spread_px.isnan().all())
    assert float(once.corners_xy.max()) == 1.0


def test_only_dropout_is_in_train_mode_and_everything_is_as_it_was_afterwards() -> None:
    model = unet_of(0.3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with dropout_active(model):
        for module in model.modules():
            assert module.training == isinstance(module, nn.Dropout2d)
        model.predict(IMAGES)
    assert not any(module.training for module in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_the_same_seed_draws_the_same_and_another_one_another() -> None:
    model = unet_of(0.5)
    random_state = torch.get_rng_state()
    first, second, other = (monte_carlo_landmarks(model, IMAGES, 3, seed).corners_xy for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_dropout_inside_a_transformer_acts_too() -> None:
    own = {"backbone": "tf_efficientnet_lite0", "width": 32, "heads": 4, "dropout": 0.5}
    tree = {"model": {"name": "maht_net", "maht_net": own}, "training": {"epochs": 1}}
    model = build_model(Config.model_validate(tree), ONE).eval()
    assert isinstance(model, MAHTNet)
    assert model.bridge is not None
    tokens = torch.randn(1, 6, 32)
    with torch.no_grad():
        assert torch.equal(model.bridge(tokens), model.bridge(tokens))
        with dropout_active(model):
            assert not torch.equal(model.bridge(tokens), model.bridge(tokens))


def test_a_model_without_dropout_or_a_single_pass_is_refused() -> None:
    assert not has_dropout(unet_of(0.0))
    with pytest.raises(ValueError, match="needs a model that was configured with dropout"):
        monte_carlo_landmarks(unet_of(0.0), IMAGES, 5)
    with pytest.raises(ValueError, match="a spread needs at least 2 passes; given 1"):
        monte_carlo_landmarks(unet_of(0.1), IMAGES, 1)
