"""The page of a training run or an evaluation: what it reached, on which films it fails, and how it got there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from spondylo_ml.clinical.meyerding import Grade
from spondylo_ml.evaluation.catalogue import metric_definition
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.pages.comparison_page import interval_text
from spondylo_ml.pages.figures.anatomy_chart import CAUSES, draw_anatomy
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.pages.figures.run_plots import bland_altman, learning_curves
from spondylo_ml.pages.render import Chart, chart_html, jpeg_uri, render_page

HEADLINE = ("mre_px512", "median_px512", "p95_px512", "mre_mm", "sdr_6px", "sdr_24px", "presence_recall",
            "named_right_percent", "slip_mae_percent", "grade_accuracy_all", "slip_set_coverage", "referred_percent",
            "nmse", "or_20px704", "cobb_smape_percent")  # fmt: skip
GROUP_TABLES = {
    "by_level": "By level", "slips_by_level": "Slip by level", "slips_by_grade": "Slip by true grade",
    "by_source": "By source", "by_sex": "By sex", "by_age_band": "By age", "by_facing": "By facing",
}  # fmt: skip
"""Tables of a report by the heading under which a page shows them; strata with a single group are left out."""
ALWAYS_SHOWN = ("by_level", "slips_by_level", "slips_by_grade")
GROUP_COLUMNS = ("mre_px512", "median_px512", "mre_mm", "sdr_6px", "sdr_24px", "slip_mae_percent", "slip_bias_percent",
                 "grade_accuracy")  # fmt: skip


@dataclass(frozen=True)
class RunPageData:
    """What the page of a run shows; what is empty has no section.

    Attributes:
        facts: (name, value) of the run: model, films, and so on.
        warning: the first thing a reader must know, such as that the model was trained on these films.
        mean_shape_mre_px512: error of the trivial predictor; NaN if unknown.
        differences: settings that differ from the recipe, by name.
        curves: (epoch, value) by name; those of `learning_curves`.
        pictures: (caption, picture) of films, such as the best, median and worst.
        levels: `PredictionSet.slips`.
        calibration: `draw_uncertainty`.
        files: (path, content) of the tables among the run's artefacts.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    report: EvaluationReport
    synthetic: bool
    warning: str = ""
    mean_shape_mre_px512: float = math.nan
    differences: Mapping[str, str] = field(default_factory=dict)
    curves: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    pictures: Sequence[tuple[str, Picture]] = ()
    levels: pd.DataFrame | None = None
    calibration: Picture | None = None
    files: Sequence[tuple[str, str]] = ()


def run_page(data: RunPageData) -> str:
    """HTML of the page."""
    report, levels = data.report, _graded(data.levels)
    charts = []
    if any(data.curves.values()):
        charts.append(Chart("Learning curves", chart_html(learning_curves(data.curves))))
    if len(levels):
        charts.append(
            Chart("Slip: predicted against true (Bland-Altman)", chart_html(bland_altman(levels)), BLAND_ALTMAN_NOTE)
        )
    return render_page(
        "run.html",
        title=data.title,
        data=data,
        report=report,
        headline=headline_rows(report, data.mean_shape_mre_px512),
        charts=charts,
        pictures=[(caption, jpeg_uri(picture)) for caption, picture in data.pictures],
        anatomy=jpeg_uri(draw_anatomy(report.tables["anatomy"])) if "anatomy" in report.tables else "",
        causes=CAUSES,
        calibration="" if data.calibration is None else jpeg_uri(data.calibration),
        tables=[(heading, rows) for name, heading in GROUP_TABLES.items() if (rows := group_rows(report, name))],
        confusion=confusion_rows(levels),
    )


NO_BREAK = "\N{NO-BREAK SPACE}"
BLAND_ALTMAN_NOTE = (
    "Each point is a level; lines: mean difference and 95 % limits of agreement. Point at one to see its film."
)


def headline_rows(report: EvaluationReport, mean_shape_mre_px512: float) -> list[list[str]]:
    """A head, then a row for each metric of `HEADLINE` that has a value."""
    rows = [["metric", "value", "95 % interval", "n", "meaning"]]
    for name in HEADLINE:
        estimate = report.numbers.get(name)
        if estimate is None or math.isnan(estimate.value):
            continue
        metric = metric_definition(name)
        value, _, interval = interval_text(estimate, metric.digits).partition(" ")
        beside = (
            f" The mean shape, which ignores the film: {mean_shape_mre_px512:.2f}."
            if name == "mre_px512" and not math.isnan(mean_shape_mre_px512)
            else ""
        )
        absent = f"{NO_BREAK}({estimate.n_absent}{NO_BREAK}absent)" if estimate.n_absent else ""
        rows.append(
            [
                metric.heading,
                value,
                interval.replace(" ", NO_BREAK),
                f"{estimate.n}{absent}",
                metric.meaning + beside,
            ]
        )
    return rows


def group_rows(report: EvaluationReport, table: str) -> list[list[str]]:
    """A head, then a row for each group of a table; empty if the report has no such table or it says nothing."""
    groups = report.tables.get(table, {})
    if not groups or (table not in ALWAYS_SHOWN and len(groups) < 2):
        return []
    present = [
        name
        for name in GROUP_COLUMNS
        if any(name in row and not math.isnan(row[name].value) for row in groups.values())
    ]
    rows = [["", *(metric_definition(name).heading for name in present), "n"]]
    for group, row in groups.items():
        cells = [
            interval_text(row[name], metric_definition(name).digits).replace(" [", "\n[") if name in row else "none"
            for name in present
        ]
        rows.append([group, *cells, str(next(iter(row.values())).n)])
    return rows


def confusion_rows(levels: pd.DataFrame) -> list[list[str]]:
    """A head of predicted grades, then a row for each true grade with its numbers of levels; empty without levels."""
    if levels.empty:
        return []
    withheld = levels["pred_grade"].isna()
    grades = sorted({*levels["true_grade"].astype(int), *levels.loc[~withheld, "pred_grade"].astype(int)})
    rows = [["true grade", *(f"predicted {Grade(g).label}" for g in grades), "withheld"]]
    for true in grades:
        of_true = levels[levels["true_grade"] == true]
        counts = [int((of_true["pred_grade"] == g).sum()) for g in grades]
        rows.append([Grade(true).label, *map(str, counts), str(int(of_true["pred_grade"].isna().sum()))])
    return rows


def _graded(levels: pd.DataFrame | None) -> pd.DataFrame:
    """The levels with a measurable true slip."""
    if levels is None or levels.empty:
        return pd.DataFrame(columns=["true_grade", "pred_grade"])
    return levels[levels["true_slip_percent"].notna()]
