"""Write 3D Slicer's Markups, a `.mrk.json` beside each film, and `films.csv`.

Points are in LPS, at the places where Slicer shows the film. An absent corner is a point whose position is undefined, a
hidden one has the description `hidden`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spondylo_ml.data.readers.tools.slicer import HIDDEN, MARKUPS, UNDEFINED
from spondylo_ml.data.readers.tools.slicer_spacing import slicer_mm_per_px
from spondylo_ml.data.writers.base import PlacedFilm, images_folder, make_parent
from spondylo_ml.data.writers.films_table import write_films_csv
from spondylo_ml.landmarks import CORNERS, Film, Vertebra

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
_AXES = [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]
"""Orientation of a point as Slicer writes it in LPS."""


class SlicerWriter:
    """Writes films in `images/` with a file beside each, and the table."""

    kind = "slicer"
    needs_parts = False

    def place(self, film: Film) -> str | None:
        """The folder of the film's split, if it has one; None for a labelled film without vertebrae."""
        return None if film.labelled and not film.vertebrae else images_folder(film)

    def write_labels(self, films: Sequence[PlacedFilm], to: Path) -> None:
        """Write the points of each labelled film, and the table."""
        to.mkdir(parents=True, exist_ok=True)
        for placed in films:
            if placed.film.labelled:
                write_markups(placed, placed.film.vertebrae or (), to)
        write_films_csv(films, to)


def write_markups(
    placed: PlacedFilm,
    vertebrae: Sequence[Vertebra],
    to: Path,
    descriptions: Mapping[int, Sequence[str]] | None = None,
) -> None:
    """Write the points of a film.

    Args:
        descriptions: by slot, a text for each visible corner, which Slicer shows.
    """
    image = to / placed.image
    mm_per_px = slicer_mm_per_px(image) if image.is_file() else (1.0, 1.0)
    points = [point for v in vertebrae for point in _points(v, mm_per_px, (descriptions or {}).get(v.slot))]
    node = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": len(points),
        "controlPoints": [{"id": str(number), **point} for number, point in enumerate(points, start=1)],
        "measurements": [],
    }
    path = make_parent(image.with_name(placed.image.stem + MARKUPS))
    path.write_text(json.dumps({"@schema": SCHEMA, "markups": [node]}, indent=1), encoding="utf-8")


def _points(
    vertebra: Vertebra, mm_per_px: tuple[float, float], descriptions: Sequence[str] | None
) -> list[dict[str, Any]]:
    points = []
    for index, corner in enumerate(CORNERS):
        present, visible = bool(vertebra.present[index]), bool(vertebra.visible[index])
        text = descriptions[index] if descriptions and visible else HIDDEN if present and not visible else ""
        x, y = (float(value) * mm for value, mm in zip(vertebra.corners_xy[index], mm_per_px, strict=True))
        points.append(
            {
                "label": f"{vertebra.level}_{corner}",
                "description": text,
                "associatedNodeID": "",
                "position": [x, y, 0.0] if present else "",
                "orientation": _AXES,
                "selected": True,
                "locked": False,
                "visibility": True,
                "positionStatus": "defined" if present else UNDEFINED,
            }
        )
    return points
