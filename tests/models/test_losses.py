"""Losses: hand calculations, and no effect of missing corners."""

from __future__ import annotations

import math

import pytest
import torch

from spondylo_ml.models.losses import presence_cross_entropy, spatial_cross_entropy, weighted_mse


def one_cell(value: float = 1.0) -> torch.Tensor:
    """(1, 1, 2, 2) zeros except for one cell."""
    target = torch.zeros(1, 1, 2, 2)
    target[0, 0, 0, 1] = value
    return target


def test_cross_entropy_of_flat_logits_is_the_logarithm_of_the_number_of_cells() -> None:
    loss = spatial_cross_entropy(torch.zeros(1, 1, 2, 2), one_cell(), torch.tensor([[True]]))
    assert float(loss) == pytest.approx(math.log(4))


def test_cross_entropy_matches_a_hand_calculation() -> None:
    # Probabilities 1/6, 3/6, 1/6, 1/6; the target is half on the first and half on the second cell.
    logits = torch.tensor([[[[0.0, math.log(3)], [0.0, 0.0]]]])
    target = torch.tensor([[[[2.0, 2.0], [0.0, 0.0]]]])
    loss = spatial_cross_entropy(logits, target, torch.tensor([[True]]))
    assert float(loss) == pytest.approx(0.5 * math.log(6) + 0.5 * math.log(2), rel=1e-6)


def test_cross_entropy_of_a_confident_correct_map_is_0() -> None:
    loss = spatial_cross_entropy(100 * one_cell(), one_cell(), torch.tensor([[True]]))
    assert float(loss) == pytest.approx(0, abs=1e-6)


def test_cross_entropy_is_the_mean_over_the_present_corners() -> None:
    logits = torch.cat([torch.zeros(1, 1, 2, 2), 100 * one_cell()], dim=1)
    target = one_cell().repeat(1, 2, 1, 1)
    loss = spatial_cross_entropy(logits, target, torch.tensor([[True, True]]))
    assert float(loss) == pytest.approx(math.log(4) / 2)


def test_squared_error_matches_a_hand_calculation() -> None:
    # Errors 0, 0.5, 0, 1 with weights 1, 1 + 3, 1, 1: (4 * 0.25 + 1) / 4.
    heat = torch.tensor([[[[0.0, 0.5], [0.0, 1.0]]]])
    assert float(weighted_mse(heat, one_cell(), torch.tensor([[True]]), 3.0)) == pytest.approx(0.5)
    assert float(weighted_mse(heat, one_cell(), torch.tensor([[True]]), 0.0)) == pytest.approx(1.25 / 4)
    assert float(weighted_mse(one_cell(), one_cell(), torch.tensor([[True]]), 3.0)) == 0.0


def test_presence_loss_matches_a_hand_calculation_over_labelled_films_only() -> None:
    logits = torch.tensor([[0.0, math.log(3)], [50.0, 50.0]])
    present = torch.tensor([[True, False], [False, False]])
    expected = (math.log(2) + math.log(4)) / 2  # probabilities of 1/2 for a present one, 3/4 for an absent one
    labelled = torch.tensor([True, False])
    assert float(presence_cross_entropy(logits, present, labelled)) == pytest.approx(expected)
    assert float(presence_cross_entropy(logits, present, torch.tensor([True, True]))) == pytest.approx(
        (expected + 50) / 2
    )


def heatmap_losses(logits: torch.Tensor, target: torch.Tensor, present: torch.Tensor) -> list[torch.Tensor]:
    return [spatial_cross_entropy(logits, target, present), weighted_mse(logits, target, present, 10.0)]


@pytest.mark.parametrize("which", [0, 1])
def test_maps_of_missing_corners_have_no_loss_and_no_gradient(which: int) -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 4, 4, generator=generator)
    logits = torch.randn(2, 3, 4, 4, generator=generator)
    present = torch.tensor([[True, False, True], [False, False, True]])
    other = torch.where(present[..., None, None], logits, 100 * torch.randn(2, 3, 4, 4, generator=generator))
    assert float(heatmap_losses(logits, target, present)[which]) == pytest.approx(
        float(heatmap_losses(other, target, present)[which])
    )
    logits.requires_grad_()
    heatmap_losses(logits, target, present)[which].backward()
    assert logits.grad is not None
    size = logits.grad.abs().amax(dim=(2, 3))
    assert (size[~present] == 0).all()
    assert (size[present] > 0).all()


@pytest.mark.parametrize("which", [0, 1])
def test_with_all_corners_missing_loss_and_gradient_are_0(which: int) -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = heatmap_losses(logits, torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, dtype=torch.bool))[which]
    assert float(loss.detach()) == 0.0
    loss.backward()
    assert logits.grad is not None
    assert float(logits.grad.abs().max()) == 0.0


def test_without_a_labelled_film_the_presence_loss_is_0() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    loss = presence_cross_entropy(logits, torch.zeros(2, 3, dtype=torch.bool), torch.zeros(2, dtype=torch.bool))
    assert float(loss.detach()) == 0.0
    loss.backward()
    assert logits.grad is not None
    assert float(logits.grad.abs().max()) == 0.0


def test_missing_corners_do_not_dilute_the_loss() -> None:
    """One present corner of three gives the same loss as that corner alone."""
    logits, target = torch.randn(1, 3, 4, 4), torch.rand(1, 3, 4, 4)
    present = torch.tensor([[False, True, False]])
    for all_three, alone in zip(
        heatmap_losses(logits, target, present),
        heatmap_losses(logits[:, 1:2], target[:, 1:2], torch.tensor([[True]])),
        strict=True,
    ):
        assert float(all_three) == pytest.approx(float(alone), rel=1e-5)
