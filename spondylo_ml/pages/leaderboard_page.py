"""The leaderboard of a benchmark as tables and as a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

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
from spondylo_ml.pages import colours
from spondylo_ml.pages.comparison_page import number_text
from spondylo_ml.pages.figures.run_plots import LOG_TICKS
from spondylo_ml.pages.render import Chart, chart_html, render_page

QUALITY_TABLES = (METRICS[:2], METRICS[2:6], METRICS[6:11])
"""Metrics of each table: error; rates by level; rates by instance, presence and grade."""
AP_TABLE = METRICS[11:]
"""Metrics of a further table, of AP films."""
HOW_TO_READ = (
    "Mean over seeds [95 % interval over patients] sd between seeds (lowest to highest; n: seeds with a value, if not "
    "all), on the validation films, which also decided the best epoch. SDR: corners within a distance in px512, by "
    "level; by instance: within a distance in px640, of detected vertebrae whatever their level."
)
AP_TERMS = "NMSE and OR: of AP films, by level."


def quality_tables(board: Leaderboard) -> tuple[tuple[str, ...], ...]:
    """`QUALITY_TABLES`, and `AP_TABLE` if some entry was evaluated on AP films."""
    evaluated = [board.mean_shape, *(child.numbers for child in board.children)]
    has_ap_films = any(metric in numbers for numbers in evaluated for metric in AP_TABLE)
    return (*QUALITY_TABLES, AP_TABLE) if has_ap_films else QUALITY_TABLES


def how_to_read(board: Leaderboard) -> str:
    """What the numbers in the tables of quality are."""
    return f"{HOW_TO_READ} {AP_TERMS}" if AP_TABLE in quality_tables(board) else HOW_TO_READ


def quality_rows(board: Leaderboard, metrics: Sequence[str] = METRICS, with_spread: bool = True) -> list[list[str]]:
    """A head, then a row for each entry and for the mean shape, the best first."""
    table = entries_table(board)
    rows = [["entry", "seeds", *(metric_definition(metric).heading for metric in metrics)]]
    for _, row in table.iterrows():
        seeds = "" if row["entry"] == MEAN_SHAPE else f"{row['n_finished']}/{row['n_planned']}"
        rows.append([str(row["entry"]), seeds, *(_metric(row, metric, with_spread) for metric in metrics)])
    return rows


def cost_rows(board: Leaderboard) -> list[list[str]]:
    """A head, then a row for each entry with its costs, in the order of `quality_rows`; the spread unless it is 0."""
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
    """HTML with the tables and interactive charts."""
    figures = {
        "Error: mean over seeds with its interval, and each seed": _error_figure(board),
        "Corners within each distance": _rates_figure(board),
        "Error against time per film": _cost_figure(board),
    }
    return render_page(
        "leaderboard.html",
        title=f"Benchmark: {board.title}",
        board=board,
        remarks=board.remarks(),
        quality_tables=[_ranked(_on_two_lines(quality_rows(board, metrics))) for metrics in quality_tables(board)],
        how_to_read=how_to_read(board),
        noise=_noise_text(board),
        cost=_that_ran(cost_rows(board)),
        runs=_child_rows(board),
        charts=[Chart(title, chart_html(figure)) for title, figure in figures.items()],
    )


def _noise_text(board: Leaderboard) -> str:
    """The spread of the error between seeds; empty if no entry has two seeds."""
    sd, freedom = pooled_sd(board)
    if not freedom:
        return ""
    return f"MRE between seeds, pooled: standard deviation {sd:.2f} px512, {freedom} degree(s) of freedom."


def _on_two_lines(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The spread between seeds below its mean, so that all columns fit on the page."""
    return [[cell.replace(" sd ", "\nsd ") for cell in row] for row in rows]


