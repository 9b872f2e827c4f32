"""A page that shows runs beside each other; it needs no network and no other file."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.evaluation.catalogue import lower_is_better, metric_definition
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.paired import PairedDifference
from spondylo_ml.pages.figures.run_charts import colour

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1080px; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.note { color: #666; }
"""


@dataclass(frozen=True)
class Compared:
    """What the page shows.

    Attributes:
        runs: names, the baseline first.
        numbers: estimates by run and metric.
        differences: of each other run from the baseline, by its name.
        films: mean error of each film in px512, a column a run; indexed by film.
        curves: (epoch, value) of `curve_label` by run.
        remarks: what must be known before the numbers are believed.
    """

    title: str
    dataset: str
    runs: tuple[str, ...]
    numbers: Mapping[str, Mapping[str, Estimate]]
    differences: Mapping[str, Sequence[PairedDifference]]
    films: pd.DataFrame
    curves: Mapping[str, Sequence[tuple[int, float]]]
    curve_label: str
    remarks: tuple[str, ...] = ()


def comparison_page(compared: Compared) -> str:
    """HTML: tables of the numbers and differences, and Plotly charts that answer to the mouse."""
    figures = {
        "Metrics, with their intervals": _metrics_figure(compared),
        "Error of each film": _films_figure(compared),
        "Learning curves": _curves_figure(compared),
    }
    charts = [
        f"<h2>{html.escape(title)}</h2>{figure.to_html(full_html=False, include_plotlyjs=index == 0)}"
        for index, (title, figure) in enumerate(figures.items())
    ]
    remarks = "".join(f"<p><b>Note:</b> {html.escape(remark)}</p>" for remark in compared.remarks)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(compared.title)}</title><style>{STYLE}</style></head><body>
<h1>{html.escape(compared.title)}</h1>
<p>Films: {html.escape(compared.dataset)}. Intervals are drawn by patient. {html.escape(compared.runs[0])} is what the
others are held to.</p>{remarks}
<h2>Runs</h2>{_numbers_table(compared)}
<h2>Differences from {html.escape(compared.runs[0])}</h2>{_differences_tables(compared)}
<p class="note">Effect: rank-biserial correlation of Wilcoxon's signed-rank test over patients, from -1 (worse for all)
to 1 (better for all).</p>
{"".join(charts)}
<p class="note">{DISCLAIMER}</p>
</body></html>"""


def interval_text(estimate: Estimate, digits: int = 2) -> str:
    """A number with its interval in brackets; "none" where it is absent."""
    if math.isnan(estimate.value):
        return "none"
    if math.isnan(estimate.low):
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def _metrics(compared: Compared) -> list[str]:
    return [name for name, estimate in compared.numbers[compared.runs[0]].items() if estimate.n]


def _numbers_table(compared: Compared) -> str:
    metrics = _metrics(compared)
    rows = []
    for metric in metrics:
        estimates = [compared.numbers[run][metric] for run in compared.runs]
        definition = metric_definition(metric)
        cells = [interval_text(estimate, definition.digits) for estimate in estimates]
        count = " / ".join(_distinct(str(estimate.n) for estimate in estimates))
        rows.append([metric, definition.unit, *cells, count])
    return _table(["metric", "unit", *compared.runs, "n"], rows)


def _differences_tables(compared: Compared) -> str:
    parts = []
    for run, differences in compared.differences.items():
        rows = [
            [
                d.metric, interval_text(d.difference, metric_definition(d.metric).digits + 1),
                _plain(d.wilcoxon_p, ".2g"), _plain(d.rank_biserial, "+.2f"),
                str(d.difference.n), str(d.n_better), str(d.n_worse), str(d.n_same),
            ]
            for d in differences
        ]  # fmt: skip
        head = ["metric", "difference", "Wilcoxon p", "effect", "n", "patients better", "worse", "same"]
        parts.append(f"<h3>{html.escape(run)}</h3>{_table(head, rows)}")
    return "".join(parts)


def _distinct(counts: Iterable[str]) -> list[str]:
    """The counts of all runs, or one where they are the same."""
    listed = list(counts)
    return listed[:1] if len(set(listed)) == 1 else listed


def _plain(value: float, form: str) -> str:
    return "none" if math.isnan(value) else format(value, form)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def _metrics_figure(compared: Compared) -> Any:
    from plotly.subplots import make_subplots

    groups = {
        "lower is better": [m for m in _metrics(compared) if lower_is_better(m)],
        "higher is better, %": [m for m in _metrics(compared) if not lower_is_better(m)],
    }
    figure = make_subplots(rows=1, cols=2, subplot_titles=list(groups), column_widths=[0.35, 0.65])
    for column, metrics in enumerate(groups.values(), start=1):
        for index, run in enumerate(compared.runs):
            estimates = [compared.numbers[run][m] for m in metrics]
            spread = {
                "type": "data", "symmetric": False, "thickness": 1.2,
                "array": [e.high - e.value for e in estimates], "arrayminus": [e.value - e.low for e in estimates],
            }  # fmt: skip
            figure.add_bar(
                x=metrics, y=[e.value for e in estimates], error_y=spread, name=run, marker_color=colour(index),
                legendgroup=run, showlegend=column == 1, row=1, col=column,
            )  # fmt: skip
    return _laid_out(figure, barmode="group", height=480, legend={"orientation": "h", "y": 1.24, "x": 0})


def _films_figure(compared: Compared) -> Any:
    import plotly.graph_objects as go

    baseline, *others = compared.runs
    figure = go.Figure()
    for index, run in enumerate(others, start=1):
        figure.add_scatter(
            x=compared.films[baseline], y=compared.films[run], mode="markers", name=run, text=compared.films.index,
            marker={"color": colour(index), "opacity": 0.7},
            hovertemplate="%{text}<br>%{x:.2f} to %{y:.2f} px512<extra></extra>",
        )  # fmt: skip
    values = compared.films[list(compared.runs)].to_numpy(dtype=float)
    values = values[values > 0]
    ends = [float(values.min()), float(values.max())] if len(values) else [0.1, 1.0]
    figure.add_scatter(
        x=ends, y=ends, mode="lines", name="no difference", line={"color": "#999", "dash": "dot", "width": 1}
    )
    figure.update_xaxes(title=f"{baseline}: mean error of the film, px512", type="log")
    figure.update_yaxes(title="the other runs, px512", type="log", scaleanchor="x")
    return _laid_out(figure, height=600)


def _curves_figure(compared: Compared) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    for index, (run, points) in enumerate(compared.curves.items()):
        figure.add_scatter(
            x=[epoch for epoch, _ in points], y=[value for _, value in points], name=run, mode="lines+markers",
            marker={"color": colour(index), "size": 5},
        )  # fmt: skip
    figure.update_xaxes(title="epoch")
    figure.update_yaxes(title=compared.curve_label)
    return _laid_out(figure, height=420)


def _laid_out(figure: Any, **extra: Any) -> Any:
    figure.update_layout(
        template="plotly_white", margin={"l": 60, "r": 20, "t": 60, "b": 50},
        **{"legend": {"orientation": "h", "y": 1.14, "x": 0}, **extra},
    )  # fmt: skip
    return figure
