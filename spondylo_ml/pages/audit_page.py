"""The report of an audit: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jinja2 import Environment
from plotly.offline import get_plotlyjs

from spondylo_ml.data.audit.findings import SEVERITIES, Audit, AuditFinding, Severity, in_order
from spondylo_ml.data.films import FilmSet
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Film
from spondylo_ml.pages.figures.audit_charts import dataset_charts
from spondylo_ml.pages.figures.audit_pictures import draw_finding, draw_labels
from spondylo_ml.pages.figures.overlay import Picture

TEMPLATE = Path(__file__).parent / "templates" / "audit.html"
JPEG_QUALITY = 80
SAMPLE_HEIGHT_PX = 260

MEANING = {
    "bad_file": "Files that cannot be used. Training stops on them, or leaves them out (data.on_bad_file).",
    "blank_film": "Films on which nothing can be seen.",
    "body_aspect": "AP films whose bodies are much flatter or higher than on the other films.",
    "body_shape": "Bodies shaped unlike those of their level on the other films; most have a corner out of place.",
    "body_size": "Films on which the bodies are much larger or smaller than on the others.",
    "body_step": "Bodies that lie on their lower neighbour as on no other film.",
    "corner_order": "Corners listed in another order than they are named. The ring marks the superior left one.",
    "duplicate": "The same exposure more than once: equal, cropped, zoomed, or mirrored.",
    "exposure": "Films with hardly any contrast, or almost all black or white.",
    "film_size": "Films whose size or shape is unlike that of the others.",
    "gap": "Neighbours much further apart, or closer, than usual.",
    "inverted_film": "Negatives: bone is darker than what lies beside it.",
    "mirrored_film": "Films that face another way than most, or than their corners say.",
    "not_checked": "Checks that need more films than there are.",
    "overlap": "Bodies that cover each other; above a quarter one is listed twice, or corners are out of place.",
    "patient_in_two_parts": "Patients on whom a network would be both trained and judged.",
    "reader_doubt": "What the reader had to decide, and may have decided wrongly: the order of vertebrae.",
    "reader_remark": "What the reader assumed, exchanged or saw to be wrong.",
    "slot_overflow": "Vertebrae beyond the levels of a model for this dataset: they count as missed.",
    "spacing": "Spacings with which sizes become impossible, or unlike the others.",
    "stretched_film": "Lateral films stretched in one direction: no slip, angle or mm can be measured on them.",
    "vertebra_order": "Levels in the wrong order, or left out.",
}
"""What each check looks for."""


@dataclass(frozen=True)
class ShownFinding:
    """A finding with its picture, if it has one."""

    finding: AuditFinding
    picture: str | None


@dataclass(frozen=True)
class CheckSection:
    """All findings of one check and severity."""

    severity: str
    check: str
    meaning: str
    findings: tuple[ShownFinding, ...]


def build_report(
    films: FilmSet, audit: Audit, table: pd.DataFrame, slips: pd.DataFrame, most_pictures: int, sample_films: int
) -> str:
    """The HTML of the report.

    Args:
        table: one row a film, as `audit_film_table` makes it.
        slips: as `audit_slip_table` makes them.
        most_pictures: findings drawn, the worst first; the others are listed without a picture.
        sample_films: films in the sample grid, evenly spaced over the dataset.
    """
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        films=films,
        audit=audit,
        counts=[(severity.value, len(audit.of(severity))) for severity in SEVERITIES],
        facts=_facts(films, table),
        charts=dataset_charts(table, slips),
        sample=_sample(films.limited(sample_films).films),
        sections=_sections(audit, films, most_pictures),
        most_pictures=most_pictures,
        plotly=get_plotlyjs(),
    )


def as_data_uri(picture: Picture) -> str:
    """A picture as a JPEG inside an address.

    Raises:
        DataError: it cannot be encoded.
    """
    colour = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", colour, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise DataError(f"a picture of {picture.shape} cannot be encoded as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(np.asarray(data).tobytes()).decode()


def _sections(audit: Audit, films: FilmSet, most_pictures: int) -> list[CheckSection]:
    by_name: dict[str, Film] = {film.film_id: film for film in films.films}
    # A reader names the file, which for most layouts is the film's name and a suffix.
    by_name |= {film.path.name: film for film in films.films if film.path}
    left = most_pictures
    sections = []
    for (severity, check), group in groupby(in_order(audit.findings), key=lambda f: (f.severity, f.check)):
        shown = []
        for finding in group:
            picture = draw_finding(finding, by_name) if left > 0 and severity is not Severity.REMARK else None
            left -= picture is not None
            shown.append(ShownFinding(finding, None if picture is None else as_data_uri(picture)))
        sections.append(CheckSection(severity.value, check, MEANING.get(check, ""), tuple(shown)))
    return sections


def _sample(films: Sequence[Film]) -> list[tuple[str, str]]:
    pictures = [(film.film_id, draw_labels(film, height_px=SAMPLE_HEIGHT_PX)) for film in films]
    return [(name, as_data_uri(picture)) for name, picture in pictures if picture is not None]


def _facts(films: FilmSet, table: pd.DataFrame) -> list[tuple[str, str]]:
    bodies = int(table["n_vertebrae"].fillna(0).sum())
    slots = films.slots.names
    return [
        ("layout", films.kind),
        ("films", f"{len(table)}, {int(table['labelled'].sum())} with labels"),
        ("patients", str(table["patient"].nunique())),
        ("vertebrae", str(bodies)),
        ("slots", f"{slots[0]} to {slots[-1]}"),
        ("films with spacing", str(int(table["spacing_x_mm"].notna().sum()))),
    ]
