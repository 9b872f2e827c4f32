"""Covariances of corners from their heatmaps, on Gaussians and points with known moments."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import plain_film
from torch import Tensor

from spondylo_ml.config import resolve_config
from spondylo_ml.config.schema import Config
from spondylo_ml.data.letterbox import Letterbox
from spondylo_ml.data.prepare import prepare_films
from spondylo_ml.errors import ConfigError
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import mirrored_back
from spondylo_ml.models.codec import HeatmapCodec
from spondylo_ml.models.heat_spread import FLOOR_CELLS, flip_spread, heat_spread
from spondylo_ml.models.zoo import build_model
from spondylo_ml.training.inference import to_film_predictions

FLOOR = FLOOR_CELLS**2


def corner_at(x: float, y: float) -> Tensor:
    return torch.tensor([[[x, y]]])


@pytest.mark.parametrize("stride", [1, 4])
def test_a_gaussian_target_gives_its_own_variance_in_px_of_the_input(stride: int) -> None:
    codec = HeatmapCodec(sigma_cells=2.0, stride=stride)
    corner = corner_at(30.3 * stride, 25.8 * stride)
    spread = heat_spread(codec.encode(corner, (64, 64)), corner, codec, window_sigmas=5)
    expected = (4.0 + FLOOR) * stride**2 * torch.eye(2)
    assert spread.covariance_px2.shape == (1, 1, 2, 2)
    assert torch.allclose(spread.covariance_px2[0, 0], expected, rtol=1e-3, atol=1e-3 * stride**2)
    assert float(spread.heat_share) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("corner", [corner_at(0, 20), corner_at(0, 0), corner_at(63, 63)])
def test_a_gaussian_cut_by_the_border_has_about_its_full_variance(corner: Tensor) -> None:
    codec = HeatmapCodec(sigma_cells=2.0)
    covariance = heat_spread(codec.encode(corner, (64, 64)), corner, codec, window_sigmas=5).covariance_px2[0, 0]
    # The border cell counts in full; half of it would make the variance of the half Gaussian exact.
    assert covariance.diagonal().numpy() == pytest.approx([4.0, 4.0], rel=0.2)


def test_heat_outside_the_window_lowers_the_heat_share_not_the_spread() -> None:
    codec = HeatmapCodec(sigma_cells=1.0)
    maps = torch.zeros(1, 1, 40, 40)
    maps[0, 0, 20, 20], maps[0, 0, 20, 35] = 3.0, 1.0
    spread = heat_spread(maps, corner_at(20, 20), codec, window_sigmas=5)
    assert float(spread.heat_share) == pytest.approx(0.75)
    assert torch.allclose(spread.covariance_px2[0, 0], FLOOR * torch.eye(2))


def test_two_points_on_a_diagonal_match_a_hand_calculation() -> None:
    codec = HeatmapCodec(sigma_cells=1.0)
    maps = torch.zeros(1, 1, 40, 40)
    maps[0, 0, 18, 18] = maps[0, 0, 22, 22] = 1.0  # 2 cells to either side of the corner, in x and in y
    covariance = heat_spread(maps, corner_at(20, 20), codec, window_sigmas=5).covariance_px2[0, 0]
    assert torch.allclose(covariance, torch.tensor([[4.0 + FLOOR, 4.0], [4.0, 4.0 + FLOOR]]))


def test_a_map_without_heat_has_the_floor_covariance_and_share_0() -> None:
    codec = HeatmapCodec(sigma_cells=1.0)
    spread = heat_spread(torch.zeros(1, 1, 16, 16), corner_at(8, 8), codec, window_sigmas=5)
    assert torch.allclose(spread.covariance_px2[0, 0], FLOOR * torch.eye(2))
    assert float(spread.heat_share) == 0


def test_flip_spread_is_a_quarter_of_the_squared_difference() -> None:
    codec = HeatmapCodec(sigma_cells=1.0)
    maps, other = (codec.encode(corner_at(x, y), (40, 40)) for x, y in ((19.0, 20.0), (21.0, 20.0)))
    spread = flip_spread(maps, other, corner_at(20, 20), codec, window_sigmas=8)
    assert torch.allclose(spread.covariance_px2[0, 0], torch.tensor([[1.0 + FLOOR, 0], [0, FLOOR]]), atol=1e-4)
    same = flip_spread(maps, maps, corner_at(20, 20), codec, window_sigmas=8)
    assert torch.allclose(same.covariance_px2[0, 0], FLOOR * torch.eye(2), atol=1e-6)


def test_maps_that_put_the_corner_in_different_places_are_not_taken_for_sure() -> None:
    codec = HeatmapCodec(sigma_cells=1.0)
    maps, elsewhere = (codec.encode(corner_at(x, 20.0), (40, 40)) for x in (10.0, 35.0))
    spread = flip_spread(maps, elsewhere, corner_at(10, 20), codec, window_sigmas=8)
    assert torch.allclose(spread.covariance_px2[0, 0], (16.0 + FLOOR) * torch.eye(2), atol=1e-4), "half the window of 8"
    assert float(spread.heat_share) == pytest.approx(0.5, abs=1e-3)
    assert (torch.linalg.eigvalsh(spread.covariance_px2) > 0).all()


def _config(**uncertainty: object) -> Config:
    return resolve_config({"training": {"epochs": 1}, "uncertainty": uncertainty})


@pytest.mark.parametrize("source", ["heatmap", "flip"])
def test_a_model_gives_positive_covariances_in_px_of_the_film(source: str) -> None:
    slots = SlotRange(0, 2)
    film = plain_film(size_hw=(200, 100))
    model = build_model(_config(source=source), slots).eval()
    prepared = prepare_films([film], slots, (64, 64))
    landmarks = model.predict(torch.from_numpy(prepared[0].image)[None, None])
    (prediction,) = to_film_predictions(prepared, landmarks, model)
    assert prediction.covariance_px2 is not None
    assert landmarks.covariance_px2 is not None
    scale = prepared[0].letterbox.scale_xy
    assert scale == pytest.approx([0.32, 0.32])
    expected = landmarks.covariance_px2[0].double().numpy() / 0.32**2
    assert prediction.covariance_px2 == pytest.approx(expected)
    assert (np.linalg.eigvalsh(prediction.covariance_px2) > 0).all()
    assert prediction.heat_share is not None
    assert ((prediction.heat_share >= 0) & (prediction.heat_share <= 1)).all()


def test_source_none_gives_no_covariances() -> None:
    slots = SlotRange(0, 2)
    model = build_model(_config(source="none"), slots).eval()
    prepared = prepare_films([plain_film()], slots, (64, 64))
    (prediction,) = to_film_predictions(prepared, model.predict(torch.from_numpy(prepared[0].image)[None, None]), model)
    assert prediction.covariance_px2 is None
    assert prediction.heat_share is None


def test_a_covariance_is_scaled_by_the_letterbox_in_x_and_y() -> None:
    box = Letterbox(film_hw=(3, 1000), input_hw=(100, 500))  # 1.5 px high, rounded to 2
    assert box.scale_xy == pytest.approx([0.5, 2 / 3])
    covariance = box.covariance_to_film(np.array([[1.0, 0.5], [0.5, 4.0]]))
    assert covariance == pytest.approx(np.array([[4.0, 1.5], [1.5, 9.0]]))


def test_flip_spread_requires_flip_averaging() -> None:
    with pytest.raises(ConfigError, match=r"uncertainty\.source flip needs heatmap\.flip_average"):
        resolve_config({"uncertainty": {"source": "flip"}, "heatmap": {"flip_average": False}})


def test_a_mirrored_map_mirrors_its_covariance() -> None:
    codec = HeatmapCodec(sigma_cells=1.0)
    maps = torch.zeros(1, 4, 40, 40)
    maps[:, :, 18, 17] = maps[:, :, 22, 20] = 1.0
    corner = torch.tensor([[[20.0, 20.0]] * 4])
    straight = heat_spread(maps, corner, codec, window_sigmas=5).covariance_px2
    mirrored = heat_spread(
        mirrored_back(maps), corner * torch.tensor([-1.0, 1.0]) + torch.tensor([39.0, 0.0]), codec, 5
    )
    assert torch.allclose(mirrored.covariance_px2, straight * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
