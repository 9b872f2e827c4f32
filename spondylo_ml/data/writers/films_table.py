"""Write `films.csv`, or its columns as fields of another file: what most label formats cannot hold about a film."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from spondylo_ml.data.levels_from import levels_from_word
from spondylo_ml.data.readers.film_row import COLUMNS, FILMS_CSV
from spondylo_ml.data.writers.base import PlacedFilm
from spondylo_ml.landmarks import Film
from spondylo_ml.spacing import UNKNOWN_ASPECT, resolve_pixel_aspect


def write_films_csv(films: Sequence[PlacedFilm], to: Path) -> None:
    """Write the table of all films."""
    with (to / FILMS_CSV).open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows({"filename": placed.image.name, **film_cells(placed.film)} for placed in films)


def film_cells(film: Film) -> dict[str, str]:
    """The columns of a film but its name; empty where nothing is known."""
    return {
        "patient": film.patient,
        "facing": str(film.facing),
        "spacing_x_mm": repr(film.spacing.x_mm) if film.spacing else "",
        "spacing_y_mm": repr(film.spacing.y_mm) if film.spacing else "",
        "pixel_aspect": _aspect(film),
        "labelled": "yes" if film.labelled else "no",
        "sex": film.sex,
        "age_years": "" if film.age_years is None else str(film.age_years),
        "levels_from": levels_from_word(film) if film.vertebrae else "",
        "spacing_from": film.spacing.provenance if film.spacing else "",
        "reader": film.reader,
    }


def known_cells(film: Film) -> dict[str, str]:
    """The columns of a film that are not empty."""
    return {name: cell for name, cell in film_cells(film).items() if cell}


def _aspect(film: Film) -> str:
    """Cell of the pixel aspect; empty if it follows from the spacing or is assumed."""
    if film.pixel_aspect is None:
        return UNKNOWN_ASPECT
    is_default = film.pixel_aspect == resolve_pixel_aspect(None, film.spacing)[0]
    return "" if is_default and not film.aspect_given else repr(film.pixel_aspect)
