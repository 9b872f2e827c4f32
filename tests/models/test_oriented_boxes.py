"""Bodies as oriented boxes and the grids over them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.landmarks import MIRRORED_CORNERS
from spondylo_ml.models.oriented_boxes import (
    REACH_HEIGHTS,
    REACH_WIDTHS,
    bodies_of_boxes,
    boxes_of_bodies,
    covariance_to_px,
    jittered_boxes,
    mirrored_boxes,
    sample_boxes,
    to_frame,
    to_px,
)

BODY = torch.tensor([[10.0, 20.0], [50.0, 20.0], [10.0, 40.0], [50.0, 40.0]])
"""A body 40 px wide and 20 px high around (30, 30)."""

boxes = st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(2, 5), st.floats(2, 5), st.floats(-1.5, 1.5)).map(
    lambda values: torch.tensor(values, dtype=torch.float64)
)


def test_the_box_of_a_rectangle() -> None:
    expected = torch.tensor([30.0, 30.0, math.log(40), math.log(20), 0.0])
    torch.testing.assert_close(boxes_of_bodies(BODY), expected)


def test_a_box_turns_clockwise_with_its_body() -> None:
    quarter = torch.stack([-BODY[:, 1], BODY[:, 0]], dim=-1)  # right becomes down
    assert float(boxes_of_bodies(quarter)[4]) == pytest.approx(math.pi / 2)


def test_a_body_with_a_missing_corner_has_no_box() -> None:
    body = BODY.clone()
    body[2] = torch.nan
    assert boxes_of_bodies(body).isnan().all()


@given(boxes)
def test_boxes_and_rectangles_are_inverse(box: torch.Tensor) -> None:
    torch.testing.assert_close(boxes_of_bodies(bodies_of_boxes(box)), box, atol=1e-6, rtol=1e-6)


@given(boxes)
def test_frames_and_px_are_inverse(box: torch.Tensor) -> None:
    points = torch.tensor([[-1.0, -1.0], [0.0, 0.0], [0.3, 0.8]], dtype=torch.float64)
    torch.testing.assert_close(to_frame(box, to_px(box, points)), points, atol=1e-9, rtol=1e-9)


def test_the_corners_of_a_body_in_its_frame() -> None:
    x, y = 0.5 / REACH_WIDTHS, 0.5 / REACH_HEIGHTS
    expected = torch.tensor([[-x, -y], [x, -y], [-x, y], [x, y]])
    torch.testing.assert_close(to_frame(boxes_of_bodies(BODY), BODY), expected)


@given(boxes)
def test_a_mirrored_box_is_the_box_of_the_mirrored_body(box: torch.Tensor) -> None:
    mirrored_body = bodies_of_boxes(box)[list(MIRRORED_CORNERS)] * torch.tensor([-1.0, 1.0])
    mirrored_body[:, 0] += 99
    torch.testing.assert_close(mirrored_boxes(box, 100), boxes_of_bodies(mirrored_body), atol=1e-6, rtol=1e-6)


def test_a_covariance_is_scaled_and_turned_with_the_frame() -> None:
    box = torch.tensor([0.0, 0.0, math.log(10 / REACH_WIDTHS), math.log(2 / REACH_HEIGHTS), math.pi / 2])
    covariance = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])  # of one point
    expected = torch.tensor([[[4.0, 0.0], [0.0, 100.0]]])  # the width lies along y
    torch.testing.assert_close(covariance_to_px(box, covariance), expected, atol=1e-4, rtol=1e-5)


def test_samples_are_the_features_at_the_px_under_the_grid() -> None:
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(24.0), indexing="ij")
    features = torch.stack([columns, rows])[None]  # stride 4: cell centres at 4 i + 1.5 px
    box = boxes_of_bodies(BODY)[None, None]
    sampled = sample_boxes(features, box, 3, (64, 96))
    assert sampled.shape == (1, 2, 3, 3)
    x = 30 + 40 * REACH_WIDTHS * torch.tensor([-1.0, 0.0, 1.0])
    y = 30 + 20 * REACH_HEIGHTS * torch.tensor([-1.0, 0.0, 1.0])
    inside = (x >= 1.5) & (x <= 93)
    torch.testing.assert_close(sampled[0, 0, 1][inside], ((x - 1.5) / 4)[inside])
    torch.testing.assert_close(sampled[0, 1, :, 1], (y - 1.5) / 4)


def test_samples_outside_the_image_are_zero() -> None:
    box = torch.tensor([[[-500.0, -500.0, 3.0, 3.0, 0.0]]])
    assert float(sample_boxes(torch.ones(1, 2, 8, 8), box, 4, (32, 32)).abs().max()) == 0


def test_jitter_depends_on_the_seed_alone_and_is_small() -> None:
    box = boxes_of_bodies(BODY).expand(500, 5)
    torch.manual_seed(3)
    first = jittered_boxes(box)
    torch.manual_seed(3)
    assert torch.equal(first, jittered_boxes(box))
    difference = first - box
    torch.testing.assert_close(difference.mean(dim=0), torch.zeros(5), atol=0.5, rtol=0)
    assert float(difference[:, 0].std()) == pytest.approx(0.1 * math.sqrt(40 * 20), rel=0.15)
    assert float(difference[:, 4].std()) == pytest.approx(0.12, rel=0.15)