def _that_ran(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The rows with some value; the table of training runs says why others have none."""
    return [list(row) for row in rows if not all(cell.startswith("none") for cell in row[1:])]


def _ranked(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The rows of entries that ran, with their rank in front; the mean shape has none."""
    head, *entries = rows
    ran = [row for row in entries if not row[1].startswith("0/")]
    names = [row[0] for row in ran if row[0] != MEAN_SHAPE]
    ranks = ["" if row[0] == MEAN_SHAPE else str(1 + names.index(row[0])) for row in ran]
    return [["rank", *head], *([rank, *row] for rank, row in zip(ranks, ran, strict=True))]


def _metric(row: pd.Series, name: str, with_spread: bool) -> str:
    digits = metric_definition(name).digits
    text = number_text(row[name], f".{digits}f")
    if text == "none":
        return f"none ({row[f'{name}_n_absent']} absent)" if row[f"{name}_n_absent"] else text
    if not math.isnan(row[f"{name}_low"]):
        text += f" [{row[f'{name}_low']:.{digits}f}, {row[f'{name}_high']:.{digits}f}]"
    if with_spread and row[f"{name}_n_seeds"] > 1:
        low, high = (format(row[f"{name}_{part}"], f".{digits}f") for part in ("min", "max"))
        seeds = row[f"{name}_n_seeds"]
        count = f", n {seeds:.0f}" if seeds != row["n_finished"] else ""
        text += f" sd {row[f'{name}_sd']:.{digits}f} ({low} to {high}{count})"
    return text


def _child_rows(board: Leaderboard) -> list[list[str]]:
    rows = [["entry", "seed", "state", "MRE px512", "best epoch", "run", "reason"]]
    for _, row in children_table(board).iterrows():
        rows.append([
            row["entry"], str(row["seed"]), row["state"], number_text(row["mre_px512"], ".2f"),
            number_text(row["best_epoch"], ".0f"), row["run_id"], row["reason"],
        ])  # fmt: skip
    return rows


def _error_figure(board: Leaderboard) -> Any:
    """Entries from the best at the top; names stand beside their rows, where long ones are legible."""
    import plotly.graph_objects as go

    table = entries_table(board).dropna(subset=["mre_px512"])
    limits = {
        "type": "data",
        "symmetric": False,
        "array": (table["mre_px512_high"] - table["mre_px512"]).tolist(),
        "arrayminus": (table["mre_px512"] - table["mre_px512_low"]).tolist(),
    }
    figure = go.Figure()
    figure.add_scatter(
        y=table["entry"].tolist(),
        x=table["mre_px512"].tolist(),
        error_x=limits,
        mode="markers",
        name="mean over seeds",
        marker={"color": colours.of_run(0), "size": 13, "symbol": "diamond"},
    )
    seeds = children_table(board)
    seeds = seeds[seeds["state"] == FINISHED]
    figure.add_scatter(
        y=seeds["entry"].tolist(),
        x=seeds["mre_px512"].tolist(),
        mode="markers",
        name="one seed",
        text=[f"seed {seed}" for seed in seeds["seed"]],
        marker={"color": colours.of_run(1), "size": 8},
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    return _laid_out(_with_error_axis(figure, [*table["mre_px512"], *seeds["mre_px512"]], "x"))


def _rates_figure(board: Leaderboard) -> Any:
    import plotly.graph_objects as go

    rates = [metric for metric in METRICS if "sdr" in metric]
    figure = go.Figure()
    for index, (_, row) in enumerate(entries_table(board).dropna(subset=["mre_px512"]).iterrows()):
        limits = {
            "type": "data",
            "symmetric": False,
            "array": [row[f"{m}_high"] - row[m] for m in rates],
            "arrayminus": [row[m] - row[f"{m}_low"] for m in rates],
            "thickness": 1.2,
        }
        figure.add_bar(
            x=[metric_definition(m).label for m in rates],
            y=[row[m] for m in rates],
            error_y=limits,
            name=row["entry"],
            marker_color=colours.of_run(index),
        )
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
            textposition="top center", marker={"color": colours.of_run(index), "size": 12},
            error_y={
                "type": "data", "symmetric": False, "array": [row["mre_px512_high"] - row["mre_px512"]],
                "arrayminus": [row["mre_px512"] - row["mre_px512_low"]],
            },
        )  # fmt: skip
    figure.update_xaxes(title="one film, ms", type="log", tickvals=LOG_TICKS)
    return _laid_out(_with_error_axis(figure, table["mre_px512"].tolist()))


def _with_error_axis(figure: Any, errors_px512: Sequence[float], axis: str = "y") -> Any:
    """Logarithmic if errors span more than tenfold: a run that learnt nothing does not flatten the others."""
    errors = [error for error in errors_px512 if not math.isnan(error)]
    wide = bool(errors) and min(errors) > 0 and max(errors) > 10 * min(errors)
    scale = {"type": "log", "tickvals": LOG_TICKS} if wide else {"type": "linear", "rangemode": "tozero"}
    return figure.update_layout({f"{axis}axis": {**scale, "title": "MRE, px512"}})


def _laid_out(figure: Any) -> Any:
    figure.update_layout(
        template="plotly_white",
        height=460,
        margin={"l": 60, "r": 20, "t": 60, "b": 50},
        legend={"orientation": "h", "y": 1.14, "x": 0},
    )
    return figure
