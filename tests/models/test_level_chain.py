"""The level chain: which of several heatmap peaks belongs to which vertebra."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spondylo_ml.data.prepare import prepare_films
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.models.codec import HeatmapCodec, highest_cells
from spondylo_ml.models.level_chain import LevelChain, body_features, find_peaks, step_features

SIDE = 128
CODEC = HeatmapCodec(1.0, 1, "dark", 0)


@pytest.fixture(scope="module")
def corners() -> Tensor:
    """(N, V, 4, 2) input px of synthetic films."""
    films = prepare_films(phantom_films(24, 2, 192).films, SLOTS, (SIDE, SIDE))
    return torch.stack([torch.from_numpy(film.corners_xy).float() for film in films])


@pytest.fixture(scope="module")
def chain(corners: Tensor) -> LevelChain:
    chain = LevelChain(10)
    chain.learn(corners[4:])
    return chain


def labelled(corners: Tensor) -> Tensor:
    """(V, 4, 2): the vertebrae of one film that are present."""
    return corners[~corners.isnan().flatten(1).any(dim=1)]


def maps_of(bodies: Tensor, side: int = SIDE) -> Tensor:
    """(1, K, side, side) perfect maps of (V, 4, 2) bodies."""
    return CODEC.encode(bodies.flatten(0, 1)[None], (side, side))


def shifted_maps(bodies: Tensor, lower_peak: float = 0.6) -> Tensor:
    """Maps with two peaks per corner, on its vertebra and on the one above; which is higher alternates by corner."""
    right, wrong = maps_of(bodies), maps_of(torch.cat([bodies[1:], bodies[-1:]]))
    odd = (torch.arange(right.shape[1]) % 2).bool()[None, :, None, None]
    maps = torch.where(odd, torch.maximum(lower_peak * right, wrong), torch.maximum(right, lower_peak * wrong))
    maps[:, :4] = right[:, :4]  # only S1 is unambiguous, and determines all others
    return maps


@pytest.mark.parametrize("lower_peak", [1.0, 0.6])
@pytest.mark.parametrize("film", range(4))
def test_the_whole_spine_decides_between_two_peaks_per_corner(
    chain: LevelChain, corners: Tensor, film: int, lower_peak: float
) -> None:
    bodies = labelled(corners[film])
    maps = shifted_maps(bodies, lower_peak)
    points, _ = CODEC.refine(maps, chain.choose(maps, torch.ones(1, len(bodies))))
    assert float((points - bodies.flatten(0, 1)[None]).norm(dim=-1).max()) < 0.5


@pytest.mark.parametrize("film", range(4))
def test_without_the_chain_the_highest_peaks_of_the_same_maps_mix_levels(corners: Tensor, film: int) -> None:
    bodies = labelled(corners[film])
    by_corner, _ = CODEC.decode(shifted_maps(bodies))
    wrong = (by_corner - bodies.flatten(0, 1)[None]).norm(dim=-1)[0, 4:-4] > 5
    assert float(wrong.float().mean()) == 0.5


@pytest.mark.parametrize("film", range(4))
def test_the_chain_does_not_change_the_decoding_of_perfect_maps(chain: LevelChain, corners: Tensor, film: int) -> None:
    bodies = labelled(corners[film])
    maps = maps_of(bodies)
    peaks = chain.choose(maps, torch.ones(1, len(bodies)))
    assert torch.equal(peaks, highest_cells(maps))
    torch.testing.assert_close(CODEC.refine(maps, peaks)[0], CODEC.decode(maps)[0])


def test_films_of_a_batch_are_decoded_independently(chain: LevelChain, corners: Tensor) -> None:
    count = min(len(labelled(corners[0])), len(labelled(corners[1])))
    maps = torch.cat([shifted_maps(labelled(corners[i])[:count]) for i in (0, 1)])
    together = chain.choose(maps, torch.ones(2, count))
    for i in (0, 1):
        assert torch.equal(together[i : i + 1], chain.choose(maps[i : i + 1], torch.ones(1, count)))


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_the_chain_of_a_rotated_film_is_the_rotated_chain(
    chain: LevelChain, corners: Tensor, quarter_turns: int
) -> None:
    bodies = labelled(corners[0])
    maps, presence = shifted_maps(bodies), torch.ones(1, len(bodies))
    expected = chain.choose(maps, presence)
    rotated = chain.choose(torch.rot90(maps, quarter_turns, dims=(2, 3)), presence)
    for _ in range(quarter_turns):  # rot90 takes (x, y) to (y, side - 1 - x)
        expected = torch.stack([expected[..., 1], SIDE - 1 - expected[..., 0]], dim=-1)
    assert torch.equal(rotated, expected)


def test_the_levels_do_not_depend_on_the_scale_of_the_film(chain: LevelChain, corners: Tensor) -> None:
    bodies = 2 * labelled(corners[0])
    right, wrong = maps_of(bodies, 2 * SIDE), maps_of(torch.cat([bodies[1:], bodies[-1:]]), 2 * SIDE)
    maps = torch.maximum(0.95 * right, wrong)
    maps[:, :4] = right[:, :4]
    peaks = chain.choose(maps, torch.ones(1, len(bodies)))
    assert float((peaks - bodies.flatten(0, 1)[None]).norm(dim=-1).max()) < 1.5


@given(
    st.floats(-math.pi, math.pi), st.floats(0.2, 5), st.floats(-50, 50), st.floats(-50, 50), st.integers(0, 2**31 - 1)
)
def test_features_of_bodies_and_steps_do_not_depend_on_rotation_scale_and_translation(
    angle: float, scale: float, x: float, y: float, seed: int
) -> None:
    noise = torch.rand(2, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    square = torch.tensor([[0, 0], [20, 0], [0, 15], [20, 15]], dtype=torch.float64)
    bodies = square + torch.tensor([[[0.0, 0.0]], [[3.0, -22.0]]], dtype=torch.float64) + 4 * noise
    matrix = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64
    )
    moved = scale * bodies @ matrix.T + torch.tensor([x, y], dtype=torch.float64)
    torch.testing.assert_close(body_features(moved), body_features(bodies))
    torch.testing.assert_close(step_features(moved[0], moved[1]), step_features(bodies[0], bodies[1]))


def test_features_of_a_body_match_a_hand_calculation() -> None:
    body = torch.tensor([[0.0, 0.0], [8.0, 0.0], [0.0, 4.0], [4.0, 4.0]], dtype=torch.float64)
    right = math.hypot(4, 4)
    expected = [math.log(2), math.log(4 / right), math.log(12 / (4 + right))]
    torch.testing.assert_close(body_features(body), torch.tensor(expected, dtype=torch.float64))


def test_features_of_a_step_match_a_hand_calculation() -> None:
    lower = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]], dtype=torch.float64)
    upper = lower / 2 + torch.tensor([3.0, -7.0], dtype=torch.float64)  # centre (4, -6), from (2, 2)
    expected = torch.tensor([0.5, 2.0, math.log(0.5), 0.0], dtype=torch.float64)
    torch.testing.assert_close(step_features(lower, upper), expected)


def test_a_body_with_left_and_right_swapped_has_no_features() -> None:
    body = torch.tensor([[0.0, 0.0], [8.0, 0.0], [0.0, 4.0], [4.0, 4.0]])
    assert body_features(body[[1, 0, 3, 2]]).isnan().all()


def test_peaks_are_sorted_by_height_and_have_the_heat_around_them() -> None:
    maps = torch.zeros(1, 1, 16, 16)
    for x, y, height in ((3, 4, 0.5), (10, 12, 1.0), (15, 0, 0.25)):
        maps[0, 0, y, x] = height
    maps[0, 0, 12, 11] = 0.125
    peaks, heat = find_peaks(maps, 3)
    assert peaks[0, 0].tolist() == [[10, 12], [3, 4], [15, 0]]
    assert heat[0, 0, :2].tolist() == [1.125, 0.5]


def test_a_chain_does_not_learn_from_too_few_films() -> None:
    chain = LevelChain(10)
    chain.learn(torch.full((3, 10, 4, 2), torch.nan))
    assert not bool(chain.learned)


def test_learned_shapes_do_not_depend_on_the_facing_of_the_films(corners: Tensor) -> None:
    mirrored = corners[:, :, [1, 0, 3, 2]].clone()
    mirrored[..., 0] = SIDE - 1 - mirrored[..., 0]
    one, other = LevelChain(10), LevelChain(10)
    one.learn(corners)
    other.learn(mirrored)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name].float(), value.float(), atol=1e-3, rtol=1e-3)


def test_a_missing_vertebra_still_gets_corners(chain: LevelChain, corners: Tensor) -> None:
    bodies = labelled(corners[0])
    maps = maps_of(bodies)
    maps[:, 8:12] = 0
    presence = torch.ones(1, len(bodies))
    presence[0, 2] = 0
    peaks = chain.choose(maps, presence)
    assert peaks.shape == (1, 4 * len(bodies), 2)
    others = [k for k in range(4 * len(bodies)) if not 8 <= k < 12]
    assert torch.equal(peaks[:, others], highest_cells(maps)[:, others])
