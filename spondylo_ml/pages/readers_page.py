"""The page of a reader study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import pandas as pd

from spondylo_ml.evaluation.catalogue import metric_definition
from spondylo_ml.evaluation.consensus import CONSENSUS
from spondylo_ml.evaluation.intervals import Estimates
from spondylo_ml.evaluation.model_as_reader import MODEL, OTHERS, ModelAsReader
from spondylo_ml.evaluation.reader_agreement import ALL, Agreement, disagreement_counts, pair_name, paired_slips
from spondylo_ml.evaluation.run_verdict import RunVerdict, digits_of_difference, p_text, run_verdict
from spondylo_ml.pages import colours
from spondylo_ml.pages.comparison_page import interval_text
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.pages.listhesis_chart import points_rows, roc_chart, roc_note
from spondylo_ml.pages.render import Chart, chart_html, jpeg_uri, render_page

LISTED = 200
"""Most rows of a list on the page; the tables of the run have all."""


@dataclass(frozen=True)
class ReaderStudyPage:
    """A reader study.

    Attributes:
        facts: what was compared, as label and value.
        remarks: what limits the study.
        open_levels: levels without a consensus, with `consensus.OPEN_COLUMNS`.
        spread: consensus corners, with `consensus.SPREAD_COLUMNS`.
        incomplete: name of each film that not all readers labelled, and what each reader has.
        facings: name of each film whose facing the readers state differently, and what each states.
        model: the model beside the readers; None if there is none.
        pictures: (caption, picture) of the films on which the readers differ most.
    """

    title: str
    readers: tuple[str, ...]
    facts: Sequence[tuple[str, str]]
    remarks: Sequence[str]
    agreement: Agreement
    open_levels: pd.DataFrame
    spread: pd.DataFrame
    incomplete: Sequence[tuple[str, tuple[str, ...]]]
    facings: Sequence[tuple[str, tuple[str, ...]]]
    model: ModelAsReader | None
    pictures: Sequence[tuple[str, Picture]]


def readers_page(study: ReaderStudyPage) -> str:
    """HTML: agreement by pair and over all, the model, disagreements, consensus, and the films that were left out."""
    columns = ["film", *(f"reader {reader}" for reader in study.readers)]
    return render_page(
        "readers.html",
        title=study.title,
        facts=study.facts,
        remarks=study.remarks,
        headline=agreement_sentence(study.agreement),
        verdict=model_verdict(study.model) if study.model else None,
        agreement=estimates_table(study.agreement.numbers),
        model_beside=estimates_table(beside_readers(study.model, study.readers)) if study.model else [],
        model_against=estimates_table(against_readers(study.model, study.readers)) if study.model else [],
        model_differences=_differences_table(study.model) if study.model else [],
        listhesis=points_rows(study.model.roc) if study.model and study.model.roc else [],
        pictures=[(caption, jpeg_uri(picture)) for caption, picture in study.pictures],
        counts=_counts_table(study.agreement),
        disagreements=_listed(study.agreement.disagreements),
        n_disagreements=len(study.agreement.disagreements),
        open_levels=_listed(study.open_levels),
        n_open=len(study.open_levels),
        spread=spread_by_level(study.spread),
        facings=[columns, *([name, *each] for name, each in study.facings[:LISTED])],
        incomplete=[columns, *([name, *each] for name, each in study.incomplete[:LISTED])],
        n_incomplete=len(study.incomplete),
        listed=LISTED,
        charts=_charts(study),
    )


def _charts(study: ReaderStudyPage) -> list[Chart]:
    charts = []
    if len(study.agreement.levels):
        charts.append(Chart("Slips of two readers: difference against mean", chart_html(_bland_altman(study))))
    if study.model and (roc := study.model.roc) is not None:
        charts.append(Chart("Listhesis: ROC of the model, and each reader", roc_chart(roc), roc_note(roc)))
    return charts


def agreement_sentence(agreement: Agreement) -> str:
    """The agreement over all pairs of readers in a sentence."""
    numbers = agreement.numbers[ALL]
    names = ("mre_px512", "mre_mm", "sdr_6px", "slip_mae_percent", "slip_icc_2_1", "grade_kappa")
    return "; ".join(
        f"{definition.label} {interval_text(numbers[name], definition.digits)} {definition.unit}".rstrip()
        for name in names
        if name in numbers and numbers[name].n and (definition := metric_definition(name))
    )


def model_verdict(model: ModelAsReader) -> RunVerdict:
    """Whether the model is as close to the other readers as a reader is, over all readers."""
    verdict = run_verdict("the model", "another reader", model.differences[ALL])
    return replace(verdict, sentence=verdict.sentence[0].upper() + verdict.sentence[1:])


def beside_readers(model: ModelAsReader, readers: Sequence[str]) -> dict[str, Estimates]:
    """Each reader, and the model, against the consensus of the other readers on the same corners and levels."""
    columns = {}
    for reader in readers:
        columns[reader] = model.errors[pair_name(reader, OTHERS)]
        columns[f"model beside {reader}"] = model.errors[pair_name(MODEL, f"{OTHERS} of {reader}")]
    return columns


def against_readers(model: ModelAsReader, readers: Sequence[str]) -> dict[str, Estimates]:
    """The model against each reader, and against the consensus of all."""
    columns = {f"against {reader}": model.errors[pair_name(MODEL, reader)] for reader in readers}
    return columns | {"against the consensus": model.errors[pair_name(MODEL, CONSENSUS)]}


def estimates_table(numbers: Mapping[str, Estimates]) -> list[list[str]]:
    """A head, then a row for each metric that has observations, with its estimate, interval and n in each group."""
    metrics = list(dict.fromkeys(name for group in numbers.values() for name, value in group.items() if value.n))
    rows = [["metric", "unit", *numbers]]
    for metric in metrics:
        definition = metric_definition(metric)
        cells = []
        for group in numbers.values():
            if (estimate := group.get(metric)) is None:
                cells.append("")
                continue
            value, _, interval = interval_text(estimate, definition.digits).partition(" ")
            absent = f", without {estimate.n_absent}" if estimate.n_absent else ""
            cells.append("\n".join(filter(None, [value, interval, f"n {estimate.n}{absent}"])))
        rows.append([definition.label, definition.unit, *cells])
    return rows


def spread_by_level(spread: pd.DataFrame) -> list[list[str]]:
    """A head, then a row for each level: its consensus corners, and how far the readers lie from the median, px."""
    rows = [["level", "corners", "SD along x, px", "SD along y, px", "median of the farthest reader, px"]]
    for level, part in spread.sort_values("slot", kind="stable").groupby("level", sort=False):
        sd = [f"{(part[name] ** 2).mean() ** 0.5:.2f}" for name in ("sd_x_px", "sd_y_px")]
        rows.append([str(level), str(len(part)), *sd, f"{part['farthest_px'].median():.2f}"])
    return rows


def _differences_table(model: ModelAsReader) -> list[list[str]]:
    """A head, then a row for each reader and metric."""
    rows = [
        ["instead of reader", "metric", "unit", "model minus reader", "Wilcoxon p", "n", "patients better", "worse"]
    ]
    for reader, differences in model.differences.items():
        for d in differences:
            definition = metric_definition(d.metric)
            difference = interval_text(d.difference, digits_of_difference(d, definition.digits + 1)).replace(
                " [", "\n["
            )
            p, counts = p_text(d.wilcoxon_p) or "none", (d.difference.n, d.n_better, d.n_worse)
            rows.append([reader, definition.label, definition.unit, difference, p, *map(str, counts)])
    return rows


def _counts_table(agreement: Agreement) -> list[list[str]]:
    counts = disagreement_counts(agreement.disagreements)
    kinds = list(dict.fromkeys(agreement.disagreements["kind"]))
    pairs = [pair for pair in agreement.numbers if pair != ALL]
    return [
        ["readers", *kinds],
        *([pair, *(str(counts.get(pair, {}).get(kind, 0)) for kind in kinds)] for pair in pairs),
    ]


def _listed(table: pd.DataFrame) -> list[list[str]]:
    return [[name.replace("_", " ") for name in table.columns], *table.head(LISTED).astype(str).to_numpy().tolist()]


def _bland_altman(study: ReaderStudyPage) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    for index, (first, second) in enumerate(combinations(study.readers, 2)):
        name, colour = pair_name(first, second), colours.of_run(index)
        table = paired_slips(study.agreement.levels, first, second).dropna(
            subset=["true_slip_percent", "pred_slip_percent"]
        )
        one, other = table["true_slip_percent"], table["pred_slip_percent"]
        figure.add_scatter(
            x=((one + other) / 2).tolist(), y=(other - one).tolist(), mode="markers", name=f"{second} minus {first}",
            text=(table["film_id"] + " " + table["level"]).tolist(), legendgroup=name,
            marker={"color": colour, "size": 5, "opacity": 0.6},
            hovertemplate="%{text}<br>mean %{x:.1f}, difference %{y:.1f}<extra></extra>",
        )  # fmt: skip
        numbers = study.agreement.numbers[name]
        if not len(table) or "slip_bias_percent" not in numbers:
            continue
        ends = [float(((one + other) / 2).min()), float(((one + other) / 2).max())]
        for metric, dash in (("bias", "solid"), ("limit_low", "dash"), ("limit_high", "dash")):
            height = numbers[f"slip_{metric}_percent"].value
            figure.add_scatter(
                x=ends, y=[height, height], mode="lines", legendgroup=name, showlegend=False, hoverinfo="skip",
                line={"color": colour, "dash": dash, "width": 1},
            )  # fmt: skip
    figure.update_xaxes(title="mean of both slips, % of the endplate")
    figure.update_yaxes(title="difference, % of the endplate")
    figure.update_layout(template="plotly_white", height=440, margin={"l": 60, "r": 20, "t": 40, "b": 50})
    return figure
