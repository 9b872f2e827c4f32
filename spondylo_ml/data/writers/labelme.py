"""Write LabelMe's JSON files, one beside each film.

The points of a vertebra have one `group_id`, and labels such as `L5_superior_left`; a hidden corner has the flag
`hidden`. The format cannot hold a vertebra without a corner.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spondylo_ml.data.readers.tools.labelme import FIELDS, HIDDEN
from spondylo_ml.data.writers.base import PlacedFilm, images_folder, make_parent
from spondylo_ml.data.writers.films_table import known_cells
from spondylo_ml.landmarks import CORNERS, Film, Vertebra

VERSION = "5.5.0"
"""The version of LabelMe whose files these are like."""


class LabelMeWriter:
    """Writes films in `images/` with a file beside each."""

    kind = "labelme"
    needs_parts = False

    def place(self, film: Film) -> str | None:
        """The folder of the film's split, if it has one."""
        return images_folder(film)

    def write_labels(self, films: Sequence[PlacedFilm], to: Path) -> None:
        """Write the file of each film."""
        for placed in films:
            write_label(placed, placed.film.vertebrae or (), known_cells(placed.film), to)


def write_label(
    placed: PlacedFilm,
    vertebrae: Sequence[Vertebra],
    cells: Mapping[str, str],
    to: Path,
    descriptions: Mapping[int, Sequence[str]] | None = None,
) -> None:
    """Write the file of a film.

    Args:
        cells: what is known about the film.
        descriptions: by slot, a text for each corner, which LabelMe shows.
    """
    height, width = placed.film.size_hw
    tree = {
        "version": VERSION,
        "flags": {},
        "shapes": [shape for vertebra in vertebrae for shape in _shapes(vertebra, descriptions or {})],
        "imagePath": placed.image.name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
        FIELDS: dict(cells),
    }
    path = make_parent((to / placed.image).with_suffix(".json"))
    path.write_text(json.dumps(tree, indent=2, ensure_ascii=False), encoding="utf-8")


def _shapes(vertebra: Vertebra, descriptions: Mapping[int, Sequence[str]]) -> list[dict[str, Any]]:
    return [
        {
            "label": f"{vertebra.level}_{CORNERS[index]}",
            "points": [[float(value) for value in vertebra.corners_xy[index]]],
            "group_id": vertebra.slot + 1,
            "description": descriptions[vertebra.slot][index] if vertebra.slot in descriptions else "",
            "shape_type": "point",
            "flags": {} if vertebra.visible[index] else {HIDDEN: True},
            "mask": None,
        }
        for index in map(int, vertebra.present.nonzero()[0])
    ]
