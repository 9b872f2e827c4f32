"""A spine whose bodies leave a gap is read again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from spondylo_ml.models.cascade_levels import LEVEL_STRIDE, Levels
from spondylo_ml.models.centre_chain import MOST_SEEN, SHARE_FLOOR, SHIFTS, Bodies, CentreChain, find_bodies
from spondylo_ml.models.oriented_boxes import bodies_of_boxes
from spondylo_ml.models.spine_gaps import LONGEST_STEP, NOT_FOUND, gaps_of, read_spines, with_assumed

CELLS_APART, COLUMN, LOWEST_ROW = 6, 4, 28
LEVELS = 5


def column(places: Sequence[float]) -> Tensor:
    """(B, 5) boxes 40 px wide and 36 px high at these places of a straight spine, 0 being the lowest."""
    row = torch.tensor([float(LOWEST_ROW - CELLS_APART * place) for place in places])
    y = (row + 0.5) * LEVEL_STRIDE - 0.5
    x = torch.full_like(y, (COLUMN + 0.5) * LEVEL_STRIDE - 0.5)
    size = torch.tensor([math.log(40), math.log(36), 0.0]).expand(len(places), 3)
    return torch.cat([x[:, None], y[:, None], size], dim=1)


def learned_chain() -> CentreChain:
    chain = CentreChain(LEVELS)
    chain.learn(torch.stack([bodies_of_boxes(column(list(range(LEVELS)))) * z for z in torch.linspace(0.8, 1.2, 8)]))
    return chain


def levels_with(shares: dict[float, dict[int, float]], absent: list[float]) -> Levels:
    """One film: the share of each level at each place of the spine, and of "absent"."""
    share = torch.full((1, LEVELS, 32, 9), 1e-7)
    for place, at_place in shares.items():
        for level, value in at_place.items():
            share[0, level, LOWEST_ROW - round(CELLS_APART * place), COLUMN] = value
    shape = column([0])[0, 2:][None, :, None, None].expand(1, 3, 32, 9)
    return Levels(share.log(), torch.tensor([absent]).log(), shape, share)


def test_a_step_over_a_body_is_a_gap() -> None:
    middle, longest_px = gaps_of(column([0, 1, 3, 4]), torch.tensor([0, 1, 2, 3, -1]))
    assert middle.tolist() == column([2]).tolist()
    assert longest_px.tolist() == pytest.approx([LONGEST_STEP * CELLS_APART * LEVEL_STRIDE])


@pytest.mark.parametrize("body", [[0, 1, 2, 3, -1], [-1, 0, 3, -1, -1], [2, -1, -1, -1, -1], [-1, -1, -1, -1, -1]])
def test_an_even_spine_and_one_with_nothing_to_compare_with_have_no_gap(body: list[int]) -> None:
    middle, longest_px = gaps_of(column([0, 1, 2, 3]), torch.tensor(body))
    assert (len(middle), len(longest_px)) == (0, 0)


def test_an_assumed_body_is_as_clear_as_one_can_be_and_its_names_have_the_ratio_that_the_network_gives() -> None:
    bodies = Bodies(column([0])[None], torch.zeros(1, LEVELS, 1), torch.zeros(1, LEVELS))
    near = levels_with({2: {1: 0.03, 2: 0.09}}, [0.1] * LEVELS).log_share.exp()
    assumed = with_assumed(bodies, column([2]), torch.tensor([48.0]), near)
    assert assumed.boxes[0].tolist() == column([0, 2]).tolist()
    assert assumed.log_share[0, 1:3, 1].exp().tolist() == pytest.approx([MOST_SEEN / 4, 3 * MOST_SEEN / 4], rel=1e-3)
    assert assumed.log_share[0, :, 0].tolist() == [0.0] * LEVELS


def test_an_assumed_body_replaces_those_within_half_a_step() -> None:
    near = levels_with({2: {1: 0.1}}, [0.1] * LEVELS).log_share.exp()
    beside = column([2]) + torch.tensor([23.0, 0, 0, 0, 0])
    bodies = Bodies(torch.cat([column([0]), beside])[None], torch.zeros(1, LEVELS, 2), torch.zeros(1, LEVELS))
    assumed = with_assumed(bodies, column([2]), torch.tensor([48.0]), near)
    assert assumed.log_share[0, 0].tolist()[:2] == pytest.approx([0.0, math.log(SHARE_FLOOR)])


def test_a_body_that_slipped_off_the_lowest_one_leaves_no_gap() -> None:
    middle, _ = gaps_of(column([0, 2, 3, 4]), torch.tensor([0, 1, 2, 3, -1]))
    assert len(middle) == 0


SURE_BELOW = {0: {0: 0.9}, 1: {1: 0.9}}
HARDLY_SEEN = {2: {1: 0.08, 2: 0.1}}
FITS_WITHOUT_THE_BODY = {3: {2: 0.85, 3: 0.02}, 4: {3: 0.85, 4: 0.02}}


def test_a_body_that_is_hardly_seen_is_read_and_the_names_above_it_move() -> None:
    levels = levels_with(SURE_BELOW | HARDLY_SEEN | FITS_WITHOUT_THE_BODY, [0.05, 0.04, 0.05, 0.1, 0.9])
    chain = learned_chain()
    left_out = chain.choose(find_bodies(levels.log_share, levels.log_absent, levels.shapes, LEVEL_STRIDE))
    assert left_out.body[0, -1] == -1
    reading = read_spines(chain, levels)
    assert reading.boxes[0, :, 1].tolist() == pytest.approx(column([0, 1, 2, 3, 4])[:, 1].tolist(), abs=0.1)
    assert reading.presence[0, :4].min() > 0.5
    one_lower, as_named, one_higher = reading.shift_scores[0, SHIFTS - 1 : SHIFTS + 2].tolist()
    assert one_lower == as_named == one_higher  # the names are not certain
    assert reading.seen[0].tolist() == pytest.approx([0.9, 0.9, 0.18, 0.87, 0.0], abs=1e-4)  # the topmost one is absent


def test_a_filled_gap_does_not_remove_a_lowest_body_that_lies_far_below() -> None:
    """As a sacrum from which L5 has slipped."""
    places = [0, 10 / 6, 16 / 6, 22 / 6, 28 / 6]
    shares = {places[0]: {0: 0.9}, places[1]: {1: 0.9}, places[2]: {1: 0.08, 2: 0.1}, places[3]: {2: 0.85, 3: 0.02}}
    levels = levels_with(shares | {places[4]: {3: 0.85, 4: 0.02}}, [0.05, 0.04, 0.05, 0.1, 0.9])
    reading = read_spines(CentreChain(LEVELS), levels)
    assert reading.boxes[0, :4, 1].tolist() == pytest.approx(column(places)[:4, 1].tolist(), abs=0.1)
    assert reading.presence[0, :4].min() > 0.5


def test_a_level_without_a_body_is_not_found_though_most_paths_have_it() -> None:
    """The lowest level is seen at one of two places, or absent."""
    above = {place: {place: 0.9} for place in range(1, LEVELS)}
    share = levels_with(above, [0.44] + [0.02] * (LEVELS - 1))
    beside = share.log_share.clone()
    for column_ in (COLUMN - 2, COLUMN + 2):
        beside[0, 0, LOWEST_ROW, column_] = math.log(0.28)
    levels, chain = share._replace(log_share=beside), CentreChain(LEVELS)
    path = chain.choose(find_bodies(levels.log_share, levels.log_absent, levels.shapes, LEVEL_STRIDE))
    assert path.body[0, 0] == -1
    assert path.presence[0, 0] > 0.5
    assert read_spines(chain, levels).presence[0, 0] == pytest.approx(NOT_FOUND)


def test_a_film_in_a_batch_is_read_as_by_itself() -> None:
    with_gap = levels_with(SURE_BELOW | HARDLY_SEEN | FITS_WITHOUT_THE_BODY, [0.05, 0.04, 0.05, 0.1, 0.9])
    clear = levels_with({place: {place: 0.9} for place in range(LEVELS)}, [0.05] * LEVELS)
    both = Levels(*(torch.cat(parts) for parts in zip(with_gap, clear, strict=True)))
    chain = learned_chain()
    alone = [read_spines(chain, levels) for levels in (with_gap, clear)]
    for of_both, *of_each in zip(read_spines(chain, both), *alone, strict=True):
        torch.testing.assert_close(of_both, torch.cat(of_each))


def test_a_body_that_is_seen_on_a_disc_is_left_out_and_the_names_above_it_move() -> None:
    """Five bodies and one more between the second and the third: the network names all above it one too high."""
    shares = {0: {0: 0.9}, 1: {1: 0.9}, 1.5: {2: 0.9}, 2: {2: 0.3, 3: 0.6}, 3: {3: 0.3, 4: 0.6}}
    reading = read_spines(learned_chain(), levels_with(shares, [0.01] * LEVELS))
    rows = ((reading.boxes[0, :4, 1] + 0.5) / LEVEL_STRIDE - 0.5).round().tolist()
    assert rows == [LOWEST_ROW - CELLS_APART * place for place in (0, 1, 2, 3)]
