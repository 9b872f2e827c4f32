"""Chart of coverage, and of accuracy against referral."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.uncertainty_numbers import ALL, curve_points
from spondylo_ml.pages import colours
from spondylo_ml.pages.figures.charts import new_figure, picture_of
from spondylo_ml.pages.figures.labels import Picture

Table = Mapping[str, Mapping[str, Estimate]]

FEWEST_DRAWN = 20
"""Curves of fewer levels show only noise and are not drawn."""


def draw_uncertainty(
    before: Mapping[float, float], after: Mapping[float, float], tables: Mapping[str, Table], stated: float
) -> Picture:
    """(H, W, 3) RGB chart: observed against nominal coverage of corners, coverage of slips, and referral curves.

    Args:
        before: share of true corners inside each nominal region of the model's covariances.
        after: the same share after calibration.
        tables: from `uncertainty_numbers.by_group`.
        stated: coverage that the slip sets are calibrated for.
    """
    figure = new_figure(13, 9)
    (corners, slips), (by_level, by_grade) = figure.subplots(2, 2)
    _draw_corners(corners, before, after)
    _draw_slips(slips, {**tables["uncertainty_by_level"], **tables["uncertainty_by_grade"]}, stated)
    referral = tables["referral"]
    for axes, kind in ((by_level, "level"), (by_grade, "grade")):
        _draw_referral(axes, {ALL: referral[ALL]} | {name: referral[name] for name in tables[f"uncertainty_by_{kind}"]})
    titles = ("Corners: coverage of their regions", "Slips and grades: coverage, and number of levels",
              "Accuracy against referral, by level", "Accuracy against referral, by true grade")  # fmt: skip
    for axes, title in zip((corners, slips, by_level, by_grade), titles, strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=6)
        if axes.get_legend_handles_labels()[0]:  # outside, so that it covers nothing
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    return picture_of(figure)


def _draw_corners(axes: Any, before: Mapping[float, float], after: Mapping[float, float]) -> None:
    axes.plot([0, 100], [0, 100], color=colours.DIAGONAL, linewidth=1)
    for name, coverage, colour in (
        ("before calibration", before, colours.BEFORE),
        ("after calibration", after, colours.AFTER),
    ):
        axes.plot([100 * p for p in coverage], [100 * c for c in coverage.values()], "o-", color=colour, label=name)
    axes.set(xlabel="nominal coverage of corners, %", ylabel="true corners inside, %", xlim=(45, 100), ylim=(0, 102))


def _draw_slips(axes: Any, groups: Table, stated: float) -> None:
    rows = np.arange(len(groups))
    for offset, name, label, colour in (
        (-0.15, "slip_set_coverage", "true slip in the set", colours.BARS),
        (0.15, "grade_set_coverage", "true grade among the grades", colours.SECOND),
    ):
        estimates = [numbers[name] for numbers in groups.values()]
        values = np.array([e.value for e in estimates])
        spread = np.nan_to_num([[e.value - e.low for e in estimates], [e.high - e.value for e in estimates]])
        axes.errorbar(rows + offset, values, yerr=np.maximum(spread, 0), fmt="o", color=colour, label=label, capsize=2)
    axes.axhline(100 * stated, color=colours.STATED, linewidth=1, linestyle="--")
    counts = [numbers["slip_set_coverage"].n for numbers in groups.values()]
    axes.set_xticks(rows, [f"{name}: {n}" for name, n in zip(groups, counts, strict=True)], fontsize=7, rotation=45)
    axes.set(ylabel=f"coverage, % (stated: {100 * stated:g})", ylim=(40, 102))


def _draw_referral(axes: Any, groups: Table) -> None:
    for name, numbers in groups.items():
        points = curve_points(numbers)
        if points[-1][1].n >= FEWEST_DRAWN:
            style = {"color": "black", "linewidth": 2} if name == ALL else {"linewidth": 1}
            axes.plot([share for share, _ in points], [e.value for _, e in points], label=name, **style)
    axes.set(xlabel="surest levels kept, the others referred, %", ylabel="grade accuracy of those kept, %")
