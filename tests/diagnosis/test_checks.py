"""Every check passes on a sound training and fails on the fault that it is there for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from planted import CPU, batch, config_of, films, model_of
from torch import Tensor

from spondylo_ml.config.network import MODEL_NAMES
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
def test_a_sound_training_passes_every_check_and_leaves_no_trace(name: str) -> None:
    config, model = config_of(name), model_of(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(7)
    drawn = torch.get_rng_state()
    np.random.seed(7)
    of_numpy = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    checked = run_checks(model, config, CPU, films()[:6], films()[6:], 6)
    outcomes = {result.name: result.outcome for result in checked.results}
    assert list(outcomes) == ["gradients", "oracle", "inputs", "first rate", "flip", "memory"]
    oracle = outcomes.pop("oracle")
    assert oracle is (CheckOutcome.NOT_APPLICABLE if name == "keypoint_rcnn" else CheckOutcome.PASSED)
    assert set(outcomes.values()) == {CheckOutcome.PASSED}
    require_passed(checked.results)
    assert checked.census is not None
    assert set(checked.census.parts) == set(model.loss_heads())
    assert set(checked.census.unreached) == model.unused_parameters()
    assert torch.equal(torch.get_rng_state(), drawn)
    assert np.array_equal(np.random.get_state()[1], of_numpy)  # type: ignore[index]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert model.training
    assert all(p.grad is None for p in model.parameters())


# ----------------------------------------------------------------------------------------------------------- gradients


def detached(module: torch.nn.Module, given: Any, output: Tensor) -> Tensor:
    return output.detach()


@pytest.mark.parametrize(
    ("name", "head", "part"),
    [
        ("unet", "presence", "presence"),
        ("maht_net", "spread", "uncertainty"),
        ("resnet50", "heatmaps", "coordinate"),
    ],
)
def test_a_head_that_is_cut_off_from_its_loss_is_found_and_named(name: str, head: str, part: str) -> None:
    model = model_of(name)
    model.get_submodule(head).register_forward_hook(detached)
    result = check_gradients(gradient_census(model, batch()))
    assert result.outcome is CheckOutcome.FAILED
    assert f"the part {part!r} does not reach {head}.: " in result.finding
    assert {n for n, _ in model.named_parameters() if n.startswith(head)} <= set(result.listed)
    assert "no part reaches " in result.finding
    assert "detach()" in result.advice


def test_a_cut_in_the_middle_leaves_parameters_that_no_part_reaches() -> None:
    model = model_of()
    model.get_submodule("encoder.5").register_forward_hook(detached)
    result = check_gradients(gradient_census(model, batch()))
    assert result.outcome is CheckOutcome.FAILED
    assert result.finding.startswith("no part reaches encoder.5.0.weight, encoder.5.1.weight")
    assert set(result.listed) == {name for name, _ in model.named_parameters() if name.startswith("encoder.5.")}


def test_a_part_that_is_multiplied_by_zero_or_not_computed_or_not_finite_is_a_fault() -> None:
    model = model_of()
    losses = model.losses

    def faulty(given: Any) -> dict[str, Tensor]:
        parts = losses(given)
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


def test_what_has_no_weight_is_listed_and_no_fault() -> None:
    census = gradient_census(model_of(loss={"presence_weight": 0}), batch())
    assert census.unreached == ("presence.weight", "presence.bias")
    assert census.unexpected == ()
    result = check_gradients(census)
    assert result.outcome is CheckOutcome.PASSED
    assert "2 parameter tensors are not in use" in result.finding
    assert result.listed == census.unreached


# -------------------------------------------------------------------------------------------------------------- oracle


class HalfACellOff(HeatmapCodec):
    """Decodes to the edges of cells instead of their centres."""

    def decode(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        points, score = super().decode(heatmaps)
        return points + self.stride / 2, score


@pytest.mark.parametrize(("decoder", "limit"), [("dark", 0.1), ("argmax", 0.75), ("soft_argmax", 0.5)])
@pytest.mark.parametrize("name", ["unet", "resnet50"])
def test_a_decoder_that_is_half_a_cell_off_is_found(name: str, decoder: str, limit: float) -> None:
    model = model_of(name, heatmap={"decoder": decoder, "sigma_cells": 1.5})
    assert isinstance(model, HeatmapModel)
    sound = check_oracle(model, films())
    assert sound.outcome is CheckOutcome.PASSED
    assert sound.limit == limit
    own = model.codec
    model.codec = HalfACellOff(own.sigma_cells, own.stride, own.decoder, own.blur_kernel)
    result = check_oracle(model, films())
    assert result.outcome is CheckOutcome.FAILED
    assert limit < result.value <= 0.5 + limit + 1e-3
    assert f"targets decoded by {decoder} are off by up to {result.value:.3f} cells" in result.finding


def test_films_without_a_corner_fail_what_looks_at_corners() -> None:
    blank = [replace(film, corners_xy=np.full_like(film.corners_xy, np.nan)) for film in films()]
    results = [check_oracle(model_of(), blank), check_flip(blank)]
    assert [result.outcome for result in results] == [CheckOutcome.FAILED, CheckOutcome.FAILED]
    with pytest.raises(PreflightError, match=r"have no usable corner inside the input\n.*command audit"):
        require_passed(results)


# -------------------------------------------------------------------------------------------------------------- inputs


def changed(change: Any) -> list[PreparedFilm]:
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
def test_validation_films_that_are_prepared_otherwise_are_found(change: Any, message: str) -> None:
    result = check_inputs(films()[:4], changed(change))
    assert result.outcome is CheckOutcome.FAILED
    with pytest.raises(PreflightError, match=message):
        require_passed([result])
    assert "data/prepare.py" in result.advice


@pytest.mark.parametrize(("n_train", "n_val"), [(4, 1), (1, 4), (2, 2), (1, 1)])
def test_one_film_of_another_look_is_not_enough_to_judge_by_and_the_training_goes_on(n_train: int, n_val: int) -> None:
    light = changed(lambda image: (200 + image // 10).astype(np.uint8))
    assert check_inputs(films()[:4], light).outcome is CheckOutcome.FAILED
    result = check_inputs(films()[:n_train], light[:n_val])
    assert result.outcome is CheckOutcome.NOT_APPLICABLE
    assert result.finding.startswith(
        f"{min(n_train, n_val)} film(s) in a part are too few to separate preparation from look"
    )
    require_passed([result])
    divided = changed(lambda image: image // 255)
    assert check_inputs(films()[:n_train], divided[:n_val]).outcome is CheckOutcome.FAILED, "no film's own contrast"


def test_films_that_only_differ_as_films_do_are_no_fault() -> None:
    # Brighter by a fifth of the range, and with two thirds of the contrast, as another device may give them.
    result = check_inputs(films()[:4], changed(lambda image: (50 + 0.65 * image).astype(np.uint8)))
    assert result.outcome is CheckOutcome.PASSED
    assert 1 < result.value < 2.5


def test_all_films_inverted_are_a_fault_only_where_no_film_of_one_part_is_like_the_other() -> None:
    dark = [replace(film, image=(film.image // 4)) for film in films()[:4]]
    light = [replace(film, image=(255 - film.image // 4).astype(np.uint8)) for film in films()[4:]]
    assert check_inputs(dark, light).outcome is CheckOutcome.FAILED
    assert check_inputs(dark, light).value < 2
    assert check_inputs([*dark, light[0]], light).outcome is CheckOutcome.PASSED


# ------------------------------------------------------------------------------------------------------- learning rate


def test_a_first_step_without_a_learning_rate_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    model, training = model_of(), config_of().training
    sound = check_learning_rate(model, training, 8)
    assert sound.outcome is CheckOutcome.PASSED
    assert sound.value == pytest.approx(training.learning_rate)  # 3 % of 2 steps are no warm-up
    nothing = training.model_copy(update={"learning_rate": 0.0, "scheduler": "constant"})
    assert check_learning_rate(model, nothing, 8).outcome is CheckOutcome.FAILED
    monkeypatch.setattr(optimisers, "cosine_factor", lambda step, steps, config: step / steps)
    result = check_learning_rate(model, training, 8)
    assert result.outcome is CheckOutcome.FAILED
    assert "learning rates from 0 to 0" in result.finding
    assert "training.warmup_fraction" in result.advice


def test_one_group_that_does_not_learn_is_enough() -> None:
    still = config_of("resnet50").training.model_copy(update={"backbone_rate_ratio": 0.0})
    result = check_learning_rate(model_of("resnet50"), still, 8)
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


def without_exchange(image: GreyImage, corners_xy: FloatArray) -> tuple[GreyImage, FloatArray]:
    moved = corners_xy.copy()
    moved[..., 0] = image.shape[1] - 1 - moved[..., 0]
    return np.ascontiguousarray(image[:, ::-1]), moved


def test_a_flip_that_does_not_exchange_corners_is_found() -> None:
    result = check_flip(films(), without_exchange)
    assert result.outcome is CheckOutcome.FAILED
    assert "can no longer be measured" in result.finding
    assert "MIRRORED_CORNERS" in result.advice


def test_a_flip_that_exchanges_edges_or_leaves_the_pixels_is_found() -> None:
    def upside_down(image: GreyImage, corners_xy: FloatArray) -> tuple[GreyImage, FloatArray]:
        return image, mirror(image, corners_xy)[1]

    result = check_flip(films(), upside_down)
    assert result.outcome is CheckOutcome.FAILED
    assert result.value < 0.01
    assert "the pixels of 8 film(s) are not mirrored" in result.finding


def test_slips_of_films_without_a_side_are_tested_too_and_films_without_a_pair_are_not() -> None:
    sideless = [replace(film, film=replace(film.film, facing=Facing.NONE)) for film in films()]
    assert check_flip(sideless).outcome is CheckOutcome.PASSED
    single = [replace(f, corners_xy=np.where(np.arange(10)[:, None, None] == 3, f.corners_xy, np.nan)) for f in films()]
    assert check_flip(single).outcome is CheckOutcome.NOT_APPLICABLE


# ------------------------------------------------------------------------------------------------------------- results


def test_the_error_says_what_failed_and_what_to_change_and_the_line_names_each_check() -> None:
    results = [check_flip(films()), check_flip(films(), without_exchange), check_oracle(model_of("keypoint_rcnn"), [])]
    with pytest.raises(PreflightError, match=r"1 of 3 checks before training failed:\n  flip: .*\n    Mirroring must"):
        require_passed(results)
    with pytest.raises(PreflightError, match=r"To train anyway: --training\.preflight false"):
        require_passed(results)
    assert summary_line(results).startswith("flip ok 5")
    assert ", flip FAILED " in summary_line(results)
    assert summary_line(results).endswith("oracle not applicable")
    assert results[2].to_json()["value"] is None
    assert summary_line([check_gradients(gradient_census(model_of(), batch()))]) == "gradients ok"
