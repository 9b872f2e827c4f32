"""Levels of any depth as 8 bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.data.grey_levels import spread_levels


@given(
    lowest=st.integers(-(2**15), 2**15),
    span=st.integers(1, 2**18),  # beyond 2^16 no table is made
    seed=st.integers(0, 2**16),
)
def test_whole_levels_are_spread_like_the_same_levels_as_floats(lowest: int, span: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    levels = (lowest + span * random.random((12, 9)) ** 2).astype(np.int32)
    used = random.random(levels.shape) < 0.8
    grey, remarks = spread_levels(levels, used)
    expected, expected_remarks = spread_levels(levels.astype(np.float64), used)
    np.testing.assert_array_equal(grey, expected)
    assert (grey.dtype, remarks) == (np.uint8, expected_remarks)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.int64, np.float32])
def test_the_whole_range_of_a_ramp_is_used(dtype: type) -> None:
    ramp = np.arange(-2000 if np.dtype(dtype).kind != "u" else 0, 2001).astype(dtype)[None]
    grey, remarks = spread_levels(ramp)
    assert remarks == ()
    assert (grey[0, 0], grey[0, -1]) == (0, 255)
    assert (np.diff(grey[0].astype(int)) >= 0).all()
    assert abs(int(grey[0, ramp.shape[1] // 2]) - 127.5) <= 0.5
