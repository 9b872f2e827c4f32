"""Chart of the causes of errors."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.pages import colours
from spondylo_ml.pages.figures.charts import new_figure, picture_of
from spondylo_ml.pages.figures.labels import Picture

PANELS = (
    ("share_of_corners_percent", "share of corners, %"),
    ("share_of_error_percent", "share of the summed error, %"),
    ("mre_fixed_px512", "MRE if it were fixed, px512"),
)

CAUSES = (
    "Localisation: the right corner, imprecisely placed. Level shift: a corner of another vertebra. Side flip: the "
    "other end of the same edge. Corner swap: another corner of the vertebra. Missed: no prediction. False: no true "
    "corner is near."
)


def draw_anatomy(anatomy: Mapping[str, Mapping[str, Estimate]]) -> Picture:
    """(H, W, 3) RGB chart: per cause its share of corners and of error, and the MRE without it, with intervals."""
    kinds = list(anatomy)
    rows = np.arange(len(kinds))
    figure = new_figure(11, 3.2)
    for axes, (name, label) in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS, strict=True):
        estimates = [anatomy[kind][name] for kind in kinds]
        values = np.nan_to_num([e.value for e in estimates])
        spread = np.nan_to_num([[e.value - e.low for e in estimates], [e.high - e.value for e in estimates]])
        axes.barh(
            rows,
            values,
            xerr=np.maximum(spread, 0),
            color=colours.BARS,
            ecolor=colours.INTERVAL,
            capsize=2,
            height=0.65,
        )
        reach = np.nan_to_num([e.high for e in estimates], nan=0.0)
        for row, estimate in enumerate(estimates):
            text = "none" if math.isnan(estimate.value) else f" {estimate.value:.1f}"
            axes.text(max(values[row], reach[row]), row, text, va="center", fontsize=8)
        axes.set_xlabel(label)
        axes.margins(x=0.16)
        axes.set_xlim(left=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_yticks(rows, [kind.replace("_", " ") for kind in kinds])
    figure.axes[0].invert_yaxis()
    return picture_of(figure)
