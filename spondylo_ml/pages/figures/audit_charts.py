"""Charts of the statistics of a dataset."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup

from spondylo_ml.pages import colours
from spondylo_ml.pages.render import Chart, chart_html

HEIGHT_PX = 280


def dataset_charts(films: pd.DataFrame, slips: pd.DataFrame) -> list[Chart]:
    """All charts of a table of films and a table of slips."""
    why = films.loc[films["slip_withheld"] != "", "slip_withheld"]
    withheld = why.astype(str).str.split(r"[:(;]", n=1, regex=True).str[0].str.strip().value_counts()
    reasons = "; ".join(f"{count} films: {reason}" for reason, count in withheld.items())
    charts: list[tuple[str, Callable[[], go.Figure | None], str]] = [
        ("Films by part", lambda: _parts(films), ""),
        ("Vertebrae on a film", lambda: _histogram(films, "n_vertebrae", "labelled vertebrae", 1), ""),
        ("Size of the films", lambda: _sizes(films), ""),
        ("Sex", lambda: _counts(films, "sex"), "read from file names that contain it"),
        ("Age", lambda: _histogram(films, "age_years", "years", 5), "read from file names that contain it"),
        ("Spacing", lambda: _histogram(films, "spacing_x_mm", "mm per px", None), ""),
        ("Facing", lambda: _counts(films, "facing"), "labelled or inferred from the corners"),
        (
            "Aspect of the bodies",
            lambda: _histogram(films, "stretch", "width over height, relative to the usual ratio", None),
            "",
        ),
        ("Slip by level", lambda: _slips(slips), f"withheld: {reasons}" if reasons else ""),
    ]
    return [_chart(title, make(), note) for title, make, note in charts]


def _chart(title: str, figure: go.Figure | None, note: str) -> Chart:
    if figure is None:
        return Chart(title, Markup(), "; ".join(filter(None, ["not recorded for these films", note])))
    figure.update_layout(
        height=HEIGHT_PX,
        margin={"l": 45, "r": 10, "t": 10, "b": 40},
        template="plotly_white",
        legend={"orientation": "h", "y": 1.12, "traceorder": "normal"},
        barmode="stack",
        bargap=0.08,
    )
    return Chart(title, chart_html(figure), note)


def _parts(films: pd.DataFrame) -> go.Figure | None:
    if films.empty:
        return None
    figure = go.Figure()
    for labelled, name, colour in ((True, "labelled", colours.COUNTS), (False, "without labels", colours.UNLABELLED)):
        counts = films.loc[films["labelled"] == labelled, "part"].replace("", "no part").value_counts()
        if len(counts):
            figure.add_bar(x=counts.index.tolist(), y=counts.tolist(), name=name, marker_color=colour)
    return figure.update_yaxes(title="films")


def _histogram(films: pd.DataFrame, column: str, label: str, width: float | None) -> go.Figure | None:
    rows = films[films[column].notna()]
    if rows.empty:
        return None
    figure = go.Figure()
    bins = {"size": width} if width else None
    for part, group in _by_part(rows):
        values = group[column].astype(float).tolist()
        name, colour = part or "no part", colours.PARTS[part]
        figure.add_histogram(x=values, xbins=bins, nbinsx=40, name=name, marker_color=colour)
    return figure.update_xaxes(title=label, dtick=1 if width == 1 else None).update_yaxes(title="films")


def _counts(films: pd.DataFrame, column: str) -> go.Figure | None:
    counts = films.loc[films[column] != "", column].value_counts()
    if counts.empty:
        return None
    return go.Figure(go.Bar(x=counts.index.tolist(), y=counts.tolist(), marker_color=colours.COUNTS)).update_yaxes(
        title="films"
    )


def _sizes(films: pd.DataFrame) -> go.Figure | None:
    if films.empty:
        return None
    figure = go.Figure()
    for part, group in _by_part(films):
        figure.add_scatter(
            x=group["width_px"].tolist(),
            y=group["height_px"].tolist(),
            text=group["film_id"].tolist(),
            mode="markers",
            name=part or "no part",
            marker={"color": colours.PARTS[part], "size": 6, "opacity": 0.6},
        )
    figure.update_xaxes(title="width, px", rangemode="tozero")
    return figure.update_yaxes(title="height, px", rangemode="tozero")


def _by_part(films: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The films of each part that has some, in the order of all charts."""
    return [(part, group) for part in colours.PARTS if len(group := films[films["part"] == part])]


def _slips(slips: pd.DataFrame) -> go.Figure | None:
    if slips.empty:
        return None
    figure = go.Figure()
    for level in sorted(slips["level"].unique(), reverse=True):
        rows = slips[slips["level"] == level]
        figure.add_box(
            y=rows["slip_percent"].tolist(),
            text=rows["film_id"].tolist(),
            name=str(level),
            marker_color=colours.COUNTS,
            boxpoints="outliers",
            showlegend=False,
        )
    return figure.update_yaxes(title="slip, % (forward positive)")
