"""Interactive charts of one run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from spondylo_ml.pages import colours

HEIGHT_PX = 380
LOG_TICKS = [digit * 10**power for power in range(-1, 5) for digit in (1, 2, 5)]
MOST_EPOCH_TICKS = 12
LOSS = "loss"
"""Curves whose name ends so have the right axis."""


def learning_curves(curves: Mapping[str, Sequence[tuple[int, float]]]) -> Any:
    """Plotly figure of (epoch, value) by name; errors on the left axis, losses on the right."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for index, (name, points) in enumerate(curves.items()):
        figure.add_scatter(
            x=[epoch for epoch, _ in points],
            y=[value for _, value in points],
            name=name,
            mode="lines+markers" if len(points) < 3 else "lines",
            line={"color": colours.of_run(index), "dash": "dot" if name.endswith(LOSS) else "solid"},
            yaxis="y2" if name.endswith(LOSS) else "y",
        )
    errors = [v for name, points in curves.items() if not name.endswith(LOSS) for _, v in points]
    wide = bool(errors) and min(errors) > 0 and max(errors) > 10 * min(errors)
    axis = {"type": "log", "tickvals": LOG_TICKS} if wide else {"rangemode": "tozero"}
    figure.update_layout(
        yaxis={"title": "error, px512", **axis},
        yaxis2={
            "title": "loss",
            "overlaying": "y",
            "side": "right",
            "showgrid": False,
            "nticks": 6,
            "ticks": "outside",
            "tickmode": "auto",
        },
        xaxis={"title": "epoch", **whole_epochs(curves.values())},
    )
    return laid_out(figure)


def whole_epochs(curves: Iterable[Sequence[tuple[int, float]]]) -> dict[str, int]:
    """Axis options for (epoch, value): no ticks between the epochs of a short training run."""
    last = max((epoch for points in curves for epoch, _ in points), default=0)
    return {"dtick": 1} if last <= MOST_EPOCH_TICKS else {}


def bland_altman(levels: pd.DataFrame) -> Any:
    """Plotly figure of predicted minus true slip over their mean, one point per level.

    After Bland and Altman, Lancet 1986; the limits are the mean and 1.96 standard deviations around it.
    """
    import plotly.graph_objects as go

    rows = levels[levels["pred_slip_percent"].notna()]
    true, predicted = (rows[f"{who}_slip_percent"].to_numpy(dtype=np.float64) for who in ("true", "pred"))
    difference = predicted - true
    figure = go.Figure()
    for index, level in enumerate(sorted(rows["level"].unique())):
        mask = (rows["level"] == level).to_numpy()
        figure.add_scatter(
            x=((true + predicted) / 2)[mask],
            y=difference[mask],
            mode="markers",
            name=str(level),
            text=rows["film_id"][mask].tolist(),
            marker={"color": colours.of_run(index), "size": 6, "opacity": 0.7},
            hovertemplate="%{text}<br>mean %{x:.1f} %, difference %{y:.1f} points<extra></extra>",
        )
    if len(rows) > 1:
        mean, spread = float(difference.mean()), float(difference.std(ddof=1))
        for value, dash in ((mean, "solid"), (mean - 1.96 * spread, "dash"), (mean + 1.96 * spread, "dash")):
            figure.add_hline(y=value, line={"color": colours.STATED, "width": 1, "dash": dash})
    figure.update_xaxes(title="mean of predicted and true slip, %").update_yaxes(title="predicted minus true, points")
    return laid_out(figure)


def laid_out(figure: Any, height_px: int = HEIGHT_PX) -> Any:
    """The figure with the look of all charts on pages; its legend is above, where it covers nothing."""
    return figure.update_layout(
        template="plotly_white",
        height=height_px,
        margin={"l": 60, "r": 55, "t": 40, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        showlegend=True,
    )
