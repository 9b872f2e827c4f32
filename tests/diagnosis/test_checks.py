"""Each check passes on a correct setup and fails on the fault that it looks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from planted import CPU, batch, config_of, films, model_of
from torch import Tensor

from spondylo_ml.config.network import MODEL_NAMES, WITHOUT_HEATMAPS
from spondylo_ml.data.augment import mirror
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.diagnosis.flip import check_flip, slips_percent
from spondylo_ml.diagnosis.gradients import check_gradients, gradient_census
from spondylo_ml.diagnosis.inputs import check_inputs
from spondylo_ml.diagnosis.learning_rate import check_learning_rate
from spondylo_ml.diagnosis.oracle import check_oracle
from spondylo_ml.diagnosis.preflight import run_checks
from spondylo_ml.diagnosis.results import CheckOutcome, require_passed, summary_line
from spondylo_ml.errors import PreflightError
from spondylo_ml.landmarks import Facing, FloatArray, GreyImage
from spondylo_ml.models.base import HeatmapModel
from spondylo_ml.models.codec import HeatmapCodec
from spondylo_ml.training import optimisers


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_correct_setup_passes_every_check_without_side_effects(name: str) -> None:
    config, model = config_of(name), model_of(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(7)
    torch_state = torch.get_rng_state()
    np.random.seed(7)
    numpy_state = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    preflight = run_checks(model, config, CPU, films()[:6], films()[6:], 6)
    outcomes = {result.name: result.outcome for result in preflight.results}
    assert list(outcomes) == ["gradients", "oracle", "inputs", "first rate", "flip", "memory"]
    oracle = outcomes.pop("oracle")
    assert oracle is (CheckOutcome.NOT_APPLICABLE if name in WITHOUT_HEATMAPS else CheckOutcome.PASSED)
    assert set(outcomes.values()) == {CheckOutcome.PASSED}
    require_passed(preflight.results)
    assert preflight.census is not None
    assert set(preflight.census.parts) == set(model.loss_heads())
    assert set(preflight.census.unreached) == model.unused_parameters()
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # type: ignore[index]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert model.training
    assert all(p.grad is None for p in model.parameters())


# ----------------------------------------------------------------------------------------------------------- gradients


def detach_output(module: torch.nn.Module, inputs: Any, output: Tensor) -> Tensor:
    return output.detach()


@pytest.mark.parametrize(
    ("name", "head", "part"),
    [
        ("unet", "presence", "presence"),
        ("maht_net", "spread", "uncertainty"),
        ("resnet50", "heatmaps", "coordinate"),
    ],
)
def test_a_head_detached_from_its_loss_is_detected_and_named(name: str, head: str, part: str) -> None:
    model = model_of(name)
    model.get_submodule(head).register_forward_hook(detach_output)
    result = check_gradients(gradient_census(model, batch()))
    assert result.outcome is CheckOutcome.FAILED
    assert f"the part {part!r} does not reach {head}.: " in result.finding
    assert {n for n, _ in model.named_parameters() if n.startswith(head)} <= set(result.listed)
    assert "no part reaches " in result.finding
    assert "detach()" in result.advice


def test_a_detached_middle_layer_leaves_parameters_without_gradient() -> None:
    model = model_of()
    model.get_submodule("encoder.5").register_forward_hook(detach_output)
    result = check_gradients(gradient_census(model, batch()))
    assert result.outcome is CheckOutcome.FAILED
    assert result.finding.startswith("no part reaches encoder.5.0.weight, encoder.5.1.weight")
    assert set(result.listed) == {name for name, _ in model.named_parameters() if name.startswith("encoder.5.")}


def test_a_zero_missing_or_infinite_loss_term_is_a_fault() -> None:
    model = model_of()
    losses = model.losses

    def faulty(film_batch: Any) -> dict[str, Tensor]:
        parts = losses(film_batch)
        parts["presence"] = 0 * parts["presence"] + 1
        parts["coordinate"] = parts["coordinate"] / 0
        del parts["anatomical"]
        return parts

    model.losses = faulty  # type: ignore[method-assign]
    census = gradient_census(model, batch())
    assert census.faults[0].startswith("the part 'presence' is 1, but its gradient on presence. is 0")
    assert census.faults[1:] == (
        "the part 'coordinate' is inf",
        "the part 'anatomical' has a weight but is not computed",
    )


def test_a_loss_term_without_a_weight_is_listed_but_no_fault() -> None:
    census = gradient_census(model_of(loss={"presence_weight": 0}), batch())
    assert census.unreached == ("presence.weight", "presence.bias")
    assert census.unexpected == ()
    result = check_gradients(census)
    assert result.outcome is CheckOutcome.PASSED
    assert "2 parameter tensors are not in use" in result.finding
    assert result.listed == census.unreached


# -------------------------------------------------------------------------------------------------------------- oracle


class OffsetCodec(HeatmapCodec):
    """Decodes to the edges of cells instead of their centres."""

    def decode(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        points, score = super().decode(heatmaps)
        return points + self.stride / 2, score


@pytest.mark.parametrize(("decoder", "limit"), [("dark", 0.1), ("argmax", 0.75), ("soft_argmax", 0.5)])
@pytest.mark.parametrize("name", ["unet", "resnet50"])
def test_a_decoder_with_an_offset_of_half_a_cell_is_detected(name: str, decoder: str, limit: float) -> None:
    model = model_of(name, heatmap={"decoder": decoder, "sigma_cells": 1.5})
    assert isinstance(model, HeatmapModel)
    correct = check_oracle(model, films())
    assert correct.outcome is CheckOutcome.PASSED
    assert correct.limit == limit
    codec = model.codec
    model.codec = OffsetCodec(codec.sigma_cells, codec.stride, codec.decoder, codec.blur_kernel)
    result = check_oracle(model, films())
    assert result.outcome is CheckOutcome.FAILED
    assert limit < result.value <= 0.5 + limit + 1e-3
    assert f"targets decoded by {decoder} are off by up to {result.value:.3f} cells" in result.finding


def test_films_without_corners_fail_the_checks_of_corners() -> None:
    blank = [replace(film, corners_xy=np.full_like(film.corners_xy, np.nan)) for film in films()]
    results = [check_oracle(model_of(), blank), check_flip(blank)]
    assert [result.outcome for result in results] == [CheckOutcome.FAILED, CheckOutcome.FAILED]
    with pytest.raises(PreflightError, match=r"have no usable corner inside the input\n.*command audit"):
        require_passed(results)


# -------------------------------------------------------------------------------------------------------------- inputs


def val_films_with(change: Any) -> list[PreparedFilm]:
    return [replace(film, image=change(film.image)) for film in films()[4:]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda image: (image - 127.5) / 64,
            r"training films are \(96, 64\) uint8, validation films \(96, 64\) float64",
        ),
        (lambda image: image // 255, r"spread \d+ and 0, on 4 and 4 films"),
        (lambda image: image // 8, r"median grey level \d+ in train and \d+ in val"),
        (lambda image: 220 + image // 8, r"median grey level \d+ in train and 22\d in val"),
        (lambda image: image[:64], r"training films are \(96, 64\) uint8, validation films \(64, 64\) uint8"),
    ],
)
def test_validation_films_with_another_preparation_are_detected(change: Any, message: str) -> None:
    result = check_inputs(films()[:4], val_films_with(change))
    assert result.outcome is CheckOutcome.FAILED
    with pytest.raises(PreflightError, match=message):
        require_passed([result])
    assert "data/prepare.py" in result.advice


@pytest.mark.parametrize(("n_train", "n_val"), [(4, 1), (1, 4), (2, 2), (1, 1)])
def test_a_single_film_is_too_few_to_compare_and_training_continues(n_train: int, n_val: int) -> None:
    light = val_films_with(lambda image: (200 + image // 10).astype(np.uint8))
    assert check_inputs(films()[:4], light).outcome is CheckOutcome.FAILED
    result = check_inputs(films()[:n_train], light[:n_val])
    assert result.outcome is CheckOutcome.NOT_APPLICABLE
    assert result.finding.startswith(
        f"{min(n_train, n_val)} film(s) in a part are too few to separate preparation from look"
    )
    require_passed([result])
    divided = val_films_with(lambda image: image // 255)
    assert check_inputs(films()[:n_train], divided[:n_val]).outcome is CheckOutcome.FAILED, (
        "no film has so little contrast by itself"
    )


def test_usual_differences_between_films_are_no_fault() -> None:
    # Brighter by a fifth of the range and with two thirds of the contrast, as from another device.
    result = check_inputs(films()[:4], val_films_with(lambda image: (50 + 0.65 * image).astype(np.uint8)))
    assert result.outcome is CheckOutcome.PASSED
    assert 1 < result.value < 2.5


def test_inverted_films_are_a_fault_only_if_the_parts_share_no_similar_film() -> None:
    dark = [replace(film, image=(film.image // 4)) for film in films()[:4]]
    light = [replace(film, image=(255 - film.image // 4).astype(np.uint8)) for film in films()[4:]]
    assert check_inputs(dark, light).outcome is CheckOutcome.FAILED
    assert check_inputs(dark, light).value < 2
    assert check_inputs([*dark, light[0]], light).outcome is CheckOutcome.PASSED


# ------------------------------------------------------------------------------------------------------- learning rate


def test_a_zero_learning_rate_in_the_first_step_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    model, training = model_of(), config_of().training
    correct = check_learning_rate(model, training, 8)
    assert correct.outcome is CheckOutcome.PASSED
    assert correct.value == pytest.approx(training.learning_rate)  # 3 % of 2 steps are no warm-up
    zero_rate = training.model_copy(update={"learning_rate": 0.0, "scheduler": "constant"})
    assert check_learning_rate(model, zero_rate, 8).outcome is CheckOutcome.FAILED
    monkeypatch.setattr(optimisers, "cosine_factor", lambda step, steps, config: step / steps)
    result = check_learning_rate(model, training, 8)
    assert result.outcome is CheckOutcome.FAILED
    assert "learning rates from 0 to 0" in result.finding
    assert "training.warmup_fraction" in result.advice


def test_one_parameter_group_with_a_zero_learning_rate_is_detected() -> None:
    frozen_backbone = config_of("resnet50").training.model_copy(update={"backbone_rate_ratio": 0.0})
    model = model_of("resnet50")
    model.pretrained = "a file"  # only then the backbone has a rate of its own
    result = check_learning_rate(model, frozen_backbone, 8)
    assert result.outcome is CheckOutcome.FAILED
    assert result.finding == "the first step has learning rates from 0 to 0.001"


# ---------------------------------------------------------------------------------------------------------------- flip


def test_the_flip_keeps_each_slip_with_its_sign() -> None:
    result = check_flip(films())
    assert result.outcome is CheckOutcome.PASSED
    assert result.value < 0.001
    assert result.finding.startswith(f"{9 * 8 - missing_slips()} slips change by up to 0.000")


def missing_slips() -> int:
    return int(sum(np.isnan(slips_percent(film.corners_xy, film.film.facing)).sum() for film in films()))


def flip_without_swap(image: GreyImage, corners_xy: FloatArray) -> tuple[GreyImage, FloatArray]:
    moved = corners_xy.copy()
    moved[..., 0] = image.shape[1] - 1 - moved[..., 0]
    return np.ascontiguousarray(image[:, ::-1]), moved


def test_a_flip_that_does_not_swap_corners_is_detected() -> None:
    result = check_flip(films(), flip_without_swap)
    assert result.outcome is CheckOutcome.FAILED
    assert "can no longer be measured" in result.finding
    assert "MIRRORED_CORNERS" in result.advice


def test_a_flip_that_leaves_the_pixels_unchanged_is_detected() -> None:
    def flip_labels_only(image: GreyImage, corners_xy: FloatArray) -> tuple[GreyImage, FloatArray]:
        return image, mirror(image, corners_xy)[1]

    result = check_flip(films(), flip_labels_only)
    assert result.outcome is CheckOutcome.FAILED
    assert result.value < 0.01
    assert "the pixels of 8 film(s) are not mirrored" in result.finding


def test_the_flip_check_covers_frontal_films_but_not_single_vertebrae() -> None:
    frontal = [replace(film, film=replace(film.film, facing=Facing.NONE)) for film in films()]
    assert check_flip(frontal).outcome is CheckOutcome.PASSED
    single_vertebrae = [
        replace(f, corners_xy=np.where(np.arange(10)[:, None, None] == 3, f.corners_xy, np.nan)) for f in films()
    ]
    assert check_flip(single_vertebrae).outcome is CheckOutcome.NOT_APPLICABLE


# ------------------------------------------------------------------------------------------------------------- results


def test_the_error_lists_failures_with_advice_and_the_summary_names_each_check() -> None:
    results = [check_flip(films()), check_flip(films(), flip_without_swap), check_oracle(model_of("keypoint_rcnn"), [])]
    with pytest.raises(PreflightError, match=r"1 of 3 checks before training failed:\n  flip: .*\n    Mirroring must"):
        require_passed(results)
    with pytest.raises(PreflightError, match=r"To train anyway: --training\.preflight false"):
        require_passed(results)
    assert summary_line(results).startswith("flip ok 5")
    assert ", flip FAILED " in summary_line(results)
    assert summary_line(results).endswith("oracle not applicable")
    assert results[2].to_json()["value"] is None
    assert summary_line([check_gradients(gradient_census(model_of(), batch()))]) == "gradients ok"
