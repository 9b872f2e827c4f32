"""Evenly spaced samples."""

from __future__ import annotations

import pytest

from spondylo_ml.data.sampling import evenly_spaced


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (1, [0]), (2, [0, 9]), (4, [0, 3, 6, 9]), (10, list(range(10))), (99, list(range(10)))],
)
def test_a_sample_reaches_from_the_first_item_to_the_last(count: int, expected: list[int]) -> None:
    assert evenly_spaced(range(10), count) == expected


def test_no_item_is_taken_twice() -> None:
    for length in range(1, 40):
        for count in range(1, 45):
            sample = evenly_spaced(range(length), count)
            assert sample == sorted(set(sample))
            assert len(sample) == min(length, count)


def test_a_sample_of_nothing_is_empty() -> None:
    assert evenly_spaced([], 3) == []
