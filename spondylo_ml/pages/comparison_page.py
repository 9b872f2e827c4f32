"""The page that compares runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from spondylo_ml.evaluation.catalogue import lower_is_better, metric_definition
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.paired import PairedDifference
from spondylo_ml.evaluation.run_verdict import RunVerdict, digits_of_difference, p_text, run_verdict
from spondylo_ml.pages import colours
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.pages.figures.run_plots import LOG_TICKS, whole_epochs
from spondylo_ml.pages.render import Chart, chart_html, jpeg_uri, render_page


@dataclass(frozen=True)
class ComparisonData:
    """Runs evaluated on the same films.

    Attributes:
        runs: names, the baseline first.
        numbers: estimates by run and metric.
        differences: from the baseline, by the name of the other run.
        films: mean error of each film in px512, with a column for each run; indexed by film.
        curves: (epoch, value) of `curve_label` by run.
        remarks: what limits the comparison, such as runs trained on other films.
        settings: value of each setting by run, by the name of the setting.
        synthetic: whether the films are.
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
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    synthetic: bool = False

    @property
    def different_settings(self) -> dict[str, Mapping[str, str]]:
        """The settings that are not the same in all runs."""
        return {name: of_run for name, of_run in self.settings.items() if len(set(of_run.values())) > 1}

    def verdicts(self) -> list[RunVerdict]:
        """The verdict on each run but the baseline."""
        return [run_verdict(run, self.runs[0], rows) for run, rows in self.differences.items()]


def comparison_page(data: ComparisonData, pictures: Sequence[tuple[str, Picture]] = ()) -> str:
    """HTML with the verdict, the settings that differ, tables, interactive charts, and films.

    Args:
        pictures: (caption, picture) of films with the predictions of all runs side by side.
    """
    figures = {
        "Metrics with intervals": _metrics_figure(data),
        "Error of each film": _films_figure(data),
        "Learning curves": _curves_figure(data),
    }
    return render_page(
        "comparison.html",
        title=data.title[:1].upper() + data.title[1:],
        dataset=data.dataset,
        synthetic=data.synthetic,
        baseline=data.runs[0],
        remarks=data.remarks,
        verdicts=data.verdicts(),
        settings=_settings_table(data),
        same_settings=len(data.settings) - len(data.different_settings),
        pictures=[(caption, jpeg_uri(picture)) for caption, picture in pictures],
        metrics=_metrics_table(data),
        differences=[(run, _differences_table(rows)) for run, rows in data.differences.items()],
        charts=[Chart(title, chart_html(figure)) for title, figure in figures.items()],
    )


def _settings_table(data: ComparisonData) -> list[list[str]]:
    """A head, then a row for each setting that differs; empty if none does."""
    rows = [[name, *(of_run.get(run, "") for run in data.runs)] for name, of_run in data.different_settings.items()]
    return [["setting", *data.runs], *rows] if rows else []


def interval_text(estimate: Estimate, digits: int = 2) -> str:
    """An estimate with its interval in brackets; "none" if it is NaN."""
    if math.isnan(estimate.value):
        return "none"
    if math.isnan(estimate.low):
        return f"{estimate.value:z.{digits}f}"
    return f"{estimate.value:z.{digits}f} [{estimate.low:z.{digits}f}, {estimate.high:z.{digits}f}]"


def number_text(value: float, form: str) -> str:
    """A formatted number; "none" if it is NaN."""
    return "none" if math.isnan(value) else format(value, form)


def _metrics(data: ComparisonData) -> list[str]:
    return [name for name, estimate in data.numbers[data.runs[0]].items() if estimate.n]


def _metrics_table(data: ComparisonData) -> list[list[str]]:
    """A head, then a row for each metric with its estimate for each run."""
    rows = [["metric", "unit", *data.runs, "n"]]
    for metric in _metrics(data):
        estimates = [data.numbers[run][metric] for run in data.runs]
        definition = metric_definition(metric)
        cells = [interval_text(estimate, definition.digits) for estimate in estimates]
        counts = " / ".join(_distinct(str(estimate.n) for estimate in estimates))
        rows.append([definition.label, definition.unit, *(cell.replace(" [", "\n[") for cell in cells), counts])
    return rows


