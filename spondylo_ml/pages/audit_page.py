"""The page of an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from spondylo_ml.data.audit.findings import SEVERITIES, Audit, AuditFinding, Severity, worst_first
from spondylo_ml.data.films import FilmSet
from spondylo_ml.landmarks import Film
from spondylo_ml.pages.figures.audit_charts import dataset_charts
from spondylo_ml.pages.figures.audit_pictures import draw_finding, draw_labelled_film
from spondylo_ml.pages.render import jpeg_uri, render_page

SAMPLE_HEIGHT_PX = 260

MEANING = {
    "bad_file": "Files that cannot be used. They stop a training run or are left out of it (data.on_bad_file).",
    "blank_film": "Films that show nothing.",
    "body_aspect": "AP films whose vertebral bodies are much flatter or taller than on the other films.",
    "body_shape": "Bodies shaped unlike others of their level; most have a misplaced corner.",
    "body_size": "Films whose bodies are much larger or smaller than on the other films.",
    "body_step": "Bodies placed on their lower neighbour unlike on any other film.",
    "corner_order": "Corners in the wrong order. The ring marks the one named superior left.",
    "duplicate": "The same exposure more than once: identical, cropped, zoomed or mirrored.",
    "exposure": "Films with hardly any contrast, or almost all black or white.",
    "film_size": "Films whose size or shape is unlike that of the others.",
    "gap": "Neighbouring bodies much further apart or closer than usual.",
    "inverted_film": "Negatives: bone is darker than its surroundings.",
    "mirrored_film": "Films that face another way than most others, or than their corners show.",
    "not_checked": "Checks that need more films than the dataset has.",
    "overlap": "Bodies that overlap; above a quarter of their area, one is labelled twice or corners are misplaced.",
    "patient_in_two_parts": "Patients whose films would be used both for training and for evaluation.",
    "reader_doubt": "Ambiguous labels that the reader may have resolved wrongly: the order of vertebrae.",
    "reader_remark": "Labels that the reader completed, reordered or doubts.",
    "slot_overflow": "Vertebrae outside the levels of a model for this dataset; they count as missed.",
    "spacing": "Pixel spacings that give impossible body sizes or differ from the others.",
    "stretched_film": "Lateral films stretched in one direction: slips, angles and lengths cannot be measured on them.",
    "vertebra_order": "Levels in the wrong order or missing.",
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


def audit_page(
    films: FilmSet, audit: Audit, table: pd.DataFrame, slips: pd.DataFrame, most_pictures: int, sample_films: int
) -> str:
    """HTML: counts, checks, charts of the dataset, a sample of films, and the findings.

    Args:
        table: one row per film, from `audit_film_table`.
        slips: from `audit_slip_table`.
        most_pictures: number of findings to draw, the worst first; the others are listed without a picture.
        sample_films: number of films in the sample, evenly spaced over the dataset.
    """
    return render_page(
        "audit.html",
        title=f"Audit of {films.name}",
        films=films,
        audit=audit,
        counts=[(severity.value, len(audit.of(severity))) for severity in SEVERITIES],
        facts=_facts(films, table),
        charts=dataset_charts(table, slips),
        sample=_sample(films.limited(sample_films).films),
        sections=_sections(audit, films, most_pictures),
        most_pictures=most_pictures,
    )


def _sections(audit: Audit, films: FilmSet, most_pictures: int) -> list[CheckSection]:
    by_name: dict[str, Film] = {film.film_id: film for film in films.films}
    # Findings of readers name the file; in most layouts that is the film's name with a suffix.
    by_name |= {film.path.name: film for film in films.films if film.path}
    ordered = worst_first(audit.findings)
    drawn = _pictures(ordered, by_name, most_pictures)
    sections = []
    by_section = sorted(ordered, key=lambda f: (SEVERITIES.index(f.severity), f.check))  # stable: the worst stay first
    for (severity, check), group in groupby(by_section, key=lambda f: (f.severity, f.check)):
        shown = tuple(ShownFinding(finding, drawn.get(id(finding))) for finding in group)
        sections.append(CheckSection(severity.value, check, MEANING.get(check, ""), shown))
    return sections


def _pictures(findings: Sequence[AuditFinding], by_name: Mapping[str, Film], most_pictures: int) -> dict[int, str]:
    """Picture of each of the first findings that can be drawn, by the `id` of the finding; none of remarks."""
    pictures: dict[int, str] = {}
    for finding in findings:
        if len(pictures) == most_pictures:
            break
        picture = None if finding.severity is Severity.REMARK else draw_finding(finding, by_name)
        if picture is not None:
            pictures[id(finding)] = jpeg_uri(picture)
    return pictures


def _sample(films: Sequence[Film]) -> list[tuple[str, str]]:
    pictures = [(film.film_id, draw_labelled_film(film, height_px=SAMPLE_HEIGHT_PX)) for film in films]
    return [(name, jpeg_uri(picture)) for name, picture in pictures if picture is not None]


def _facts(films: FilmSet, table: pd.DataFrame) -> list[tuple[str, str]]:
    bodies = int(table["n_vertebrae"].fillna(0).sum())
    slots = films.slots.names
    return [
        ("layout", films.kind),
        ("films", f"{len(table)}, {int(table['labelled'].sum())} with labels"),
        ("patients", str(table["patient"].nunique())),
        ("vertebrae", str(bodies)),
        ("levels", f"{slots[0]} to {slots[-1]}"),
        ("films with spacing", str(int(table["spacing_x_mm"].notna().sum()))),
    ]
