"""Losses on coordinates, in px512: hand calculations, and no effect of missing corners."""

from __future__ import annotations

import math

import pytest
import torch

from spondylo_ml.config.network import LossConfig
from spondylo_ml.models.coordinate_losses import anatomical, by_slot, coordinate_parts, gaussian_nll, wing

BOX = torch.tensor([[0.0, 0.0], [40.0, 0.0], [0.0, 30.0], [40.0, 30.0]])


def spine(*bodies: torch.Tensor) -> torch.Tensor:
    """(1, V, 4, 2) bodies, each 50 px above the previous one."""
    return torch.stack([body - torch.tensor([0.0, 50.0 * i]) for i, body in enumerate(bodies)])[None]


def all_present(corners: torch.Tensor) -> torch.Tensor:
    return torch.ones(corners.shape[:3], dtype=torch.bool)


def test_wing_matches_a_hand_calculation() -> None:
    # Errors 2 (below the width of 10) and 20 (above): 10 ln 2, and 20 - (10 - 10 ln 6); their mean, over 10.
    predicted, true = torch.tensor([[[2.0, 20.0]]]), torch.zeros(1, 1, 2)
    expected = (10 * math.log(2) + 20 - 10 + 10 * math.log(6)) / 2 / 10
    assert float(wing(predicted, true, torch.tensor([[True]]), 10.0, 2.0)) == pytest.approx(expected, rel=1e-6)
    assert float(wing(true, true, torch.tensor([[True]]), 10.0, 2.0)) == 0.0


def test_wing_is_continuous_at_its_width() -> None:
    present = torch.tensor([[True]])
    below, above = (
        float(wing(torch.full((1, 1, 2), x), torch.zeros(1, 1, 2), present, 10, 2)) for x in (9.9999, 10.0001)
    )
    assert above == pytest.approx(below, abs=1e-4)


def test_the_likelihood_matches_a_hand_calculation_and_gives_coordinates_no_gradient() -> None:
    # ln 2 + (4 / 2)^2 / 2 and ln 5 + 0.
    predicted = torch.tensor([[[4.0, 7.0]]], requires_grad=True)
    spread = torch.tensor([[[2.0, 5.0]]], requires_grad=True)
    loss = gaussian_nll(predicted, torch.tensor([[[0.0, 7.0]]]), torch.tensor([[True]]), spread)
    assert float(loss.detach()) == pytest.approx((math.log(2) + 2 + math.log(5)) / 2, rel=1e-5)
    loss.backward()
    assert predicted.grad is None
    assert spread.grad is not None
    # d/ds [ln s + e^2 / (2 s^2)] = 1/s - e^2 / s^3, halved by the mean: (0.5 - 2) / 2 and 0.2 / 2.
    torch.testing.assert_close(spread.grad, torch.tensor([[[-0.75, 0.1]]]))


def test_the_likelihood_is_best_when_the_spread_equals_the_error() -> None:
    error, zero, present = torch.full((1, 1, 2), 6.0), torch.zeros(1, 1, 2), torch.tensor([[True]])
    losses = [float(gaussian_nll(error, zero, present, torch.full((1, 1, 2), spread))) for spread in (3.0, 6.0, 12.0)]
    assert losses[1] < min(losses[0], losses[2])


def test_a_plausible_spine_has_zero_loss() -> None:
    corners = spine(BOX, BOX, BOX)
    assert float(anatomical(corners, all_present(corners))) == 0.0


def test_swapped_corners_cost_in_proportion_to_their_distance() -> None:
    # Superior and inferior swapped: both sides wrong by 30, both edges right; a mean of 15, in units of 10.
    corners = spine(BOX[[2, 3, 0, 1]])
    assert float(anatomical(corners, all_present(corners))) == pytest.approx(1.5)
    # Left and right swapped: both edges wrong by 40.
    corners = spine(BOX[[1, 0, 3, 2]])
    assert float(anatomical(corners, all_present(corners))) == pytest.approx(2.0)


