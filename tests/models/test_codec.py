"""Corners to heatmaps and back, with tolerances in heatmap cells."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spondylo_ml.models.codec import HeatmapCodec, highest_cells

HEIGHT, WIDTH = 40, 28
unit = st.floats(0, 1)
strides = st.sampled_from([1, 2, 4])
sigmas = st.sampled_from([1.0, 1.5, 2.0, 3.0])


def to_px(cell_xy: tuple[float, float], stride: int) -> tuple[float, float]:
    """Position in px of a point in cells; the centre of a cell is the middle of its `stride` px."""
    return (cell_xy[0] + 0.5) * stride - 0.5, (cell_xy[1] + 0.5) * stride - 0.5


def error_cells(codec: HeatmapCodec, cell_xy: tuple[float, float]) -> float:
    """Largest error of one coordinate after encoding and decoding, in cells."""
    point = torch.tensor([[to_px(cell_xy, codec.stride)]])
    decoded, _ = codec.decode(codec.encode(point, (HEIGHT, WIDTH)))
    return float((decoded - point).abs().max()) / codec.stride


@settings(max_examples=150)
@given(unit, unit, strides, sigmas, st.sampled_from([0, 11]))
def test_dark_recovers_every_point_of_the_grid_borders_included(
    x: float, y: float, stride: int, sigma: float, blur: int
) -> None:
    codec = HeatmapCodec(sigma, stride, "dark", blur)
    assert error_cells(codec, (x * (WIDTH - 1), y * (HEIGHT - 1))) < 0.1


@pytest.mark.parametrize("blur", [0, 11])
@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("x", [0.0, 0.49, WIDTH - 1.49, WIDTH - 1.0])
@pytest.mark.parametrize("y", [0.0, 0.49, HEIGHT - 1.49, HEIGHT - 1.0])
def test_dark_recovers_points_in_the_corners_of_the_grid(x: float, y: float, sigma: float, blur: int) -> None:
    assert error_cells(HeatmapCodec(sigma, 1, "dark", blur), (x, y)) < 0.1


@settings(max_examples=100)
@given(st.floats(-0.5, WIDTH - 0.5), st.floats(-0.5, HEIGHT - 0.5), strides, sigmas)
def test_argmax_returns_the_nearest_cell(x: float, y: float, stride: int, sigma: float) -> None:
    assert error_cells(HeatmapCodec(sigma, stride, "argmax"), (x, y)) < 0.75


@settings(max_examples=100)
@given(unit, unit, strides, st.sampled_from([1.0, 1.5, 2.0]))
def test_soft_argmax_recovers_points_away_from_the_border(x: float, y: float, stride: int, sigma: float) -> None:
    codec = HeatmapCodec(sigma, stride, "soft_argmax")
    assert error_cells(codec, (9 + x * (WIDTH - 19), 9 + y * (HEIGHT - 19))) < 0.1


@pytest.mark.parametrize("shift", [0.1, 0.25, 0.5])
def test_soft_argmax_recovers_points_of_a_wide_target(shift: float) -> None:
    assert error_cells(HeatmapCodec(3.0, 1, "soft_argmax"), (13 + shift, 20 - shift)) < 0.1


@pytest.mark.parametrize("x", [0.0, 1.0, 3.3, WIDTH - 1.0])
def test_soft_argmax_is_not_biased_inward_at_the_border(x: float) -> None:
    assert error_cells(HeatmapCodec(1.5, 1, "soft_argmax"), (x, 20.0)) < 0.5


def test_a_target_is_a_gaussian_with_peak_1() -> None:
    heat = HeatmapCodec(2.0).encode(torch.tensor([[[5.0, 7.0]]]), (16, 12))
    assert heat.shape == (1, 1, 16, 12)
    assert float(heat[0, 0, 7, 5]) == 1.0
    # exp(-d^2 / 8): two cells away exp(-0.5), a knight's move exp(-5 / 8).
    assert float(heat[0, 0, 7, 7]) == pytest.approx(0.6065307, abs=1e-6)
    assert float(heat[0, 0, 9, 6]) == pytest.approx(0.5352614, abs=1e-6)


def test_a_stride_of_4_puts_the_centre_of_4_px_on_a_cell() -> None:
    heat = HeatmapCodec(1.0, stride=4).encode(torch.tensor([[[1.5, 5.5]]]), (4, 4))
    assert float(heat[0, 0, 1, 0]) == 1.0


@pytest.mark.parametrize("decoder", ["dark", "argmax", "soft_argmax"])
def test_missing_corners_give_empty_maps_and_finite_points(decoder: Literal["dark", "argmax", "soft_argmax"]) -> None:
    codec = HeatmapCodec(1.5, 1, decoder)
    corners = torch.tensor([[[torch.nan, torch.nan], [5.0, 6.0]]])
    maps = codec.encode(corners, (16, 16))
    assert float(maps[0, 0].abs().max()) == 0.0
    points, score = codec.decode(maps)
    assert points.isfinite().all()
    torch.testing.assert_close(points[0, 1], torch.tensor([5.0, 6.0]), atol=0.01, rtol=0)
    torch.testing.assert_close(score, torch.tensor([[0.0, 1.0]]))


@pytest.mark.parametrize("decoder", ["dark", "argmax", "soft_argmax"])
def test_refine_uses_the_given_peak_not_the_highest(
    decoder: Literal["dark", "argmax", "soft_argmax"],
) -> None:
    codec = HeatmapCodec(1.0, 2, decoder, 0)
    first = codec.encode(torch.tensor([[[10.5, 12.5]]]), (32, 32))
    second = 0.5 * codec.encode(torch.tensor([[[40.5, 50.5]]]), (32, 32))
    points, score = codec.refine(first + second, torch.tensor([[[20, 25]]]))
    torch.testing.assert_close(points, torch.tensor([[[40.5, 50.5]]]), atol=0.05, rtol=0)
    assert float(score) == pytest.approx(0.5, abs=1e-4)


def test_films_of_a_batch_are_decoded_independently() -> None:
    corners = torch.tensor([[[3.2, 4.1], [20.7, 9.9]], [[11.5, 30.3], [25.0, 2.0]]])
    codec = HeatmapCodec(1.5)
    points, score = codec.decode(codec.encode(corners, (HEIGHT, WIDTH)))
    torch.testing.assert_close(points, corners, atol=0.05, rtol=0)
    assert score.shape == (2, 2)


def test_the_highest_cell_is_returned_as_column_and_row() -> None:
    maps = torch.zeros(1, 1, 5, 7)
    maps[0, 0, 4, 2] = 1
    assert highest_cells(maps).tolist() == [[[2, 4]]]


def test_dark_does_not_move_on_a_flat_map() -> None:
    points, score = HeatmapCodec(1.0).refine(torch.ones(1, 1, 20, 20), torch.tensor([[[7, 9]]]))
    assert points.tolist() == [[[7.0, 9.0]]]
    assert score.tolist() == [[1.0]]


def test_dark_returns_the_cell_on_a_grid_that_is_too_small() -> None:
    maps = torch.zeros(1, 1, 2, 2)
    maps[0, 0, 1, 0] = 1
    points, _ = HeatmapCodec(1.0).decode(maps)
    assert points.tolist() == [[[0.0, 1.0]]]
