"""Write the Mendeley layout with JSON labels; see the reader of the same name.

The layout cannot hold facing, spacing, patient, level names, hidden corners, or labels of test films. Its reader
assumes that the lowest vertebra is S1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spondylo_ml.data.readers.mendeley import JSON_ORDER
from spondylo_ml.data.writers.base import PlacedFilm, box_xyxy, make_parent
from spondylo_ml.landmarks import Film, Vertebra

DATA = "Train/Keypointrcnn_data"


class MendeleyWriter:
    """Writes the layout described above."""

    kind = "mendeley"
    needs_parts = True

    def place(self, film: Film) -> str | None:
        """Films without labels and all test films go to `Test`."""
        if not film.labelled or film.split == "test":
            return "Test"
        return f"{DATA}/images/{film.split or 'train'}" if _written(film) else None

    def write_labels(self, films: Sequence[PlacedFilm], to: Path) -> None:
        """Write one JSON file per film, with vertebrae head to tail."""
        (to / DATA / "labels").mkdir(parents=True, exist_ok=True)
        for placed in films:
            if placed.image.parts[0] == "Test":
                continue
            label = to / DATA / "labels" / placed.image.parent.name / f"{placed.image.stem}.json"
            make_parent(label).write_text(json.dumps(_label(_written(placed.film))), encoding="utf-8")


def _written(film: Film) -> list[Vertebra]:
    """The vertebrae that can be written, those with a corner, from head to tail."""
    return [v for v in reversed(film.vertebrae or ()) if v.present.any()]


def _label(vertebrae: Sequence[Vertebra]) -> dict[str, object]:
    # The inverse of the reader's order.
    order = np.argsort(JSON_ORDER)
    return {
        "boxes": [list(box_xyxy(v.corners_xy)) for v in vertebrae],
        "keypoints": [
            [
                [float(x), float(y), 1] if present else [0.0, 0.0, 0]
                for (x, y), present in zip(v.corners_xy[order], v.present[order], strict=True)
            ]
            for v in vertebrae
        ],
        "labels": [0] * len(vertebrae),
    }
