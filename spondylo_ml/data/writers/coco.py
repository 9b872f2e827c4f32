"""Write COCO keypoints with the extra image fields of the reader of the same name; levels are attributes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spondylo_ml.data.levels_from import levels_from_word
from spondylo_ml.data.readers.coco import HIDDEN, VISIBLE
from spondylo_ml.data.writers.base import PlacedFilm, box_xyxy
from spondylo_ml.landmarks import CORNERS, OUTLINE, Film, Vertebra

CATEGORY_ID = 1


class CocoWriter:
    """Writes `images/` and `annotations.json`."""

    kind = "coco"
    needs_parts = False

    def place(self, film: Film) -> str | None:
        """All films side by side."""
        return "images"

    def write_labels(self, films: Sequence[PlacedFilm], to: Path) -> None:
        """Write one JSON file for all films."""
        (to / "images").mkdir(parents=True, exist_ok=True)
        images = [_image(number, placed) for number, placed in enumerate(films, start=1)]
        annotations: list[dict[str, Any]] = []
        for number, placed in enumerate(films, start=1):
            for vertebra in placed.film.vertebrae or ():
                annotations.append(_annotation(len(annotations) + 1, number, vertebra))
        ring = [index + 1 for index in OUTLINE]
        category = {
            "id": CATEGORY_ID,
            "name": "vertebra",
            "supercategory": "spine",
            "keypoints": list(CORNERS),
            "skeleton": [list(pair) for pair in zip(ring, [*ring[1:], ring[0]], strict=True)],
        }
        tree = {"images": images, "annotations": annotations, "categories": [category]}
        (to / "annotations.json").write_text(json.dumps(tree), encoding="utf-8")


def _image(number: int, placed: PlacedFilm) -> dict[str, Any]:
    film: Film = placed.film
    height, width = film.size_hw
    entry: dict[str, Any] = {"id": number, "file_name": placed.image.name, "width": width, "height": height}
    entry |= {"patient": film.patient, "facing": str(film.facing), "labelled": film.labelled}
    if film.vertebrae:
        entry["levels_from"] = levels_from_word(film)
    if film.spacing:
        entry["pixel_spacing_mm"] = [film.spacing.x_mm, film.spacing.y_mm]
        entry["pixel_spacing_from"] = film.spacing.provenance
    if film.aspect_given or film.pixel_aspect != (film.spacing.pixel_aspect if film.spacing else 1.0):
        entry["pixel_aspect"] = film.pixel_aspect
    optional = {
        "split": film.split,
        "sex": film.sex or None,
        "age_years": film.age_years,
        "reader": film.reader or None,
    }
    return entry | {name: value for name, value in optional.items() if value is not None}


def _annotation(number: int, image_id: int, vertebra: Vertebra) -> dict[str, Any]:
    keypoints: list[float] = []
    for (x, y), present, visible in zip(vertebra.corners_xy, vertebra.present, vertebra.visible, strict=True):
        keypoints += [float(x), float(y), VISIBLE if visible else HIDDEN] if present else [0.0, 0.0, 0]
    left, top, right, bottom = box_xyxy(vertebra.corners_xy)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": CATEGORY_ID,
        "attributes": {"level": vertebra.level},
        "keypoints": keypoints,
        "num_keypoints": int(vertebra.present.sum()),
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top),
        "iscrowd": 0,
    }