def test_a_vertebra_below_its_lower_neighbour_costs_in_proportion_to_the_distance() -> None:
    corners = spine(BOX, BOX + torch.tensor([0.0, 70.0]))  # 70 - 50 too low
    assert float(anatomical(corners, all_present(corners))) == pytest.approx(2.0)


def test_endplates_cost_when_their_angle_exceeds_15_degrees() -> None:
    for degrees, expected in ((10, 0.0), (35, 0.1 * math.radians(20))):
        tilted = BOX.clone()
        tilted[1] = 40 * torch.tensor([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
        tilted[2:] += torch.tensor([0.0, 20.0])  # tall enough for the right side to keep its order
        corners = spine(tilted)
        assert float(anatomical(corners, all_present(corners))) == pytest.approx(expected, abs=1e-5)


def test_an_implausible_aspect_ratio_costs_the_logarithm_of_the_excess() -> None:
    for scale, expected in (([3.0, 1.0], math.log(4 / 3)), ([0.375, 1.0], math.log(0.8 / 0.5)), ([1.5, 1.0], 0.0)):
        corners = spine(BOX * torch.tensor(scale))  # 120 x 30, 15 x 30, 60 x 30
        assert float(anatomical(corners, all_present(corners))) == pytest.approx(0.1 * expected, abs=1e-5)


def test_bodies_with_a_missing_corner_have_no_loss_and_no_gradient() -> None:
    corners = spine(BOX, BOX[[1, 0, 3, 2]], BOX).requires_grad_()
    present = all_present(corners)
    present[0, 1, 2] = False
    loss = anatomical(corners, present)
    assert float(loss.detach()) == 0.0
    loss.backward()
    assert corners.grad is not None
    assert float(corners.grad[0, 1].abs().max()) == 0.0


def test_coincident_corners_give_finite_losses_and_gradients() -> None:
    corners = torch.full((1, 3, 4, 2), 20.0, requires_grad=True)
    loss = anatomical(corners, all_present(corners))
    loss.backward()
    assert bool(loss.isfinite())
    assert corners.grad is not None
    assert corners.grad.isfinite().all()


def test_missing_corners_count_in_no_loss() -> None:
    config = LossConfig(coordinate_weight=2.0, anatomical_weight=1.0, uncertainty_weight=0.5)
    predicted = torch.rand(1, 8, 2, requires_grad=True)
    true = torch.full((1, 8, 2), torch.nan)
    spread = torch.ones(1, 8, 2, requires_grad=True)
    none = torch.zeros(1, 8, dtype=torch.bool)
    parts = coordinate_parts(predicted, true, none, spread, config)
    assert {name: float(part.detach()) for name, part in parts.items()} == {
        "coordinate": 0.0,
        "anatomical": 0.0,
        "uncertainty": 0.0,
    }
    torch.stack(list(parts.values())).sum().backward()
    for tensor in (predicted, spread):
        assert tensor.grad is not None
        assert float(tensor.grad.abs().max()) == 0.0


def test_parts_with_weight_0_are_left_out_and_the_others_are_weighted() -> None:
    corners = spine(BOX).flatten(1, 2)
    predicted, present = corners + 2.0, torch.ones(1, 4, dtype=torch.bool)
    assert coordinate_parts(predicted, corners, present, None, LossConfig()) == {}
    (part,) = coordinate_parts(predicted, corners, present, None, LossConfig(coordinate_weight=3.0)).values()
    assert float(part) == pytest.approx(3 * math.log(2), rel=1e-5)


def test_corners_are_grouped_by_slot() -> None:
    values = torch.arange(16).reshape(1, 8, 2)
    assert by_slot(values).shape == (1, 2, 4, 2)
    assert by_slot(values)[0, 1, 2].tolist() == values[0, 6].tolist()
