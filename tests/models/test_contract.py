"""The contract of all models."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders import plain_film, square
from small_models import RECIPES

from spondylo_ml.config import Config, resolve_config
from spondylo_ml.config.network import MODEL_NAMES, WITHOUT_HEATMAPS
from spondylo_ml.data.batches import FilmBatch, plain_loader
from spondylo_ml.data.prepare import prepare_films
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import HeatmapModel, LandmarkModel
from spondylo_ml.models.zoo import build_model, parameter_count
from spondylo_ml.serving.bundle import Bundle, load_bundle, save_bundle

PARAMETERS = {
    "unet": 8_650_192,
    "resnet50": 30_788_712,
    "hrnet_w32": 31_777_896,
    "keypoint_rcnn": 59_083_869,
    "maht_net": 27_416_954,
    "cascade_net": 3_710_875,
}
TWO = SlotRange(0, 2)
ALL_LOSSES = {"coordinate_weight": 0.5, "anatomical_weight": 0.1}
HEATMAP_MODELS = [name for name in MODEL_NAMES if name not in WITHOUT_HEATMAPS]
LARGE = ("keypoint_rcnn", "hrnet_w32", "resnet50")
LARGE_ARE_SLOW = [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in MODEL_NAMES]
"""All models, of which the large ones take up to a minute each."""


def config_of(name: str, **sections: Any) -> Config:
    """A configuration for two CPU cores: few regions, and no dropout that would hide a falling loss."""
    rcnn = {"proposals": 20, "sampled_proposals": 8, "score_threshold": 0.0}
    model = {"name": name, "hrnet_w32": {"dropout": 0.0}, "maht_net": {"dropout": 0.0}, "keypoint_rcnn": rcnn}
    tree: dict[str, Any] = {"model": model, "training": {"epochs": 1}, "heatmap": {"sigma_cells": 1.0}}
    spread = {"uncertainty_weight": 0.1} if name == "maht_net" else {}
    return Config.model_validate({**tree, "loss": {**ALL_LOSSES, **spread}, **sections})


@cache
def films_batch() -> FilmBatch:
    """Two synthetic films at 64 x 96 px."""
    (batch,) = plain_loader(prepare_films(phantom_films(2, 3, 96).films, SLOTS, (96, 64)), 2)
    return batch


@pytest.fixture(params=MODEL_NAMES, scope="module")
def model(request: pytest.FixtureRequest) -> LandmarkModel:
    """Every model, built once; a test that moves its weights builds its own."""
    return build_model(config_of(request.param), SLOTS)


def total(parts: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(parts.values())).sum()


def test_the_number_of_parameters_is_exact(model: LandmarkModel) -> None:
    assert parameter_count(model) == PARAMETERS[model.config.model.name]  # type: ignore[union-attr]


@pytest.mark.parametrize(("height", "width"), [(96, 32), (32, 96)])
def test_definite_corners_lie_inside_tall_and_wide_images(model: LandmarkModel, height: int, width: int) -> None:
    images = torch.randint(0, 255, (2, 1, height, width), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    landmarks = model.eval().predict(images)
    assert landmarks.corners_xy.shape == (2, 10, 4, 2)
    assert landmarks.corner_score.shape == (2, 10, 4)
    assert landmarks.presence.shape == (2, 10)
    finite_mask = ~landmarks.corners_xy.isnan().any(dim=-1)
    inside = landmarks.corners_xy[finite_mask & (landmarks.corner_score > 0)]
    assert (inside >= -1).all()
    assert (inside[:, 0] <= width).all()
    assert (inside[:, 1] <= height).all()
    assert (landmarks.presence[~finite_mask.all(dim=-1)] == 0).all()
    for score in (landmarks.corner_score, landmarks.presence):
        assert (score >= 0).all()
        assert (score <= 1).all()
    if isinstance(model, HeatmapModel):
        assert finite_mask.all()
        maps = model(images).heatmaps
        assert maps.shape == (2, 40, height // model.codec.stride, width // model.codec.stride)


def test_an_invalid_input_size_is_rejected_with_the_size_to_pad_to(model: LandmarkModel) -> None:
    with pytest.raises(ValueError, match=r"input of 65 x 32 px: .* needs multiples of 32; pad to \(96, 32\)"):
        model.eval().predict(torch.zeros(1, 1, 65, 32, dtype=torch.uint8))


@pytest.mark.parametrize("name", LARGE_ARE_SLOW)
def test_losses_fall_over_ten_steps_and_gradients_reach_all_parameters_in_use(name: str) -> None:
    model, batch = build_model(config_of(name), SLOTS).train(), films_batch()
    optimizer = torch.optim.Adam(model.parameters(), 3e-4)
    torch.manual_seed(0)
    history = []
    with_gradient: set[str] = set()
    for _ in range(10):
        optimizer.zero_grad()
        loss = total(model.losses(batch))
        loss.backward()
        with_gradient |= {
            n for n, p in model.named_parameters() if p.grad is not None and float(p.grad.abs().max()) > 0
        }
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        history.append(float(loss.detach()))
    assert np.isfinite(history).all()
    assert np.mean(history[-2:]) < 0.9 * np.mean(history[:2])
    assert {n for n, _ in model.named_parameters()} - with_gradient == model.unused_parameters()


@pytest.mark.parametrize("name", LARGE_ARE_SLOW)
def test_a_loaded_model_predicts_the_same_values_as_the_saved_one(name: str, tmp_path: Path) -> None:
    batch = films_batch()
    films = phantom_films(2, 3, 96).films
    config = config_of(name, data={"input_hw": [96, 64]})
    model = build_model(config, SLOTS)
    model.learn_shapes(batch.corners_xy)
    with torch.no_grad():
        model.train().losses(batch)  # changes the running statistics
    save_bundle(Bundle(model.eval(), config, MeanShape.fit(films, SLOTS)), tmp_path)
    loaded = load_bundle(tmp_path).model
    assert type(loaded) is type(model)
    for before, after in zip(model.predict(batch.images), loaded.predict(batch.images), strict=True):
        if before is None or after is None:
            assert before is after
        else:
            torch.testing.assert_close(after, before, atol=0, rtol=0, equal_nan=True)


def test_films_without_labels_give_no_gradient(model: LandmarkModel) -> None:
    films = prepare_films([plain_film(n, None, (64, 64)) for n in "ab"], SLOTS, (64, 64))
    (batch,) = plain_loader(films, 2)
    model.train().zero_grad()
    loss = total(model.losses(batch))
    assert float(loss.detach()) == 0
    loss.backward()
    assert all(p.grad is None or float(p.grad.abs().max()) == 0 for p in model.parameters())


@pytest.mark.parametrize("name", [name for name in LARGE_ARE_SLOW if name.values[0] in HEATMAP_MODELS])
def test_the_maps_of_missing_vertebrae_get_no_gradient(name: str) -> None:
    model = build_model(config_of(name), TWO).train()
    films = prepare_films([plain_film(n, (square(0, 20, 20),), (64, 64)) for n in "ab"], TWO, (64, 64))
    (batch,) = plain_loader(films, 2)
    parts = model.losses(batch)
    torch.stack([parts["heatmap"], parts["coordinate"], parts["anatomical"]]).sum().backward()
    gradient = model.heatmaps.weight.grad  # type: ignore[union-attr]
    assert float(gradient[4:].abs().max()) == 0.0  # type: ignore[index, union-attr, arg-type]
    assert (gradient[:4].abs().amax(dim=(1, 2, 3)) > 0).all()  # type: ignore[index, union-attr, arg-type]


@pytest.mark.parametrize("name", [name for name in LARGE_ARE_SLOW if name.values[0] != "cascade_net"])
def test_a_model_runs_in_bf16(name: str) -> None:
    # Small films and few regions: most processors take many times as long in bf16, the head for keypoints a minute.
    few = {"proposals": 10, "sampled_proposals": 8, "score_threshold": 0.0}
    model = build_model(config_of(name, model={"name": name, "keypoint_rcnn": few}), SLOTS)
    (batch,) = plain_loader(prepare_films(phantom_films(2, 3, 96).films, SLOTS, (64, 32)), 2)
    with torch.autocast("cpu", torch.bfloat16):
        parts = model.train().losses(batch)
        landmarks = model.eval().predict(batch.images)
    assert np.isfinite([float(part.detach()) for part in parts.values()]).all()
    assert landmarks.corners_xy.shape == (2, 10, 4, 2)
    assert landmarks.corners_xy.dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "preset"),
    [pytest.param(*recipe, marks=pytest.mark.slow if recipe[0] in LARGE else ()) for recipe in RECIPES],
)
def test_every_shipped_recipe_computes_its_losses_and_predicts(name: str, preset: str) -> None:
    config = resolve_config({"model": {"name": name}, "preset": preset})
    model, batch = build_model(config, SLOTS), films_batch()
    model.learn_shapes(batch.corners_xy)
    with torch.no_grad():
        parts = model.train().losses(batch)
    assert np.isfinite([float(part) for part in parts.values()]).all()
    weights = config.loss.model_dump()
    expected = {
        part for part in ("presence", "coordinate", "anatomical", "uncertainty") if weights[f"{part}_weight"] > 0
    }
    assert name in WITHOUT_HEATMAPS or set(parts) == {"heatmap", *expected}
    assert model.eval().predict(batch.images).corners_xy.shape == (2, 10, 4, 2)


def test_heat_and_attention_are_maps_from_0_to_1_or_none(model: LandmarkModel) -> None:
    images = films_batch().images
    for maps in (model.eval().heat(images), model.attention(images)):
        if maps is not None:
            assert maps.shape[0] == 2
            assert maps.dim() == 3
            assert float(maps.min()) >= 0
            assert float(maps.max()) <= 1
    assert (model.attention(images) is not None) == hasattr(model, "corner_attention")
