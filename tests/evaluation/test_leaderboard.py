"""The leaderboard of hand-written child runs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.leaderboard import (
    CUT,
    FAILED,
    FINISHED,
    MEAN_SHAPE,
    METRICS,
    BenchmarkRun,
    Leaderboard,
    children_table,
    entries_table,
    estimate_over_seeds,
    pooled_sd,
    spread_statistics,
)


def estimate(value: float, half_width: float = 1.0, n: int = 40) -> Estimate:
    return Estimate(value=value, low=value - half_width, high=value + half_width, n=n, n_patients=5)


def child(entry: str, seed: int, mre: float, **costs: float) -> BenchmarkRun:
    numbers = {"mre_px512": estimate(mre), "sdr_6px": estimate(50 + mre)}
    return BenchmarkRun(entry, "unet", seed, FINISHED, f"run-{entry}-{seed}", "", numbers, costs, "cpu", "digest")


def board(*children: BenchmarkRun) -> Leaderboard:
    return Leaderboard("test", "films", "1 minute each", children, {"mre_px512": estimate(20.0, 3.0)})


BOARD = board(
    child("slow", 0, 10.0, latency_ms=30.0),
    child("quick", 0, 4.0, latency_ms=10.0),
    child("slow", 1, 14.0, latency_ms=50.0),
    replace(child("quick", 1, 0.0), state=FAILED, reason="a loss", numbers={}, costs={}),
    BenchmarkRun("never", "unet", 0),
    BenchmarkRun("never", "unet", 1, CUT, "run-never-1", "cut off"),
)


def test_entries_and_the_mean_shape_are_ranked_by_mean_and_those_without_results_come_last() -> None:
    table = entries_table(BOARD)
    assert table["entry"].tolist() == ["quick", "slow", MEAN_SHAPE, "never"]
    assert table["mre_px512"].tolist()[:3] == [4.0, 12.0, 20.0]
    assert math.isnan(table["mre_px512"][3])
    assert table["n_planned"].tolist() == [2, 2, 0, 2]
    assert table["n_finished"].tolist() == [1, 2, 0, 0]
    assert table["n_failed"].tolist() == [1, 0, 0, 0]


def test_an_entry_has_the_mean_and_limits_over_its_seeds_and_their_spread() -> None:
    slow = entries_table(BOARD).set_index("entry").loc["slow"]
    assert (slow["mre_px512_low"], slow["mre_px512_high"]) == (11.0, 13.0)
    assert slow["mre_px512_sd"] == pytest.approx(math.sqrt(8))
    assert (slow["mre_px512_min"], slow["mre_px512_max"], slow["mre_px512_n_seeds"]) == (10.0, 14.0, 2)
    assert (slow["mre_px512_n"], slow["mre_px512_n_absent"]) == (40, 0)
    assert (slow["latency_ms"], slow["latency_ms_min"], slow["latency_ms_max"]) == (40.0, 30.0, 50.0)


def test_one_seed_has_no_spread_and_a_metric_not_measured_is_nan_with_count_0() -> None:
    quick = entries_table(BOARD).set_index("entry").loc["quick"]
    assert math.isnan(quick["mre_px512_sd"])
    assert quick["mre_px512_n_seeds"] == 1
    assert math.isnan(quick["grade_accuracy_all"])
    assert quick["grade_accuracy_all_n"] == quick["grade_accuracy_all_n_seeds"] == 0
    assert math.isnan(quick["peak_gpu_memory_mb"])


def test_every_training_run_has_a_row_with_state_and_reason() -> None:
    table = children_table(BOARD)
    assert table["state"].tolist() == [FINISHED, FINISHED, FINISHED, FAILED, "not run", CUT]
    assert table["reason"].tolist() == ["", "", "", "a loss", "", "cut off"]
    assert set(METRICS) <= set(table.columns)
    assert table["sdr_6px"].tolist()[:3] == [60.0, 54.0, 64.0]
    assert table["mre_px512"].isna().tolist() == [False, False, False, True, True, True]


def test_absent_estimates_are_left_out_of_the_mean_and_counted() -> None:
    absent = Estimate(value=math.nan, low=math.nan, high=math.nan, n=0, n_absent=7)
    assert estimate_over_seeds([absent, estimate(3.0)]).value == 3.0
    assert estimate_over_seeds([absent, estimate(3.0)]).n_absent == 0
    mean = estimate_over_seeds([absent])
    assert math.isnan(mean.value)
    assert (mean.n, mean.n_absent) == (0, 7)
    no_interval = Estimate(value=5.0, low=math.nan, high=math.nan, n=4)
    assert math.isnan(estimate_over_seeds([no_interval, estimate(3.0)]).low)


def test_the_spread_without_values_is_nan_with_a_count() -> None:
    assert spread_statistics([1.0, math.nan, 3.0]) == {
        "sd": pytest.approx(math.sqrt(2)),
        "min": 1.0,
        "max": 3.0,
        "n_seeds": 2.0,
    }
    assert spread_statistics([])["n_seeds"] == 0
    assert all(math.isnan(spread_statistics([math.nan])[name]) for name in ("sd", "min", "max"))


def test_the_standard_deviation_between_seeds_is_pooled_over_entries() -> None:
    # Variances 8 (1 degree of freedom) and 1 (2 degrees): (8 + 2 * 1) / 3.
    three = board(*BOARD.children[:3], *(child("other", seed, mre) for seed, mre in enumerate((6.0, 7.0, 8.0))))
    value, freedom = pooled_sd(three)
    assert (value, freedom) == (pytest.approx(math.sqrt(10 / 3)), 3)
    value, freedom = pooled_sd(board(child("quick", 0, 4.0)))
    assert math.isnan(value)
    assert freedom == 0


def test_runs_that_cannot_be_compared_get_a_remark() -> None:
    comparable = board(child("a", 0, 1.0), child("a", 1, 2.0))
    assert comparable.remarks() == []
    mixed = board(comparable.children[0], replace(comparable.children[1], data_digest="x", device="cuda"))
    films, devices = mixed.remarks()
    assert "not all training runs were evaluated on the same validation films" in films
    assert "different devices (cpu; cuda)" in devices
    assert "without a spread: quick, never" in BOARD.remarks()[0]
