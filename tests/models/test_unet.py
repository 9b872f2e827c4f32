"""The U-Net and the registry of models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from builders import plain_film, square
from small_models import RECIPES
from torch import Tensor

from spondylo_ml.config import Config, resolve_config
from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.data.batches import FilmBatch, plain_loader
from spondylo_ml.data.prepare import prepare_films
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.errors import ConfigError
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import scaled_grey, with_coordinates
from spondylo_ml.models.unet import UNet
from spondylo_ml.models.zoo import MODELS, build_model, parameter_count, registry
from spondylo_ml.serving.bundle import Bundle, load_bundle, save_bundle

TWO = SlotRange(0, 2)


def config_of(heatmap_loss: str = "cross_entropy", **training: object) -> Config:
    tree = {"training": {"epochs": 1, **training}, "loss": {"heatmap": heatmap_loss}, "heatmap": {"sigma_cells": 1.0}}
    return Config.model_validate(tree)


@pytest.fixture(scope="module")
def batch() -> FilmBatch:
    """Two synthetic films at 64 px."""
    films = phantom_films(2, 3, 96)
    (batch,) = plain_loader(prepare_films(films.films, SLOTS, (64, 64)), 2)
    return batch


def noise(height: int = 32, width: int = 32, count: int = 2) -> Tensor:
    return torch.randint(0, 255, (count, 1, height, width), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def test_forty_channels_need_8_650_192_parameters() -> None:
    model = build_model(config_of(), SLOTS)
    assert SLOTS.count * 4 == 40
    assert parameter_count(model) == 8_650_192
    assert sum(p.numel() for p in model.parameters()) == 8_650_192 + 2 * 256 * 10 + 10  # the presence head


@pytest.mark.parametrize(("width", "widths"), [(9, [9, 18, 36, 64, 64, 64]), (50, [50, 100, 200, 355, 355, 355])])
def test_the_width_scales_all_levels(width: int, widths: list[int]) -> None:
    model = build_model(Config.model_validate({"training": {"epochs": 1}, "model": {"unet": {"width": width}}}), TWO)
    assert isinstance(model, UNet)
    assert [level[0].out_channels for level in model.encoder] == widths  # type: ignore[index]
    assert [level[0].out_channels for level in model.decoder] == widths[-2::-1]  # type: ignore[index]
    assert model.eval().predict(noise(32, 32, 1)).corners_xy.shape == (1, 2, 4, 2)


@pytest.mark.parametrize(("height", "width"), [(96, 32), (32, 96), (64, 64)])
def test_tall_and_wide_inputs_give_maps_of_their_size(height: int, width: int) -> None:
    model = build_model(config_of(), TWO).eval()
    with torch.no_grad():
        heatmaps, presence, spread = model(noise(height, width, 1))
    assert spread is None
    assert heatmaps.shape == (1, 8, height, width)
    assert presence.shape == (1, 2)


def test_an_invalid_input_size_is_rejected_with_the_size_to_pad_to() -> None:
    model = build_model(config_of(), TWO)
    with pytest.raises(ValueError, match=r"input of 65 x 32 px: U-Net needs multiples of 32; pad to \(96, 32\)"):
        model(noise(65, 32))


def test_the_seed_determines_the_initial_weights() -> None:
    first = build_model(config_of(), TWO).state_dict()
    torch.rand(7)
    second = build_model(config_of(), TWO).state_dict()
    other = build_model(config_of().model_copy(update={"seed": 1}), TWO).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["heatmaps.weight"], other["heatmaps.weight"])


def test_building_a_model_keeps_the_global_random_state() -> None:
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    build_model(config_of(), TWO)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("heatmap_loss", ["cross_entropy", pytest.param("weighted_mse", marks=pytest.mark.slow)])
def test_losses_fall_over_ten_steps_on_two_films(batch: FilmBatch, heatmap_loss: str) -> None:
    model = build_model(config_of(heatmap_loss), SLOTS).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    history = []
    for _ in range(10):
        parts = model.losses(batch)
        assert set(parts) == {"heatmap", "presence"}
        history.append({name: float(part.detach()) for name, part in parts.items()})
        optimizer.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimizer.step()
    assert np.isfinite([list(step.values()) for step in history]).all()
    assert history[-1]["heatmap"] < 0.9 * history[0]["heatmap"]
    assert history[-1]["presence"] < 0.9 * history[0]["presence"]


def test_predictions_have_one_point_per_corner_and_slot_inside_the_image() -> None:
    model = build_model(config_of(), TWO).eval()
    landmarks = model.predict(noise(64, 32, 3))
    assert landmarks.corners_xy.shape == (3, 2, 4, 2)
    assert landmarks.corner_score.shape == (3, 2, 4)
    assert landmarks.presence.shape == (3, 2)
    assert (landmarks.corners_xy >= -0.5).all()
    assert (landmarks.corners_xy[..., 0] <= 31.5).all()
    assert (landmarks.corners_xy[..., 1] <= 63.5).all()
    for score in (landmarks.corner_score, landmarks.presence):
        assert (score >= 0).all()
        assert (score <= 1).all()


def test_the_level_chain_keeps_shapes_and_gives_finite_corners(batch: FilmBatch) -> None:
    model = build_model(config_of(), SLOTS).eval()
    model.learn_shapes(batch.corners_xy)
    assert bool(model.chain.learned)  # type: ignore[union-attr]
    landmarks = model.predict(batch.images)
    assert landmarks.corners_xy.shape == (2, 10, 4, 2)
    assert landmarks.corners_xy.isfinite().all()


@pytest.mark.parametrize("heatmap_loss", ["cross_entropy", "weighted_mse"])
def test_missing_vertebrae_get_no_gradient_from_the_heatmaps(heatmap_loss: str) -> None:
    model = build_model(config_of(heatmap_loss), TWO).train()
    assert isinstance(model, UNet)
    films = prepare_films([plain_film(n, (square(0, 8, 8),), (32, 32)) for n in "ab"], TWO, (32, 32))
    (films_batch,) = plain_loader(films, 2)
    model.losses(films_batch)["heatmap"].backward()
    gradient = model.heatmaps.weight.grad
    assert gradient is not None
    assert float(gradient[4:].abs().max()) == 0.0
    assert (gradient[:4].abs().amax(dim=(1, 2, 3)) > 0).all()


def test_an_unlabelled_film_gives_no_gradient_to_any_head() -> None:
    model = build_model(config_of(), TWO).train()
    assert isinstance(model, UNet)
    films = prepare_films([plain_film(n, None, (32, 32)) for n in "ab"], TWO, (32, 32))
    (films_batch,) = plain_loader(films, 2)
    torch.stack(list(model.losses(films_batch).values())).sum().backward()
    for head in (model.heatmaps, model.presence):
        assert head.weight.grad is not None
        assert float(head.weight.grad.abs().max()) == 0.0


def test_loss_weights_scale_their_parts_and_0_leaves_presence_out(batch: FilmBatch) -> None:
    def parts(**loss: float) -> dict[str, float]:
        config = Config.model_validate({"training": {"epochs": 1}, "loss": loss})
        with torch.no_grad():
            return {k: float(v) for k, v in build_model(config, SLOTS).eval().losses(batch).items()}

    plain = parts(heatmap_weight=1, presence_weight=1)
    heavy = parts(heatmap_weight=3, presence_weight=0.5)
    assert heavy["heatmap"] == pytest.approx(3 * plain["heatmap"])
    assert heavy["presence"] == pytest.approx(0.5 * plain["presence"])
    assert set(parts(presence_weight=0)) == {"heatmap"}


def test_the_heat_overlay_lies_between_0_and_1() -> None:
    heat = build_model(config_of(), TWO).eval().heat(noise())
    assert heat is not None
    assert heat.shape == (2, 32, 32)
    assert float(heat.min()) >= 0
    assert float(heat.max()) <= 1


def test_grey_levels_are_centred_and_coordinates_are_scaled_by_the_longer_side() -> None:
    grey = scaled_grey(torch.tensor([[[[127, 128, 0, 255]]]], dtype=torch.uint8))
    torch.testing.assert_close(grey.flatten(), torch.tensor([-0.5, 0.5, -127.5, 127.5]) / 64)
    channels = with_coordinates(torch.zeros(2, 1, 4, 2))
    assert channels.shape == (2, 3, 4, 2)
    torch.testing.assert_close(channels[0, 1, 0], torch.tensor([-0.5, 0.5]))
    torch.testing.assert_close(channels[1, 2, :, 1], torch.tensor([-1, -1 / 3, 1 / 3, 1]))


def bundle_of(batch: FilmBatch, levels: str) -> Bundle:
    tree = {"training": {"epochs": 1}, "data": {"input_hw": [64, 64]}, "heatmap": {"levels": levels}}
    config = Config.model_validate(tree)
    films = phantom_films(2, 3, 96).films
    model = build_model(config, SLOTS)
    model.learn_shapes(batch.corners_xy)
    with torch.no_grad():
        model.train()(batch.images)  # changes the running statistics
    return Bundle(model.eval(), config, MeanShape.fit(films, SLOTS))


@pytest.mark.parametrize("levels", ["chain", "slot"])
def test_a_loaded_model_predicts_the_same_values_as_the_saved_one(
    batch: FilmBatch, tmp_path: Path, levels: str
) -> None:
    bundle = bundle_of(batch, levels)
    save_bundle(bundle, tmp_path / "model")
    loaded = load_bundle(tmp_path / "model")
    for before, after in zip(bundle.model.predict(batch.images), loaded.model.predict(batch.images), strict=True):
        torch.testing.assert_close(after, before, atol=0, rtol=0)
    assert loaded.config == bundle.config
    assert loaded.slots == SLOTS
    np.testing.assert_array_equal(loaded.mean_shape.corners, bundle.mean_shape.corners)
    assert not loaded.model.training


# --------------------------------------------------------------------------------------------------------- registry


def test_two_models_of_the_same_name_are_rejected() -> None:
    with pytest.raises(ValueError, match="two models are called 'a'"):
        registry([("a", UNet), ("b", UNet), ("a", UNet)])


def test_exactly_the_models_of_the_schema_are_registered() -> None:
    assert list(MODELS) == MODEL_NAMES


@pytest.mark.parametrize("data_path", [None, "films"])
@pytest.mark.parametrize(("name", "preset"), RECIPES)
def test_every_recipe_of_every_preset_resolves(name: str, preset: str, data_path: str | None) -> None:
    data = {"data": {"path": data_path}} if data_path else {}
    config = resolve_config({"model": {"name": name}, "preset": preset, **data})
    assert config.model.name == name
    assert config.preset == preset
    assert (config.training.epochs is None) != (config.training.film_passes is None)


def test_an_unknown_model_is_an_error_that_suggests_the_nearest() -> None:
    config = config_of()
    wrong = config.model_copy(update={"model": config.model.model_copy(update={"name": "unett"})})
    with pytest.raises(ConfigError, match=r"unknown model 'unett'\. Did you mean 'unet'\? Allowed: .*unet\."):
        build_model(wrong, TWO)
