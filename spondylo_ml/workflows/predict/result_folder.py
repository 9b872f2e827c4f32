"""The folder that `predict` writes: tables of all films, and pictures and reports of single films.

    index.html            all films at a glance: pictures, slips, levels to refer
    predictions.json      all results, one row per film (`serving.film_result.COLUMNS`)
    films.csv             one row per film: its state, facing, warnings
    levels.csv            one row per level: slip, interval, grade and their probabilities
    corners.csv           one row per corner of every slot, by the image's side and by the patient's
    overlays/<film>.png   the film with its corners
    reports/<film>.html   the one-film report, the same as JSON, and on request as a PDF
    changes.csv, changes/ changes between films of one patient (`changes`)
    drafts/               on request, drafts for a labelling tool (`data.writers.drafts`), and a record of them
    unfinished.jsonl      until all films are read, those that are (`finished_films`)

Films go by their pseudonyms, as in runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import pandas as pd

from spondylo_ml.disclaimer import FILM_NOTICE
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD
from spondylo_ml.film_report.report import write_json
from spondylo_ml.film_report.report_texts import ReportTexts, english_texts
from spondylo_ml.landmarks import CORNERS, Facing, patient_corners
from spondylo_ml.pages.figures.film_picture import REGION_PERCENT
from spondylo_ml.pages.figures.overlay import draw_measured_film
from spondylo_ml.pages.film_report_page import write_html
from spondylo_ml.pages.film_report_pdf import film_report_sheet
from spondylo_ml.pages.gallery_page import (
    MOST_THUMBNAILS,
    ComparedPair,
    GalleryFilm,
    gallery_film,
    gallery_page,
    thumbnail_of,
)
from spondylo_ml.serving.film_model import FilmModel
from spondylo_ml.serving.film_result import SLIP_FIELDS, FilmResult
from spondylo_ml.workflows.predict.draft_folder import DraftFolder, write_png
from spondylo_ml.workflows.predict.finished_films import Row

FORMAT = "spondylo_ml predictions 1"
OVERLAY_HEIGHT_PX = 768

FILM_COLUMNS = ("film", "film_key", "height_px", "width_px", "n_vertebrae", "facing", "levels_known", "warnings",
                "error")  # fmt: skip
LEVEL_COLUMNS = ("film", *SLIP_FIELDS)
CORNER_COLUMNS = ("film", "slot", "level", "presence", "corner", "patient_corner", "x_px", "y_px", "corner_score")


@dataclass(frozen=True)
class ReportFiles:
    """The files of a film's report.

    Attributes:
        pdf: whether a PDF for printing is among them.
        texts: of the page and the PDF, in the language of their readers.
    """

    pdf: bool = False
    texts: ReportTexts = field(default_factory=english_texts)

    def write(self, folder: Path, model: FilmModel, result: FilmResult) -> None:
        """Write the files of a film that has a result.

        Raises:
            DataError: the film has no result.
        """
        if result.film is None or result.prediction is None:
            raise DataError(f"film {result.film_id} has no report: {result.error}")
        name, pixels, report = result.film_id, result.film.image.read(), model.report(result)
        write_json(report, folder / f"{name}.json")
        regions = model.corner_regions_px2(result, REGION_PERCENT / 100)
        write_html(report, pixels, folder / f"{name}.html", name, regions, self.texts)
        if self.pdf:
            refused = bool(result.prediction.refusal)
            sheet = film_report_sheet(report, pixels, name, model.digest, self.texts, refused)
            sheet.write(folder / f"{name}.pdf", self.texts.text("title", name=name))


class ResultFolder:
    """Writes results one by one; keeps no pixels in memory."""

    def __init__(
        self,
        root: Path,
        model: FilmModel,
        overlays: bool = True,
        reports: ReportFiles | None = ReportFiles(),
        draft_format: str | None = None,
    ) -> None:
        self.root, self._model = root, model
        self._overlays, self._reports = overlays, reports
        self._rows: list[Row] = []
        self._drafts = DraftFolder(root, model, draft_format) if draft_format else None
        root.mkdir(parents=True, exist_ok=True)
        for name, wanted in (("overlays", overlays), ("reports", reports is not None)):
            if wanted:
                (root / name).mkdir(exist_ok=True)

    def add_finished(self, row: Row) -> None:
        """Keep the row of a film whose overlay and report are there already."""
        self._rows.append(row)

    def add(self, result: FilmResult) -> Row:
        """Write the overlay and report of a film, and keep its row for the tables; returns the row."""
        row = {"film": result.film_id, **result.to_row()}
        self._rows.append(row)
        if result.film is None or result.prediction is None or result.measurement is None:
            self._remove_files(result.film_id)
            return row
        if self._drafts:
            self._drafts.add(result.film, result.prediction)
        if self._overlays:
            picture = draw_measured_film(result.film, result.prediction, result.measurement, OVERLAY_HEIGHT_PX)
            write_png(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), self.root / "overlays" / f"{result.film_id}.png")
        if self._reports:
            self._reports.write(self.root / "reports", self._model, result)
        return row

    def _remove_files(self, name: str) -> None:
        """Remove what an earlier start wrote, when the film could still be read."""
        reports = (self.root / "reports" / f"{name}.{suffix}" for suffix in ("html", "json", "pdf"))
        for path in (self.root / "overlays" / f"{name}.png", *reports):
            path.unlink(missing_ok=True)

    def write_tables(self) -> None:
        """Write the tables, the drafts and the gallery of all films that were added."""
        if self._drafts:
            self._drafts.write()
        slots = self._model.bundle.slots
        content = {
            "format": FORMAT,
            "notice": FILM_NOTICE,
            "model": self._model.name,
            "first_slot": slots.first,
            "corner_order": list(CORNERS),
            "films": self._rows,
        }
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        (self.root / "predictions.json").write_text(text, encoding="utf-8")
        films, levels, corners = tables(self._rows, slots.first)
        for name, table in (("films", films), ("levels", levels), ("corners", corners)):
            table.to_csv(self.root / f"{name}.csv", index=False)
        self.write_gallery()

    def write_gallery(self, compared: Sequence[ComparedPair] = ()) -> None:
        """Write the page of all films, with the pairs of films of one patient that were compared."""
        page = gallery_page(self._gallery(), self._model.name, compared)
        (self.root / "index.html").write_text(page, encoding="utf-8")

    def _gallery(self) -> list[GalleryFilm]:
        """All films; the least certain ones have a thumbnail, as many as fit into a page."""
        films = [gallery_film(row, self._report_address(row)) for row in self._rows]
        if not self._overlays:
            return films
        shown = {film.name for film in sorted(films, key=lambda film: film.by_uncertainty)[:MOST_THUMBNAILS]}
        return [
            replace(film, thumbnail=thumbnail_of(self.root / "overlays" / f"{film.name}.png"))
            if film.name in shown and not film.error
            else film
            for film in films
        ]

    def _report_address(self, row: Row) -> str:
        return f"reports/{row['film']}.html" if self._reports and not row["error"] else ""


def tables(rows: list[Row], first_slot: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Make the tables of films, levels and corners from rows that have a `film` column too; absent values are empty.

    So is the level of a corner where levels have no names: its slot is the network's, and may be another.
    """
    films = [_film(row) for row in rows]
    levels = [
        (row["film"], *(_cell(slip[name]) for name in SLIP_FIELDS)) for row in rows for slip in row["slips"] or ()
    ]
    corners = [
        (row["film"], first_slot + v, level if row["levels_known"] else None, row["presence"][v], CORNERS[c],
         patient_corners(Facing(row["facing"]))[c], *row["corners_xy_px"][v][c],
         row["corner_score"][v][c])
        for row in rows
        for v, level in enumerate(row["levels"] or ())
        for c in range(len(CORNERS))
    ]  # fmt: skip
    return (
        pd.DataFrame(films, columns=list(FILM_COLUMNS), dtype=object),
        pd.DataFrame(levels, columns=list(LEVEL_COLUMNS), dtype=object),
        pd.DataFrame(corners, columns=list(CORNER_COLUMNS)),
    )


def _film(row: Row) -> tuple[object, ...]:
    height, width = row["size_hw_px"] or (None, None)
    n_vertebrae = sum(p >= PRESENCE_THRESHOLD for p in row["presence"]) if row["presence"] else None
    warnings = "; ".join(row["warnings"] or ())
    key, facing, levels_known = (row[name] for name in ("film_key", "facing", "levels_known"))
    return row["film"], key, height, width, n_vertebrae, facing, levels_known, warnings, row["error"]


def _cell(value: object) -> object:
    """Join a list with spaces; other values stay as they are."""
    return " ".join(map(str, value)) if isinstance(value, list) else value
