"""The page of a model's corrected drafts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spondylo_ml.data.corrected_drafts import PERSON
from spondylo_ml.evaluation.catalogue import metric_definition
from spondylo_ml.evaluation.correction_rates import REVIEWED
from spondylo_ml.evaluation.corrections import KEPT, MOVED, Corrections
from spondylo_ml.evaluation.intervals import Estimates
from spondylo_ml.pages import colours
from spondylo_ml.pages.comparison_page import interval_text
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.pages.readers_page import LISTED, estimates_table
from spondylo_ml.pages.render import Chart, chart_html, jpeg_uri, render_page

BY_LEVEL = ("moved_percent", "moved_by_px512", "moved_by_mm", "renamed_percent", "removed_percent", "added_percent")
SENTENCE = ("films_corrected_percent", "moved_percent", "moved_by_px512", "renamed_percent", "removed_percent",
            "added_percent")  # fmt: skip


@dataclass(frozen=True)
class FormerCorrections:
    """The result of a run of corrections, for the table of all such runs.

    Attributes:
        metrics: without prefix; with `_low` and `_high` for the limits of intervals.
        this: whether it is the run of the page.
    """

    when: str
    model: str
    metrics: Mapping[str, float]
    this: bool = False


@dataclass(frozen=True)
class CorrectionsPage:
    """Corrected drafts.

    Attributes:
        facts: what was compared, as label and value.
        remarks: what limits the result.
        comparisons: for each registered version of the model, whether it is worse than at its promotion, in words and
            as a truth value.
        numbers: estimates over the reviewed films, and over the corrected ones.
        levels: estimates by level.
        pictures: (caption, picture) of the largest corrections.
        history: of all runs of corrections in the experiment, oldest first.
        not_back: name of each drafted film without a label, and why.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    remarks: Sequence[str]
    comparisons: Sequence[tuple[str, bool]]
    corrections: Corrections
    numbers: Mapping[str, Estimates]
    levels: Mapping[str, Estimates]
    pictures: Sequence[tuple[str, Picture]]
    history: Sequence[FormerCorrections]
    not_back: Sequence[tuple[str, str]]


def corrections_page(page: CorrectionsPage) -> str:
    """HTML: rates and distances, the largest corrections, levels, films by review, and earlier runs."""
    bodies = page.corrections.bodies
    others = bodies[~bodies["change"].isin([KEPT, MOVED])][["film_id", "draft_level", "level", "change"]]
    return render_page(
        "corrections.html",
        title=page.title[:1].upper() + page.title[1:],
        facts=page.facts,
        remarks=page.remarks,
        headline=corrections_sentence(page.numbers[REVIEWED]),
        comparisons=page.comparisons,
        pictures=[(caption, jpeg_uri(picture)) for caption, picture in page.pictures],
        numbers=estimates_table(page.numbers),
        levels=level_table(page.levels),
        films=review_table(page.corrections.films),
        others=[["film", "drafted", "corrected", "change"], *others.head(LISTED).astype(str).to_numpy().tolist()],
        n_others=len(others),
        history=history_table(page.history),
        not_back=[["film", "reason"], *map(list, page.not_back[:LISTED])],
        n_not_back=len(page.not_back),
        listed=LISTED,
        charts=[Chart("Corners moved, by level", chart_html(_by_level(page.levels)))],
    )


def corrections_sentence(numbers: Estimates) -> str:
    """What was corrected on the reviewed films."""
    parts = []
    for name in SENTENCE:
        definition, estimate = metric_definition(name), numbers[name]
        if estimate.n:
            parts.append(f"{definition.label} {interval_text(estimate, definition.digits)} {definition.unit}")
    return "; ".join(parts)


def review_table(films: pd.DataFrame) -> list[list[str]]:
    """Numbers of films by what was corrected and whom their labels name."""
    changed = films["corrected"].astype(bool)
    by_person = films["signature"] == PERSON
    rows = [
        ("corrected", changed, "yes"),
        ("untouched, the labels name a person", ~changed & by_person, "yes"),
        ("untouched, the labels name no person", ~changed & ~by_person, "no: nothing shows that somebody looked"),
    ]
    return [["films", "number", "reviewed"], *([text, str(int(mask.sum())), counted] for text, mask, counted in rows)]


def level_table(levels: Mapping[str, Estimates]) -> list[list[str]]:
    """A head, then a row for each level."""
    shown = [name for name in BY_LEVEL if any(numbers[name].n for numbers in levels.values())]
    definitions = {name: metric_definition(name) for name in shown}
    rows = [["level", *(definition.heading for definition in definitions.values()), "drafted vertebrae"]]
    for level, numbers in levels.items():
        cells = []
        for name, definition in definitions.items():
            value, _, interval = interval_text(numbers[name], definition.digits).partition(" ")
            cells.append("\n".join(filter(None, [value, interval])))
        rows.append([level, *cells, str(numbers["removed_percent"].n)])
    return rows


def history_table(history: Sequence[FormerCorrections]) -> list[list[str]]:
    """A head, then a row for each run of corrections, newest first."""
    names = ("reviewed_films", "films_corrected_percent", "moved_percent", "instance_mre_px512", "detection_f1")
    definitions = {name: metric_definition(name) for name in names}
    rows = [["when", "model", *(definition.heading for definition in definitions.values())]]
    for former in history[::-1][:LISTED]:
        cells = []
        for name, definition in definitions.items():
            value, low, high = (former.metrics.get(f"{name}{end}", math.nan) for end in ("", "_low", "_high"))
            text = "none" if math.isnan(value) else f"{value:.{definition.digits}f}"
            interval = "" if math.isnan(low) else f"\n[{low:.{definition.digits}f}, {high:.{definition.digits}f}]"
            cells.append(text + interval)
        rows.append([f"{former.when}{' (this run)' if former.this else ''}", former.model, *cells])
    return rows


def _by_level(levels: Mapping[str, Estimates]) -> Any:
    import plotly.graph_objects as go

    estimates = {level: numbers["moved_percent"] for level, numbers in levels.items() if numbers["moved_percent"].n}
    figure = go.Figure()
    for with_interval in (True, False):  # a bar of 0 would look like an interval without width
        shown = {level: e for level, e in estimates.items() if math.isnan(e.low) != with_interval}
        interval = {"array": [e.high - e.value for e in shown.values()],
                    "arrayminus": [e.value - e.low for e in shown.values()]}  # fmt: skip
        figure.add_bar(
            x=list(shown), y=[e.value for e in shown.values()], marker_color=colours.BARS,
            error_y={"visible": with_interval, "color": colours.INTERVAL, "thickness": 1, **interval},
            customdata=[e.n for e in shown.values()],
            hovertemplate="%{x}: %{y:.1f} % of %{customdata} corners<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="drafted level", type="category", categoryorder="array", categoryarray=list(estimates))
    figure.update_yaxes(title="corners moved, %", rangemode="tozero")
    figure.update_layout(
        template="plotly_white", barmode="overlay", showlegend=False, height=360,
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
    )  # fmt: skip
    return figure
