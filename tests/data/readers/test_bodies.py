"""Vertebrae of a label without names of levels."""

from __future__ import annotations

import numpy as np
import pytest
from builders import square

from spondylo_ml.data.readers.bodies import vertebrae_along_spine
from spondylo_ml.errors import FileError


@pytest.mark.parametrize(
    ("first_slot", "count", "fits"), [(0, 20, True), (0, 21, False), (1, 19, True), (1, 20, False)]
)
def test_more_vertebrae_than_levels_are_refused(first_slot: int, count: int, fits: bool) -> None:
    """There are names from S1 to C6."""
    corners = np.stack([square(slot, 100, 1000 - 40 * slot, 20).corners_xy for slot in range(count)])
    if fits:
        vertebrae, _ = vertebrae_along_spine(corners, np.ones((count, 4), dtype=bool), first_slot, "a.png")
        assert vertebrae[-1].level == "C6"
    else:
        with pytest.raises(FileError, match=f"{count} vertebrae, but there are {20 - first_slot} levels, .* to C6"):
            vertebrae_along_spine(corners, np.ones((count, 4), dtype=bool), first_slot, "a.png")
