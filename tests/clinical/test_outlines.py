"""What makes four corners no vertebral body."""

from __future__ import annotations

import numpy as np
import pytest

from spondylo_ml.clinical.outlines import outline_fault


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda q: q[[2, 3, 0, 1]], "its superior edge is not the one nearer the head"),
        (lambda q: q[[1, 0, 3, 2]], "its left and right corners are exchanged"),
        (lambda q: q[[0, 1, 3, 2]], "its outline crosses itself"),
        (lambda q: np.linspace(q[0], q[1], 4), "its corners lie on a line"),
    ],
)
def test_an_impossible_body_is_named_for_what_is_wrong_with_it(change: object, why: str) -> None:
    good = np.array([[10.0, 10.0], [30.0, 10.0], [10.0, 30.0], [30.0, 30.0]])
    up = np.array([0.0, -30.0])
    assert outline_fault(good, up) is None
    assert callable(change)
    assert outline_fault(change(good), up) == why


def test_every_vertebra_of_a_tilted_sacrum_is_judged_along_the_spine_and_not_by_the_image() -> None:
    # Turned by 80 degrees the superior edge is no longer the higher one, but it is still nearer the next vertebra.
    turn = np.deg2rad(80)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    body = np.array([[-10.0, -8.0], [10.0, -8.0], [-10.0, 8.0], [10.0, 8.0]]) @ matrix.T
    assert outline_fault(body, matrix @ np.array([0.0, -30.0])) is None
