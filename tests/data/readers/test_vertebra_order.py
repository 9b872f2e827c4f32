"""Order of vertebrae without level names: as in the file if that is plausible, else with a remark."""

from __future__ import annotations

import numpy as np
import pytest
from spines import LOWER, rotated, stacked

from spondylo_ml.data.phantom import Slips, phantom_film
from spondylo_ml.data.readers.remarks import Remark
from spondylo_ml.data.readers.vertebra_order import (
    BY_HEIGHT,
    EITHER_END,
    OTHER_CHAIN,
    REVERSED,
    SHORTEST,
    order_from_sacrum,
)
from spondylo_ml.landmarks import MIRRORED_CORNERS, FloatArray


def fallen_l5(drop_px: float, forward: float, count: int, mirrored: bool, tilt_deg: float = 0.0) -> FloatArray:
    """(V, 4, 2) from S1 up: L5 `forward` bodies in front of S1 (behind it where negative) and lower than a disc above.

    The others stand on L5.
    """
    shift = np.array([-100.0 * forward, drop_px])
    bodies = [v.corners_xy + (shift if v.slot else 0.0) for v in stacked(*[0.0] * (count - 1))]
    corners = rotated(np.array(bodies), tilt_deg)
    return np.asarray(corners[:, list(MIRRORED_CORNERS)] * [-1.0, 1.0] + [500.0, 0.0]) if mirrored else corners


def moved(right_px: float, down_px: float) -> FloatArray:
    return np.asarray(np.add(LOWER, [right_px, down_px]))


def as_ordered(listed_xy: FloatArray) -> tuple[list[list[float]], list[Remark]]:
    """Centres in the order found, from the sacrum up, and the remarks."""
    order, remarks = order_from_sacrum(listed_xy)
    return listed_xy[order].mean(axis=1).round(6).tolist(), remarks


def centres(corners_xy: FloatArray) -> list[list[float]]:
    return [list(map(float, xy)) for xy in corners_xy.mean(axis=1).round(6)]


def test_the_order_of_the_file_is_kept_from_either_end_on_synthetic_spines_of_all_grades() -> None:
    crossing = 0
    for index in range(400):
        expected = np.stack([v.corners_xy for v in phantom_film(12, index, slips=Slips.EVEN).vertebrae])
        crossing += bool((np.diff(expected.mean(axis=1)[:, 1]) > 0).any())
        assert as_ordered(expected[::-1]) == (centres(expected), []), index
        assert as_ordered(expected) == (centres(expected), [Remark(REVERSED)] if len(expected) > 1 else []), index
    assert crossing > 0, "some would change places if sorted by height"


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("forward", [1.1, 1.3, -1.2])
@pytest.mark.parametrize(("drop_px", "tilt_deg"), [(60.0, 0.0), (110.0, 0.0), (150.0, 0.0), (60.0, 35.0)])
def test_a_vertebra_beside_the_sacrum_keeps_its_place_in_the_order(
    drop_px: float, tilt_deg: float, forward: float, mirrored: bool
) -> None:
    expected = fallen_l5(drop_px, forward, 6, mirrored, tilt_deg)
    for in_file in (expected[::-1], expected):
        ordered, remarks = as_ordered(in_file)
        assert ordered == centres(expected)
        assert {remark.reason for remark in remarks} <= {OTHER_CHAIN, REVERSED}


def test_an_order_by_height_despite_a_high_slip_is_a_doubt() -> None:
    expected = fallen_l5(150.0, 1.2, 6, mirrored=False)
    by_height = expected[np.argsort(expected.mean(axis=1)[:, 1])]
    assert centres(by_height[::-1]) != centres(expected)
    _, remarks = as_ordered(by_height)
    assert remarks == [Remark(OTHER_CHAIN, doubt=True)] or remarks == [Remark(SHORTEST, doubt=True)]


@pytest.mark.parametrize("order", [(0, 1, 3, 2, 4, 5), (3, 0, 5, 1, 4, 2), (1, 0, 2, 3, 4, 5)])
def test_an_implausible_order_is_replaced_by_the_shortest_chain_with_a_doubt(order: tuple[int, ...]) -> None:
    expected = np.array([v.corners_xy for v in stacked(0, 30, 0, 10, 0)])
    assert as_ordered(expected[list(order)]) == (centres(expected), [Remark(SHORTEST, doubt=True)])


def test_two_vertebrae_side_by_side_keep_the_order_of_the_file_with_a_doubt() -> None:
    beside = np.array([LOWER, moved(130, 0)])
    assert as_ordered(beside) == (centres(beside[::-1]), [Remark(EITHER_END, doubt=True)])


def test_labels_without_a_chain_are_ordered_by_height_with_a_doubt() -> None:
    star = np.array([LOWER, moved(0, -300), moved(300, -200), moved(0, -150), moved(-310, -160)])
    ordered, remarks = as_ordered(star[[0, 1, 2, 4, 3]])
    assert remarks == [Remark(BY_HEIGHT, doubt=True)]
    assert (np.diff(np.array(ordered)[:, 1]) <= 0).all()


def test_a_vertebra_listed_twice_does_not_disturb_the_order() -> None:
    expected = np.array([v.corners_xy for v in stacked(0, 0, 0, 0)])
    in_file = np.concatenate([expected[:3], expected[2:3] + 1.0, expected[3:]])[::-1]
    assert as_ordered(in_file) == (centres(in_file[::-1]), [])


def test_a_single_vertebra_has_no_order() -> None:
    assert as_ordered(LOWER[None]) == (centres(LOWER[None]), [])
