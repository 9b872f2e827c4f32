"""Faults of the outline of a vertebral body."""

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
def test_each_fault_of_an_outline_is_named(change: object, why: str) -> None:
    valid = np.array([[10.0, 10.0], [30.0, 10.0], [10.0, 30.0], [30.0, 30.0]])
    up = np.array([0.0, -30.0])
    assert outline_fault(valid, up) is None
    assert callable(change)
    assert outline_fault(change(valid), up) == why


def test_the_superior_edge_is_checked_along_the_spine_and_not_by_the_image() -> None:
    # Turned by 80 degrees the superior edge is not the upper one on the film, but still the one nearer the head.
    turn = np.deg2rad(80)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    body = np.array([[-10.0, -8.0], [10.0, -8.0], [-10.0, 8.0], [10.0, 8.0]]) @ matrix.T
    assert outline_fault(body, matrix @ np.array([0.0, -30.0])) is None
