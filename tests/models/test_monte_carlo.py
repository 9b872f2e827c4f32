"""Monte Carlo dropout: only dropout is random, and the spread is that of the passes around the plain prediction."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from spondylo_ml.config import Config, UncertaintyConfig, validate
from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.errors import ConfigError
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import LandmarkModel, Landmarks
from spondylo_ml.models.maht_net import MAHTNet
from spondylo_ml.models.monte_carlo import dropout_active, has_dropout, landmark_predictor, monte_carlo_landmarks
from spondylo_ml.models.zoo import build_model

ONE = SlotRange(0, 1)
IMAGES = torch.randint(0, 255, (2, 1, 64, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def unet_of(dropout: float) -> LandmarkModel:
    model = {"name": "unet", "decoder_dropout": [dropout] * 5}
    return build_model(Config.model_validate({"model": model, "training": {"epochs": 1}}), ONE).eval()


class StubModel(LandmarkModel):
    """Predicts the next value of a list for each image; NaN is a corner that is not found."""

    def __init__(self, corners: list[float]) -> None:
        super().__init__(ONE)
        self.drop = nn.Dropout(0.5)
        self.corners = iter(corners)

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        return {}

    def predict(self, images: Tensor) -> Landmarks:
        values = torch.tensor([next(self.corners) for _ in images])
        corners = torch.stack([values, 2 * values], dim=-1)[:, None, None].expand(-1, 1, 4, 2)
        present = (~values.isnan()).float()[:, None]
        return Landmarks(corners, present[..., None].expand(-1, 1, 4), present)


def spread_of(deterministic: float, *passes: float, reach_px: float = 10.0) -> Landmarks:
    model = StubModel([deterministic, *passes])
    return monte_carlo_landmarks(model, IMAGES[:1], len(passes), reach_px=reach_px, floor_px=0.5)


def test_the_covariance_is_that_of_the_passes_around_the_deterministic_corner() -> None:
    # x is 2, 1, 3 and 5 off by 0, -1, 1 and 3; y by twice that. Sum of squares 11, over 4 passes.
    landmarks = spread_of(2.0, 2.0, 1.0, 3.0, 5.0)
    torch.testing.assert_close(landmarks.corners_xy[0, 0, 0], torch.tensor([2.0, 4.0]))
    assert landmarks.covariance_px2 is not None
    assert landmarks.heat_share is not None
    expected = torch.tensor([[11 / 4 + 0.25, 22 / 4], [22 / 4, 44 / 4 + 0.25]])
    for corner in range(4):
        torch.testing.assert_close(landmarks.covariance_px2[0, 0, corner], expected)
    torch.testing.assert_close(landmarks.heat_share, torch.ones(1, 1, 4))


def test_a_pass_out_of_reach_or_without_the_corner_only_lowers_the_heat_share() -> None:
    # The pass at 8 is off by 12 in y, beyond the reach of 10: its corner is on another vertebra.
    landmarks = spread_of(2.0, 3.0, 8.0, float("nan"), 1.0)
    assert landmarks.covariance_px2 is not None
    torch.testing.assert_close(landmarks.covariance_px2[0, 0, 0, 0, 0], torch.tensor(1.25))
    torch.testing.assert_close(landmarks.heat_share, torch.full((1, 1, 4), 0.5))
    none_in_reach = spread_of(2.0, 80.0, 90.0)
    assert none_in_reach.covariance_px2 is not None
    torch.testing.assert_close(none_in_reach.covariance_px2[0, 0, 0], (100 + 0.25) * torch.eye(2))
    assert float(none_in_reach.heat_share.max()) == 0  # type: ignore[union-attr]


def test_a_corner_missing_from_the_deterministic_prediction_has_no_covariance() -> None:
    landmarks = spread_of(float("nan"), 1.0, 2.0)
    assert landmarks.covariance_px2 is not None
    assert bool(landmarks.covariance_px2.isnan().all())
    assert float(landmarks.heat_share.max()) == 0  # type: ignore[union-attr]


def dropout_config(dropout: float, passes: int = 10, **uncertainty: object) -> Config:
    return Config.model_validate(
        {
            "model": {"name": "unet", "decoder_dropout": [dropout] * 5},
            "training": {"epochs": 1},
            "uncertainty": {"source": "dropout", "dropout_passes": passes, **uncertainty},
        }
    )


def test_source_dropout_gives_deterministic_corners_with_a_covariance_from_dropout() -> None:
    config = dropout_config(0.4, window_sigmas=4)
    model = build_model(config, ONE).eval()
    deterministic = model.predict(IMAGES)
    assert deterministic.covariance_px2 is None
    landmarks = landmark_predictor(model, config.uncertainty)(IMAGES)
    assert torch.equal(landmarks.corners_xy, deterministic.corners_xy)
    assert torch.equal(landmarks.presence, deterministic.presence)
    assert landmarks.covariance_px2 is not None
    assert landmarks.heat_share is not None
    # Sigma 1.5 and stride 1: passes within 6 px count, and the floor is a quarter of a cell.
    direct = monte_carlo_landmarks(model, IMAGES, 10, reach_px=6.0, floor_px=0.25)
    assert direct.covariance_px2 is not None
    torch.testing.assert_close(landmarks.covariance_px2, direct.covariance_px2)
    assert float(landmarks.covariance_px2.diagonal(dim1=-2, dim2=-1).min()) >= 0.25**2
    assert torch.equal(torch.linalg.eigvalsh(landmarks.covariance_px2) > 0, torch.ones(2, 1, 4, 2, dtype=torch.bool))
    assert set((10 * landmarks.heat_share).round().flatten().tolist()) <= set(range(11))


def test_the_spread_of_a_film_does_not_depend_on_its_batch() -> None:
    predict = landmark_predictor(unet_of(0.5), dropout_config(0.5).uncertainty)
    together, alone = predict(IMAGES), predict(IMAGES[1:])
    assert together.covariance_px2 is not None
    assert alone.covariance_px2 is not None
    torch.testing.assert_close(together.covariance_px2[1:], alone.covariance_px2)


def test_the_covariance_stays_positive_definite_in_bf16() -> None:
    # Errors along (5, 10) give a covariance of rank 1, which rounding to 8 bits would make negative in one direction.
    with torch.autocast("cpu", torch.bfloat16):
        covariance = spread_of(2.0, 7.03, 7.01, 6.98, reach_px=20.0).covariance_px2
    assert covariance is not None
    assert covariance.dtype == torch.float32
    assert float(torch.linalg.eigvalsh(covariance).min()) == pytest.approx(0.25, rel=0.01)


def test_any_other_source_uses_the_plain_prediction() -> None:
    model = unet_of(0.5)
    assert landmark_predictor(model, UncertaintyConfig(source="heatmap")) == model.predict


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"name": "unet"}, r"dropout, and unet has none: set model\.encoder_dropout or model\.decoder_dropout above 0"),
        (
            {"name": "keypoint_rcnn"},
            r"keypoint_rcnn has none: choose another model, or take another uncertainty\.source",
        ),
        ({"name": "hrnet_w32", "hrnet_w32": {"dropout": 0}}, r"set model\.hrnet_w32\.dropout above 0"),
        (
            {"name": "maht_net", "maht_net": {"bridge_layers": 0, "attention_layers": 0}},
            r"set model\.maht_net\.dropout",
        ),
    ],
)
def test_source_dropout_without_dropout_in_the_network_is_a_configuration_error(
    model: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(Config, {"model": model, "training": {"epochs": 1}, "uncertainty": {"source": "dropout"}})
    with pytest.raises(ConfigError, match="needs a heatmap model that was configured with dropout"):
        landmark_predictor(unet_of(0.0), UncertaintyConfig(source="dropout"))


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_the_configuration_knows_whether_the_network_has_dropout(name: str) -> None:
    config = Config.model_validate({"model": {"name": name}, "training": {"epochs": 1}})
    assert config.model.drops == has_dropout(build_model(config, ONE))


def test_only_dropout_is_in_train_mode_and_the_model_is_restored() -> None:
    model = unet_of(0.3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with dropout_active(model):
        for module in model.modules():
            assert module.training == isinstance(module, nn.Dropout2d)
        model.predict(IMAGES)
    assert not any(module.training for module in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_the_seed_determines_the_samples() -> None:
    model = unet_of(0.5)
    random_state = torch.get_rng_state()
    first, second, other = (
        monte_carlo_landmarks(model, IMAGES, 3, reach_px=500.0, floor_px=0.1, seed=seed).covariance_px2
        for seed in (1, 1, 2)
    )
    assert first is not None
    assert second is not None
    assert other is not None
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_dropout_inside_a_transformer_is_active() -> None:
    options = {"backbone": "tf_efficientnet_lite0", "width": 32, "heads": 4, "dropout": 0.5}
    tree = {"model": {"name": "maht_net", "maht_net": options}, "training": {"epochs": 1}}
    model = build_model(Config.model_validate(tree), ONE).eval()
    assert isinstance(model, MAHTNet)
    assert model.bridge is not None
    tokens = torch.randn(1, 6, 32)
    with torch.no_grad():
        assert torch.equal(model.bridge(tokens), model.bridge(tokens))
        with dropout_active(model):
            assert not torch.equal(model.bridge(tokens), model.bridge(tokens))


def test_a_model_without_dropout_and_a_single_pass_are_rejected() -> None:
    assert not has_dropout(unet_of(0.0))
    with pytest.raises(ValueError, match="needs a model that was configured with dropout"):
        monte_carlo_landmarks(unet_of(0.0), IMAGES, 5, 9.0, 0.1)
    with pytest.raises(ValueError, match="a spread needs at least 2 passes; given 1"):
        monte_carlo_landmarks(unet_of(0.1), IMAGES, 1, 9.0, 0.1)
