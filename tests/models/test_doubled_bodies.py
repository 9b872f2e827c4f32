"""A body that the path of a film reads twice is found, and the film read without it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from spondylo_ml.models.centre_chain import SHARE_FLOOR, Bodies
from spondylo_ml.models.doubled_bodies import SHORTEST_STEP, doubled_body
from spondylo_ml.models.spine_gaps import without_body

STEP_PX = 50.0


def spine(*places: float) -> Tensor:
    """(B, 5) boxes with centres at these places, in steps, of a straight spine; 0 is the lowest."""
    boxes = torch.zeros(len(places), 5)
    boxes[:, 1] = torch.tensor([400 - STEP_PX * place for place in places])
    return boxes


@pytest.mark.parametrize(
    ("places", "index"),
    [
        ((0, 1, 1.4, 2, 3, 4), 2),  # a body on the disc above the second one
        ((0, 1, 1.6, 2, 3, 4), 2),
        ((0, 1, 2, 2.5, 3, 4), 3),
        ((0, 1, 2, 3, 4), None),
        ((0, 1, 1.7, 2.7, 3.7, 4.7), None),  # a narrow disc and a low body
        ((0, 0.5, 1.5, 2.5, 3.5), None),  # the sacrum
        ((0, 1, 2, 3, 3.4), None),  # the topmost body: no name depends on it
        ((0, 1, 1.4), None),  # too little to compare with
    ],
)
def test_a_body_between_two_others_is_one_of_them_read_again(places: tuple[float, ...], index: int | None) -> None:
    path = torch.tensor([*range(len(places)), -1])
    assert doubled_body(spine(*places), path) == index


def test_the_index_is_that_of_the_body_not_of_the_level() -> None:
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    boxes = torch.zeros(6, 5)
    boxes[order] = spine(0, 1, 1.5, 2, 3, 4)
    assert doubled_body(boxes, torch.tensor([-1, 4, 2, 0, 5, 1, 3])) == 0


@pytest.mark.parametrize(("step", "is_doubled"), [(SHORTEST_STEP - 0.01, True), (SHORTEST_STEP + 0.01, False)])
def test_the_limit_is_relative_to_the_median_of_the_other_steps(step: float, is_doubled: bool) -> None:
    boxes = spine(0, 1, 2, 2 + step, 3 + step, 4 + step)
    assert (doubled_body(boxes, torch.arange(6)) is not None) == is_doubled


def test_a_body_that_is_left_out_is_no_level_any_more() -> None:
    bodies = Bodies(spine(0, 1, 2)[None], torch.full((1, 4, 3), -1.0), torch.zeros(1, 4))
    left = without_body(bodies, 1)
    assert left.log_share[0, :, 1].tolist() == pytest.approx([math.log(SHARE_FLOOR)] * 4)
    assert left.log_share[0, :, [0, 2]].tolist() == [[-1.0, -1.0]] * 4
    assert bodies.log_share.unique().tolist() == [-1.0], "the others' bodies stay as they were"
