"""Latency and memory of a model."""

from __future__ import annotations

import math

import numpy as np
import psutil
import pytest

from spondylo_ml.training.cost import latency_ms, peak_gpu_memory_mb, peak_memory_mb


def test_latency_is_the_median_of_the_calls_after_the_warm_up() -> None:
    # Three slow calls warm up, then 10, 30 and 20 ms; the clock is read before and after each.
    durations_s = [9.0, 8.0, 7.0, 0.010, 0.030, 0.020]
    clock = iter(
        [time for index, duration in enumerate(durations_s) for time in (100.0 * index, 100.0 * index + duration)]
    )
    calls: list[int] = []
    assert latency_ms([lambda: calls.append(1)] * len(durations_s), clock.__next__) == pytest.approx(20.0)
    assert len(calls) == len(durations_s)


def test_too_few_calls_have_no_latency() -> None:
    assert math.isnan(latency_ms([lambda: None] * 3))


def test_allocated_memory_raises_the_peak_which_never_falls() -> None:
    before = peak_memory_mb()
    below_peak = before * 1e6 - psutil.Process().memory_info().rss
    block = np.ones((int(max(below_peak, 0)) + 400_000_000) // 8)
    after = peak_memory_mb()
    del block
    assert after - before > 300
    assert peak_memory_mb() >= after
    assert math.isnan(peak_gpu_memory_mb()) or peak_gpu_memory_mb() > 0
