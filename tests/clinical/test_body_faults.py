"""Faults of bodies, each made by hand, of several bodies at once."""

from __future__ import annotations

import numpy as np
import pytest

from spondylo_ml.clinical.body_faults import PLATE_FAULTS, WHOLE_FAULTS, plate_fault, whole_fault
from spondylo_ml.landmarks import FloatArray

NAN = float("nan")
# Superior anterior and posterior, inferior anterior and posterior; x points forward, y up.
WHOLE = np.array([[10.0, 8.0], [0.0, 8.0], [10.0, 0.0], [0.0, 0.0]])


def _with(corner: int, x: float, y: float) -> FloatArray:
    body = WHOLE.copy()
    body[corner] = x, y
    return body


BODIES = {
    "whole": (WHOLE, 0, 0, 0),
    "superior anterior corner absent": (_with(0, NAN, NAN), 1, 0, 1),
    "inferior posterior corner absent": (_with(3, NAN, NAN), 0, 1, 1),
    "superior endplate of a tenth of the longest edge": (_with(0, 1.0, 8.0), 2, 0, 0),
    "superior corners coincide": (_with(0, 0.0, 8.0), 2, 3, 3),
    "no height behind": (_with(1, 0.0, 0.0), 3, 3, 2),
    "superior corners exchanged, so that the walls cross": (WHOLE[[1, 0, 2, 3]], 3, 3, 2),
    "nothing": (np.full((4, 2), NAN), 1, 1, 1),
}


@pytest.mark.parametrize(("name", "column"), [("superior", 1), ("inferior", 2)])
def test_the_fault_of_an_endplate(name: str, column: int) -> None:
    bodies = np.stack([row[0] for row in BODIES.values()])
    faults = plate_fault(bodies, name, 0.2)  # type: ignore[arg-type]
    assert dict(zip(BODIES, faults.tolist(), strict=True)) == {key: row[column] for key, row in BODIES.items()}
    assert [int(plate_fault(body, name, 0.2)) for body in bodies] == faults.tolist()  # type: ignore[arg-type]
    assert faults.max() < len(PLATE_FAULTS)


def test_the_fault_of_a_whole_body() -> None:
    bodies = np.stack([row[0] for row in BODIES.values()])
    faults = whole_fault(bodies)
    assert dict(zip(BODIES, faults.tolist(), strict=True)) == {key: row[3] for key, row in BODIES.items()}
    assert [int(whole_fault(body)) for body in bodies] == faults.tolist()
    assert faults.max() < len(WHOLE_FAULTS)


@pytest.mark.parametrize(("share", "fault"), [(0.49, 0), (0.5, 2)])
def test_an_endplate_of_exactly_the_limit_is_degenerate(share: float, fault: int) -> None:
    body = _with(0, 5.0, 8.0)  # 5 long; the longest edge is the inferior endplate, 10 long
    assert int(plate_fault(body, "superior", share)) == fault
