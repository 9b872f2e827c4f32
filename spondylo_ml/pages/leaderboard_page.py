"""The leaderboard of a benchmark as tables, and as a page that needs no network and no other file."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.evaluation.catalogue import format_value, metric_definition
from spondylo_ml.evaluation.leaderboard import (
    COSTS,
    FINISHED,
    MEAN_SHAPE,
    METRICS,
    Leaderboard,
    children_table,
    entries_table,
    pooled_sd,
)
from spondylo_ml.pages.comparison_page import STYLE
from spondylo_ml.pages.figures.run_charts import colour

QUALITY_TABLES = (METRICS[:2], METRICS[2:6], METRICS[6:])
"""Metrics beside each other: error, rates strict by level, rates by instance with presence and grade."""
PAGE_STYLE = "th, td { padding: .3rem .55rem; } .quality { margin-bottom: 1.5rem; }\n"
LOG_TICKS = [digit * 10**power for power in range(-1, 5) for digit in (1, 2, 5)]
HOW_TO_READ = (
    "mean over seeds [95 % interval, drawing patients] sd between seeds (least to most, n seeds); of the validation "
    "films, on which the epoch was chosen too; none: nothing to measure. SDR: level by level, within px512; by "
    "instance: of the vertebrae found, whatever their level, within px640"
)


def quality_rows(board: Leaderboard, metrics: Sequence[str] = METRICS, with_spread: bool = True) -> list[list[str]]:
    """A head, then each entry with the metrics, the best first, the mean shape among them."""
    table = entries_table(board)
    rows = [["entry", "seeds", *(metric_definition(metric).heading for metric in metrics)]]
    for _, row in table.iterrows():
        seeds = "" if row["entry"] == MEAN_SHAPE else f"{row['n_finished']}/{row['n_planned']}"
        rows.append([str(row["entry"]), seeds, *(_metric(row, metric, with_spread) for metric in metrics)])
    return rows


def cost_rows(board: Leaderboard) -> list[list[str]]:
    """A head, then each entry with what it cost, in the order of `quality_rows`; the spread where it is not 0."""
    table = entries_table(board)
    rows = [["entry", *(metric_definition(name).heading for name in COSTS)]]
    for _, row in table[table["entry"] != MEAN_SHAPE].iterrows():
        cells = []
        for name in COSTS:
            sd = row[f"{name}_sd"]
            cells.append(format_value(name, row[name]) + (f" ±{format_value(name, sd)}" if sd > 0 else ""))
        rows.append([str(row["entry"]), *cells])
    return rows


def leaderboard_page(board: Leaderboard) -> str:
    """HTML: the tables, and Plotly charts that answer to the mouse."""
    figures = {
        "Error: the mean with its interval, and each seed": _error_figure(board),
        "Share of corners found": _rates_figure(board),
        "Error against the time of one film": _cost_figure(board),
    }
    charts = [
        f"<h2>{html.escape(title)}</h2>{figure.to_html(full_html=False, include_plotlyjs=index == 0)}"
        for index, (title, figure) in enumerate(figures.items())
    ]
    floor, freedom = pooled_sd(board)
    noise = f"MRE between seeds: standard deviation {floor:.2f} px512, {freedom} degree(s) of freedom, pooled."
    remarks = "".join(f"<p><b>Note:</b> {html.escape(remark)}</p>" for remark in board.remarks())
    title = html.escape(f"Benchmark: {board.title}")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{STYLE}{PAGE_STYLE}</style></head><body>
<h1>{title}</h1>
<p>Films: {html.escape(board.dataset)}. Budget: {html.escape(board.budget)}.</p>{remarks}
<h2>Quality</h2>{"".join(_quality_table(board, metrics) for metrics in QUALITY_TABLES)}
<p class="note">{HOW_TO_READ}. {noise if freedom else ""}</p>
<h2>Cost</h2>{_table(cost_rows(board))}
<p class="note">± standard deviation between seeds. Time of one film: network, mirror image and choice of levels, one at
a time. Memory: of the training process alone, films included, without its loader's workers.</p>
<h2>Trainings</h2>{_table(_child_rows(board))}
{"".join(charts)}
<p class="note">{DISCLAIMER}</p>
</body></html>"""


def _metric(row: pd.Series, name: str, with_spread: bool) -> str:
    digits = metric_definition(name).digits
    text = _number(row[name], f".{digits}f")
    if text == "none":
        return f"none ({row[f'{name}_n_absent']} absent)" if row[f"{name}_n_absent"] else text
    if not math.isnan(row[f"{name}_low"]):
        text += f" [{row[f'{name}_low']:.{digits}f}, {row[f'{name}_high']:.{digits}f}]"
    if with_spread and row[f"{name}_n_seeds"] > 1:
        low, high = (format(row[f"{name}_{part}"], f".{digits}f") for part in ("min", "max"))
        text += f" sd {row[f'{name}_sd']:.{digits}f} ({low} to {high}, n {row[f'{name}_n_seeds']:.0f})"
    return text


