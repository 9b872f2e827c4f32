"""What a model costs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondylo_ml.training.cost import latency_ms, peak_gpu_memory_mb, peak_memory_mb


def test_latency_is_the_median_of_the_calls_after_the_warm_up() -> None:
    # Three slow calls warm up, then 10, 30 and 20 ms; the clock is read before and after each.
    took = [9.0, 8.0, 7.0, 0.010, 0.030, 0.020]
    clock = iter([t for index, s in enumerate(took) for t in (100.0 * index, 100.0 * index + s)])
    made: list[int] = []
    assert latency_ms([lambda: made.append(1)] * len(took), clock.__next__) == pytest.approx(20.0)
    assert len(made) == len(took)


def test_too_few_calls_have_no_latency() -> None:
    assert math.isnan(latency_ms([lambda: None] * 3))


def test_memory_held_shows_in_the_peak_and_stays_there() -> None:
    before = peak_memory_mb()
    held = np.ones(int(before * 1e6) // 8 + 50_000_000)
    after = peak_memory_mb()
    del held
    assert after - before > 300
    assert peak_memory_mb() >= after
    assert math.isnan(peak_gpu_memory_mb()) or peak_gpu_memory_mb() > 0
