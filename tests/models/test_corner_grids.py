"""Corners as distributions over the cells of a grid."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.models.corner_grids import FLOOR_CELLS, corner_cross_entropy, decode_grids, mirrored_grids
from spondylo_ml.models.oriented_boxes import grid_points

CELLS = 21
STEP = 2 / (CELLS - 1)
CPU = torch.device("cpu")


def gaussian(points: torch.Tensor, sigma_cells: float) -> torch.Tensor:
    """(M, 4, g, g) distributions around (M, 4, 2) points."""
    offset = (grid_points(CELLS, CPU) - points[..., None, None, :]) / STEP
    share = torch.exp(-offset.square().sum(-1) / (2 * sigma_cells**2))
    return share / share.sum(dim=(2, 3), keepdim=True)


@given(st.lists(st.floats(-0.6, 0.6), min_size=8, max_size=8))
def test_a_gaussian_decodes_to_its_centre_and_variance(coordinates: list[float]) -> None:
    points = torch.tensor(coordinates).view(1, 4, 2)
    corners = decode_grids(gaussian(points, 0.9))
    torch.testing.assert_close(corners.points, points, atol=0.03 * STEP, rtol=0)
    variance = (0.9**2 + FLOOR_CELLS**2) * STEP**2
    expected = (variance * torch.eye(2)).expand(1, 4, 2, 2)
    torch.testing.assert_close(corners.covariance, expected, atol=0.02 * variance, rtol=0)
    assert float(corners.share.min()) > 0.99


def test_a_second_peak_lowers_the_share_and_does_not_move_the_corner() -> None:
    points = torch.full((1, 4, 2), -0.5)
    two = 0.7 * gaussian(points, 0.5) + 0.3 * gaussian(-points, 0.5)
    corners = decode_grids(two)
    torch.testing.assert_close(corners.points, points, atol=1e-4, rtol=0)
    torch.testing.assert_close(corners.share, torch.full((1, 4), 0.7), atol=1e-3, rtol=0)


def test_the_cross_entropy_of_the_target_itself_is_its_entropy_and_the_least() -> None:
    target = torch.tensor([[[0.0, 0.0], [0.2, -0.4], [-0.5, 0.5], [0.5, 0.5]]])
    logits = gaussian(target, 0.9).clamp_min(1e-30).log()
    entropy = -(gaussian(target, 0.9) * logits).sum(dim=(2, 3)).mean()
    loss = corner_cross_entropy(logits, target, 0.9)
    torch.testing.assert_close(loss, entropy, atol=1e-4, rtol=1e-4)
    assert float(corner_cross_entropy(logits + 0.1 * torch.randn_like(logits), target, 0.9)) > float(loss)


def test_flat_logits_cost_the_logarithm_of_the_number_of_cells() -> None:
    loss = corner_cross_entropy(torch.zeros(2, 4, CELLS, CELLS), torch.zeros(2, 4, 2), 0.9)
    assert float(loss) == pytest.approx(math.log(CELLS**2), rel=1e-5)


def test_corners_that_are_missing_or_outside_the_grid_do_not_count() -> None:
    target = torch.zeros(1, 4, 2)
    target[0, 1] = torch.nan
    target[0, 2, 0] = 1.5
    logits = torch.zeros(1, 4, CELLS, CELLS, requires_grad=True)
    loss = corner_cross_entropy(logits, target, 0.9)
    assert float(loss.detach()) == pytest.approx(math.log(CELLS**2), rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    assert [bool(of_corner.abs().max() > 0) for of_corner in logits.grad[0]] == [True, False, False, True]
    assert float(corner_cross_entropy(logits, torch.full((1, 4, 2), torch.nan), 0.9).detach()) == 0


def test_mirrored_grids_exchange_left_and_right() -> None:
    points = torch.tensor([[[-0.4, -0.5], [0.5, -0.4], [-0.3, 0.5], [0.6, 0.4]]])
    mirrored = points[:, [1, 0, 3, 2]] * torch.tensor([-1.0, 1.0])
    back = decode_grids(mirrored_grids(gaussian(mirrored, 0.9)))
    torch.testing.assert_close(back.points, points, atol=0.03 * STEP, rtol=0)