def _child_rows(board: Leaderboard) -> list[list[str]]:
    rows = [["entry", "seed", "state", "MRE px512", "best epoch", "run", "reason"]]
    for _, row in children_table(board).iterrows():
        rows.append([
            row["entry"], str(row["seed"]), row["state"], _number(row["mre_px512"], ".2f"),
            _number(row["best_epoch"], ".0f"), row["run_id"], row["reason"],
        ])  # fmt: skip
    return rows


def _number(value: float, form: str) -> str:
    return "none" if math.isnan(value) else format(value, form)


def _quality_table(board: Leaderboard, metrics: Sequence[str]) -> str:
    """The spread between seeds under its mean, so that all columns fit on the page."""
    table = _table(quality_rows(board, metrics)).replace("<table>", "<table class='quality'>", 1)
    return re.sub(r" (sd [^<]*\))</td>", r"<br><small>\1</small></td>", table)


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"


def _error_figure(board: Leaderboard) -> Any:
    import plotly.graph_objects as go

    table = entries_table(board).dropna(subset=["mre_px512"])
    limits = {
        "type": "data", "symmetric": False, "array": (table["mre_px512_high"] - table["mre_px512"]).tolist(),
        "arrayminus": (table["mre_px512"] - table["mre_px512_low"]).tolist(),
    }  # fmt: skip
    figure = go.Figure()
    figure.add_scatter(
        x=table["entry"].tolist(), y=table["mre_px512"].tolist(), error_y=limits, mode="markers",
        name="mean over seeds", marker={"color": colour(0), "size": 13, "symbol": "diamond"},
    )  # fmt: skip
    seeds = children_table(board)
    seeds = seeds[seeds["state"] == FINISHED]
    figure.add_scatter(
        x=seeds["entry"].tolist(), y=seeds["mre_px512"].tolist(), mode="markers", name="a seed",
        text=[f"seed {seed}" for seed in seeds["seed"]], marker={"color": colour(1), "size": 8},
    )  # fmt: skip
    return _laid_out(_with_error_axis(figure, [*table["mre_px512"], *seeds["mre_px512"]]))


def _rates_figure(board: Leaderboard) -> Any:
    import plotly.graph_objects as go

    rates = [metric for metric in METRICS if "sdr" in metric]
    figure = go.Figure()
    for index, (_, row) in enumerate(entries_table(board).dropna(subset=["mre_px512"]).iterrows()):
        limits = {
            "type": "data", "symmetric": False, "array": [row[f"{m}_high"] - row[m] for m in rates],
            "arrayminus": [row[m] - row[f"{m}_low"] for m in rates], "thickness": 1.2,
        }  # fmt: skip
        figure.add_bar(
            x=[metric_definition(m).label for m in rates], y=[row[m] for m in rates], error_y=limits,
            name=row["entry"], marker_color=colour(index),
        )  # fmt: skip
    figure.update_layout(barmode="group")
    figure.update_yaxes(title="%", range=[0, 100])
    return _laid_out(figure)


def _cost_figure(board: Leaderboard) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    table = entries_table(board).dropna(subset=["mre_px512", "latency_ms"])
    for index, (_, row) in enumerate(table.iterrows()):
        figure.add_scatter(
            x=[row["latency_ms"]], y=[row["mre_px512"]], mode="markers+text", name=row["entry"], text=[row["entry"]],
            textposition="top center", marker={"color": colour(index), "size": 12},
            error_y={
                "type": "data", "symmetric": False, "array": [row["mre_px512_high"] - row["mre_px512"]],
                "arrayminus": [row["mre_px512"] - row["mre_px512_low"]],
            },
        )  # fmt: skip
    figure.update_xaxes(title="one film, ms", type="log", tickvals=LOG_TICKS)
    return _laid_out(_with_error_axis(figure, table["mre_px512"].tolist()))


def _with_error_axis(figure: Any, errors_px512: Sequence[float]) -> Any:
    """Logarithmic where errors span more than tenfold: one that learnt nothing does not press the others flat."""
    known = [error for error in errors_px512 if not math.isnan(error)]
    wide = bool(known) and min(known) > 0 and max(known) > 10 * min(known)
    if wide:
        figure.update_yaxes(type="log", tickvals=LOG_TICKS)
    else:
        figure.update_yaxes(type="linear", rangemode="tozero")
    figure.update_yaxes(title="MRE, px512")
    return figure


def _laid_out(figure: Any) -> Any:
    figure.update_layout(
        template="plotly_white", height=460, margin={"l": 60, "r": 20, "t": 60, "b": 50},
        legend={"orientation": "h", "y": 1.14, "x": 0},
    )  # fmt: skip
    return figure
