"""Losses on coordinates, in px512: worked out by hand, and blind to what is absent."""

from __future__ import annotations

import math

import pytest
import torch

from spondylo_ml.config.network import LossConfig
from spondylo_ml.models.coordinate_losses import anatomical, by_slot, coordinate_parts, gaussian_nll, wing

BOX = torch.tensor([[0.0, 0.0], [40.0, 0.0], [0.0, 30.0], [40.0, 30.0]])


def spine(*bodies: torch.Tensor) -> torch.Tensor:
    """(1, V, 4, 2) bodies, each 50 px above the one before."""
    return torch.stack([body - torch.tensor([0.0, 50.0 * i]) for i, body in enumerate(bodies)])[None]


def all_there(corners: torch.Tensor) -> torch.Tensor:
    return torch.ones(corners.shape[:3], dtype=torch.bool)


def test_wing_is_worked_out_by_hand() -> None:
    # Errors 2 (below the width of 10) and 20 (above): 10 ln 2, and 20 - (10 - 10 ln 6); their mean, over 10.
    predicted, true = torch.tensor([[[2.0, 20.0]]]), torch.zeros(1, 1, 2)
    expected = (10 * math.log(2) + 20 - 10 + 10 * math.log(6)) / 2 / 10
    assert float(wing(predicted, true, torch.tensor([[True]]), 10.0, 2.0)) == pytest.approx(expected, rel=1e-6)
    assert float(wing(true, true, torch.tensor([[True]]), 10.0, 2.0)) == 0.0


def test_wing_has_no_step_at_its_width() -> None:
    here = torch.tensor([[True]])
    below, above = (float(wing(torch.full((1, 1, 2), x), torch.zeros(1, 1, 2), here, 10, 2)) for x in (9.9999, 10.0001))
    assert above == pytest.approx(below, abs=1e-4)


def test_the_likelihood_is_worked_out_by_hand_and_leaves_the_coordinates_alone() -> None:
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


def test_the_likelihood_is_best_where_the_spread_is_the_error() -> None:
    error, zero, here = torch.full((1, 1, 2), 6.0), torch.zeros(1, 1, 2), torch.tensor([[True]])
    losses = [float(gaussian_nll(error, zero, here, torch.full((1, 1, 2), spread))) for spread in (3.0, 6.0, 12.0)]
    assert losses[1] < min(losses[0], losses[2])


def test_a_sound_spine_costs_nothing() -> None:
    corners = spine(BOX, BOX, BOX)
    assert float(anatomical(corners, all_there(corners))) == 0.0


def test_corners_out_of_order_cost_by_how_far_they_are() -> None:
    # Superior and inferior exchanged: both sides wrong by 30, the two edges right; a mean of 15, in lengths of 10.
    corners = spine(BOX[[2, 3, 0, 1]])
    assert float(anatomical(corners, all_there(corners))) == pytest.approx(1.5)
    # Left and right exchanged: both edges wrong by 40.
    corners = spine(BOX[[1, 0, 3, 2]])
    assert float(anatomical(corners, all_there(corners))) == pytest.approx(2.0)


def test_a_level_below_the_one_that_carries_it_costs_by_how_far_it_is() -> None:
    corners = spine(BOX, BOX + torch.tensor([0.0, 70.0]))  # 70 - 50 too low
    assert float(anatomical(corners, all_there(corners))) == pytest.approx(2.0)


def test_endplates_out_of_parallel_cost_beyond_15_degrees() -> None:
    for degrees, expected in ((10, 0.0), (35, 0.1 * math.radians(20))):
        tilted = BOX.clone()
        tilted[1] = 40 * torch.tensor([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
        tilted[2:] += torch.tensor([0.0, 20.0])  # tall enough for the right side to keep its order
        corners = spine(tilted)
        assert float(anatomical(corners, all_there(corners))) == pytest.approx(expected, abs=1e-5)


def test_a_body_out_of_shape_costs_by_the_logarithm_of_what_is_too_much() -> None:
    for scale, expected in (([3.0, 1.0], math.log(4 / 3)), ([0.375, 1.0], math.log(0.8 / 0.5)), ([1.5, 1.0], 0.0)):
        corners = spine(BOX * torch.tensor(scale))  # 120 x 30, 15 x 30, 60 x 30
        assert float(anatomical(corners, all_there(corners))) == pytest.approx(0.1 * expected, abs=1e-5)


def test_bodies_with_an_absent_corner_do_not_count_and_get_no_gradient() -> None:
    corners = spine(BOX, BOX[[1, 0, 3, 2]], BOX).requires_grad_()
    present = all_there(corners)
    present[0, 1, 2] = False
    loss = anatomical(corners, present)
    assert float(loss.detach()) == 0.0
    loss.backward()
    assert corners.grad is not None
    assert float(corners.grad[0, 1].abs().max()) == 0.0


def test_corners_on_one_point_give_finite_losses_and_gradients() -> None:
    corners = torch.full((1, 3, 4, 2), 20.0, requires_grad=True)
    loss = anatomical(corners, all_there(corners))
    loss.backward()
    assert bool(loss.isfinite())
    assert corners.grad is not None
    assert corners.grad.isfinite().all()


def test_absent_corners_count_in_no_loss() -> None:
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


def test_parts_without_a_weight_are_left_out_and_the_others_are_weighted() -> None:
    corners = spine(BOX).flatten(1, 2)
    moved, there = corners + 2.0, torch.ones(1, 4, dtype=torch.bool)
    assert coordinate_parts(moved, corners, there, None, LossConfig()) == {}
    (part,) = coordinate_parts(moved, corners, there, None, LossConfig(coordinate_weight=3.0)).values()
    assert float(part) == pytest.approx(3 * math.log(2), rel=1e-5)


def test_corners_are_grouped_by_slot() -> None:
    values = torch.arange(16).reshape(1, 8, 2)
    assert by_slot(values).shape == (1, 2, 4, 2)
    assert by_slot(values)[0, 1, 2].tolist() == values[0, 6].tolist()
