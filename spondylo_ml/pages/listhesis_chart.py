"""The ROC of listhesis in a reader study."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from spondylo_ml.evaluation.listhesis_roc import ListhesisRoc, Point
from spondylo_ml.pages import colours
from spondylo_ml.pages.comparison_page import interval_text
from spondylo_ml.pages.render import chart_html


def roc_note(roc: ListhesisRoc) -> str:
    """What the curve is of, its area, and the levels that are in no curve."""
    counts = roc.counts
    area = f"No curve: {roc.reason}." if roc.reason else f"Area under the curve {interval_text(roc.auc, 3)}."
    measured = (
        f"{counts.n_with} levels of grade I or more and {counts.n_without} of grade 0 by the consensus of all readers"
    )
    left_out = (
        f"{counts.n_withheld_with} and {counts.n_withheld_without} more whose slip the model withheld, and "
        f"{counts.n_ungraded} without a consensus grade, are in no curve"
    )
    points = (
        "A filled point is a reader against the consensus of the others, the open one of the same colour the model at "
        "the limit of grade I, against the same and on the same levels; lines are 95 % intervals"
    )
    return f"{area} {measured}; {left_out}. The curve is of the slip's size, whichever way it goes. {points}."


def points_rows(roc: ListhesisRoc) -> list[list[str]]:
    """A head, then for each reader the sensitivity and specificity of the reader and of the model beside, percent."""
    rows = [["reader", "sensitivity, %", "model's", "specificity, %", "model's"]]
    for reader, point in roc.readers.items():
        model = roc.model[reader]
        cells = (point.sensitivity, model.sensitivity, point.specificity, model.specificity)
        rows.append([reader, *(f"{interval_text(e, 1)}\nn {e.n}, without {e.n_absent}" for e in cells)])
    return rows


def roc_chart(roc: ListhesisRoc) -> Markup:
    """The curve, the readers' points, and the model's point beside each."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_scatter(
        x=[0, 100], y=[0, 100], mode="lines", hoverinfo="skip", showlegend=False,
        line={"color": "#999", "dash": "dot", "width": 1},
    )  # fmt: skip
    if not roc.reason:
        figure.add_scatter(
            x=(100 - roc.curve["specificity_percent"]).tolist(), y=roc.curve["sensitivity_percent"].tolist(),
            customdata=roc.curve["least_slip_percent"].tolist(), mode="lines", name="model",
            line={"color": "#333", "width": 2},
            hovertemplate="slip of %{customdata:.1f} % or more<br>sensitivity %{y:.1f} %<br>"
            "1 - specificity %{x:.1f} %<extra></extra>",
        )  # fmt: skip
    for index, reader in enumerate(roc.readers):
        colour = colours.of_run(index)
        _add_point(figure, f"reader {reader}", roc.readers[reader], colour, "circle")
        _add_point(figure, f"model, others of {reader}", roc.model[reader], colour, "circle-open")
    figure.update_xaxes(title="1 - specificity, %", range=[-2, 102])
    figure.update_yaxes(title="sensitivity, %", range=[-2, 102])
    figure.update_layout(template="plotly_white", height=480, margin={"l": 60, "r": 20, "t": 40, "b": 50})
    return chart_html(figure)


def _add_point(figure: Any, name: str, point: Point, colour: str, symbol: str) -> None:
    """A point with its intervals; none if there is no level of one of the two kinds."""
    y, x = point.sensitivity, point.specificity
    if not (y.n and x.n):
        return
    figure.add_scatter(
        x=[100 - x.value], y=[y.value], mode="markers", name=name,
        error_y={**_ends(y.high - y.value, y.value - y.low), "color": colour},
        error_x={**_ends(x.value - x.low, x.high - x.value), "color": colour},
        marker={"color": colour, "size": 10, "symbol": symbol},
        hovertemplate=f"{name}<br>sensitivity %{{y:.1f}} %, {y.n} levels<br>1 - specificity %{{x:.1f}} %, {x.n} levels"
        "<extra></extra>",
    )  # fmt: skip


def _ends(above: float, below: float) -> dict[str, object]:
    return {"type": "data", "symmetric": False, "array": [above], "arrayminus": [below], "thickness": 1, "width": 3}
