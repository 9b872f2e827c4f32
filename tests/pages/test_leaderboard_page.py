"""The leaderboard page of a benchmark and its tables."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

import pytest

from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.leaderboard import FAILED, FINISHED, BenchmarkRun, Leaderboard
from spondylo_ml.pages.leaderboard_page import cost_rows, leaderboard_page, quality_rows, quality_tables


def estimate(value: float, half: float) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, n=4, n_patients=2)


def finished_run(seed: int, mre: float, latency_ms: float) -> BenchmarkRun:
    absent = Estimate(value=math.nan, low=math.nan, high=math.nan, n=0, n_absent=9)
    numbers = {"mre_px512": estimate(mre, 0.5), "sdr_6px": estimate(40.0 + mre, 10.0), "grade_accuracy_all": absent}
    costs = {"latency_ms": latency_ms, "parameters": 8650192.0}
    return BenchmarkRun("first", "unet", seed, FINISHED, f"run{seed}", "", numbers, costs, "cpu", "d")


BOARD = Leaderboard(
    "two & more",
    "phantom films",
    "1 minute each",
    (
        finished_run(0, 4.0, 10.0),
        finished_run(1, 6.0, 14.0),
        BenchmarkRun("second", "resnet50", 0, FAILED, "run2", "a <b> loss"),
    ),
    {"mre_px512": estimate(20.0, 1.0)},
)


def test_a_cell_has_mean_interval_and_spread_or_none() -> None:
    header, first, mean_shape, second = quality_rows(BOARD)
    assert first[:3] == ["first", "2/2", "5.00 [4.50, 5.50] sd 1.41 (4.00 to 6.00)"]
    assert first[header.index("SDR@6 %")] == "45.0 [35.0, 55.0] sd 1.4 (44.0 to 46.0)"
    assert first[header.index("grade right %")] == "none (9 absent)"
    assert mean_shape[:3] == ["mean shape", "", "20.00 [19.00, 21.00]"]
    assert second[:3] == ["second", "0/1", "none"]


def test_the_number_of_seeds_is_stated_where_some_have_no_value() -> None:
    first, second, _ = BOARD.children
    third = replace(second, seed=2, numbers={"mre_px512": estimate(7.0, 0.5)})
    header, row, *_ = quality_rows(replace(BOARD, children=(first, second, third)))
    assert row[header.index("SDR@6 %")] == "45.0 [35.0, 55.0] sd 1.4 (44.0 to 46.0, n 2)"
    assert row[header.index("MRE px512")].endswith("sd 1.53 (4.00 to 7.00)")


@pytest.mark.parametrize("synthetic", [False, True])
def test_synthetic_films_are_called_that(synthetic: bool) -> None:
    page = leaderboard_page(replace(BOARD, synthetic=synthetic))
    assert ("<b>Synthetic films.</b>" in page) == synthetic


def test_selected_metrics_can_be_shown_without_the_spread() -> None:
    assert quality_rows(BOARD, ["mre_px512"], with_spread=False)[:2] == [
        ["entry", "seeds", "MRE px512"],
        ["first", "2/2", "5.00 [4.50, 5.50]"],
    ]


def test_costs_have_their_spread_between_seeds() -> None:
    header, first, second = cost_rows(BOARD)
    assert first[header.index("time per film ms")] == "12.0 ±2.8"
    assert first[header.index("parameters")] == "8,650,192"
    assert second[1:] == ["none"] * (len(header) - 1)


def test_the_page_contains_its_charts_and_escapes_texts() -> None:
    page = leaderboard_page(BOARD)
    assert "<h1>Benchmark: two &amp; more</h1>" in page
    assert "a &lt;b&gt; loss" in page
    assert "standard deviation 1.41 px512, 1 degree(s) of freedom" in page
    assert len(re.findall(r"Plotly\.newPlot\(", page)) >= 3
    assert not re.search(r'<script[^>]+src="http', page), "no script is loaded from the network"
    assert "not a medical device" in page


def chart_layouts(page: str) -> list[dict[str, Any]]:
    """Plotly layouts of the figures of a page, in order."""
    layouts = []
    for call in re.finditer(r"Plotly\.newPlot\(\s*\"[^\"]+\",\s*", page):
        _, end = json.JSONDecoder().raw_decode(page, call.end())
        layout, _ = json.JSONDecoder().raw_decode(page, re.compile(r",\s*").match(page, end).end())
        layouts.append(layout)
    return layouts


def test_errors_that_span_more_than_a_factor_of_ten_have_a_logarithmic_axis() -> None:
    def axes(mre_px512: float) -> list[str]:
        board = replace(
            BOARD, children=(finished_run(0, 4.0, 10.0), replace(finished_run(0, mre_px512, 9.0), entry="second"))
        )
        error, rates, cost = chart_layouts(leaderboard_page(board))
        assert rates["yaxis"]["range"] == [0, 100]
        return [error["xaxis"]["type"], cost["yaxis"]["type"]]

    assert axes(39.0) == ["linear", "linear"]
    assert axes(41.0) == ["log", "log"]


def test_metrics_are_in_three_tables_with_units_in_the_header() -> None:
    page = leaderboard_page(BOARD)
    heads = [re.findall("<th>(.*?)</th>", table) for table in re.findall("<table>.*?</table>", page, re.S)[:3]]
    assert [header[2:] for header in heads] == [
        ["MRE px512", "median px512"],
        ["SDR@6 %", "SDR@12 %", "SDR@18 %", "SDR@24 %"],
        [*(f"instance SDR@{k} px640 %" for k in (5, 10, 15)), "presence F1 %", "grade right %"],
    ]
    assert "<td>5.00 [4.50, 5.50]<br><small>sd 1.41 (4.00 to 6.00)</small></td>" in page
    assert '"SDR@6","SDR@12"' in page.replace(" ", "")


def test_entries_have_ranks_and_those_that_did_not_run_have_no_row_among_the_results() -> None:
    page = leaderboard_page(BOARD)
    first, *_ = re.findall("<table>.*?</table>", page, re.S)
    rows = [re.findall("<td[^>]*>(.*?)</td>", row)[:2] for row in re.findall("<tr>.*?</tr>", first, re.S)[1:]]
    assert rows == [["1", "first"], ["", "mean shape"]]
    assert "<td>second</td>" in page, "in the table of training runs"


def test_metrics_of_ap_films_have_a_table_if_there_are_such_films() -> None:
    first, *others = BOARD.children
    ap = {"nmse": estimate(0.0001284, 0.00002), "or_20px704": estimate(1.718, 0.5)}
    board = replace(BOARD, children=(replace(first, numbers={**first.numbers, **ap}), *others))
    assert [len(quality_tables(each)) for each in (BOARD, board)] == [3, 4]
    rows = quality_rows(board, quality_tables(board)[3], with_spread=False)
    assert rows[0][2:] == ["NMSE", "OR20 %", "OR40 %", "Cobb SMAPE %", "Cobb CMAE °", "Cobb ED °", "Cobb MD °"]
    assert rows[1] == ["first", "2/2", "0.000128 [0.000108, 0.000148]", "1.72 [1.22, 2.22]", *["none"] * 5]
    assert "<th>NMSE</th>" in leaderboard_page(board)
    assert "<th>NMSE</th>" not in leaderboard_page(BOARD)


def test_a_benchmark_without_a_finished_run_has_a_page() -> None:
    page = leaderboard_page(Leaderboard("none", "films", "1 minute", (BenchmarkRun("a", "unet", 0),)))
    assert "not run" in page