def _differences_table(differences: Sequence[PairedDifference]) -> list[list[str]]:
    """A head, then a row for each metric."""
    rows = [["metric", "difference", "Wilcoxon p", "effect", "n", "patients better", "worse", "same"]]
    for d in differences:
        digits = digits_of_difference(d, metric_definition(d.metric).digits + 1)
        difference = interval_text(d.difference, digits).replace(" [", "\n[")
        p, effect = p_text(d.wilcoxon_p) or "none", number_text(d.rank_biserial, "+.2f")
        counts = (d.difference.n, d.n_better, d.n_worse, d.n_same)
        rows.append([metric_definition(d.metric).heading, difference, p, effect, *map(str, counts)])
    return rows


def _distinct(counts: Iterable[str]) -> list[str]:
    """The counts of all runs, or a single one if they are equal."""
    every = list(counts)
    return every[:1] if len(set(every)) == 1 else every


def _metrics_figure(data: ComparisonData) -> Any:
    from plotly.subplots import make_subplots

    groups = {
        "lower is better": [m for m in _metrics(data) if lower_is_better(m)],
        "higher is better, %": [m for m in _metrics(data) if not lower_is_better(m)],
    }
    figure = make_subplots(rows=1, cols=2, subplot_titles=list(groups), column_widths=[0.35, 0.65])
    for column, metrics in enumerate(groups.values(), start=1):
        for index, run in enumerate(data.runs):
            estimates = [data.numbers[run][m] for m in metrics]
            spread = {
                "type": "data",
                "symmetric": False,
                "thickness": 1.2,
                "array": [e.high - e.value for e in estimates],
                "arrayminus": [e.value - e.low for e in estimates],
            }
            figure.add_bar(
                x=[metric_definition(m).heading for m in metrics], y=[e.value for e in estimates], error_y=spread,
                name=run, marker_color=colours.of_run(index), legendgroup=run, showlegend=column == 1, row=1,
                col=column,
            )  # fmt: skip
    return _laid_out(figure, barmode="group", height=480, legend={"orientation": "h", "y": 1.24, "x": 0})


def _films_figure(data: ComparisonData) -> Any:
    import plotly.graph_objects as go

    baseline, *others = data.runs
    figure = go.Figure()
    for index, run in enumerate(others, start=1):
        figure.add_scatter(
            x=data.films[baseline],
            y=data.films[run],
            mode="markers",
            name=run,
            text=data.films.index,
            marker={"color": colours.of_run(index), "opacity": 0.7},
            hovertemplate="%{text}<br>%{x:.2f} to %{y:.2f} px512<extra></extra>",
        )
    values = data.films[list(data.runs)].to_numpy(dtype=float)
    values = values[values > 0]
    ends = [float(values.min()), float(values.max())] if len(values) else [0.1, 1.0]
    figure.add_scatter(
        x=ends,
        y=ends,
        mode="lines",
        name="no difference",
        line={"color": colours.NO_DIFFERENCE, "dash": "dot", "width": 1},
    )
    margin = 0.05 * (math.log10(ends[1]) - math.log10(ends[0])) or 0.1
    limits = [math.log10(ends[0]) - margin, math.log10(ends[1]) + margin]
    axis: dict[str, Any] = {"type": "log", "range": limits, "tickvals": LOG_TICKS}
    figure.update_xaxes(title=f"{baseline}: mean error of the film, px512", **axis)
    figure.update_yaxes(title="the other runs, px512", **axis)
    return _laid_out(figure, height=600)


def _curves_figure(data: ComparisonData) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    for index, (run, points) in enumerate(data.curves.items()):
        figure.add_scatter(
            x=[epoch for epoch, _ in points],
            y=[value for _, value in points],
            name=run,
            mode="lines+markers",
            marker={"color": colours.of_run(index), "size": 5},
        )
    figure.update_xaxes(title="epoch", **whole_epochs(data.curves.values()))
    figure.update_yaxes(title=data.curve_label)
    return _laid_out(figure, height=420)


def _laid_out(figure: Any, **extra: Any) -> Any:
    figure.update_layout(
        template="plotly_white",
        margin={"l": 60, "r": 20, "t": 60, "b": 50},
        **{"legend": {"orientation": "h", "y": 1.14, "x": 0}, **extra},
    )
    return figure
