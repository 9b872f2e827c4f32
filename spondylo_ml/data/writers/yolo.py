"""Write YOLO-pose labels with `data.yaml` and `films.csv`; see the reader of the same name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from spondylo_ml.data.readers.yolo import HIDDEN, VISIBLE
from spondylo_ml.data.readers.yolo_classes import CLASSES_FILE
from spondylo_ml.data.split import PARTS
from spondylo_ml.data.writers.base import PlacedFilm, box_xyxy, images_folder, make_parent
from spondylo_ml.data.writers.films_table import write_films_csv
from spondylo_ml.landmarks import CORNERS, LEVELS, MIRRORED_CORNERS, Film, Vertebra


class YoloWriter:
    """Writes the layout described above."""

    kind = "yolo"
    needs_parts = False

    def place(self, film: Film) -> str | None:
        """The folder of the film's split, if it has one; None for a labelled film without vertebrae."""
        return None if film.labelled and not film.vertebrae else images_folder(film)

    def write_labels(self, films: Sequence[PlacedFilm], to: Path) -> None:
        """Write one TXT file per film, the classes, and a table with the remaining metadata."""
        for folder in ("images", "labels"):
            (to / folder).mkdir(parents=True, exist_ok=True)
        for placed in films:
            if placed.film.labelled:
                label = (to / "labels" / placed.image.relative_to("images")).with_suffix(".txt")
                lines = [_line(v, placed.film.size_hw) for v in reversed(placed.film.vertebrae or ())]
                make_parent(label).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        parts = {part: f"images/{part}" for part in PARTS if any(p.film.split == part for p in films)}
        dataset = {
            **parts,
            "names": dict(enumerate(LEVELS)),
            "kpt_shape": [len(CORNERS), 3],
            "flip_idx": list(MIRRORED_CORNERS),
            "kpt_names": {slot: list(CORNERS) for slot in range(len(LEVELS))},
        }
        (to / CLASSES_FILE).write_text(yaml.safe_dump(dataset, sort_keys=False), encoding="utf-8")
        write_films_csv(films, to)


def _line(vertebra: Vertebra, size_hw: tuple[int, int]) -> str:
    height, width = size_hw
    left, top, right, bottom = box_xyxy(vertebra.corners_xy)
    box = ((left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height)
    fields = [str(vertebra.slot), *map(repr, box)]
    for (x, y), present, visible in zip(vertebra.corners_xy, vertebra.present, vertebra.visible, strict=True):
        point = (repr(float(x) / width), repr(float(y) / height)) if present else ("0.0", "0.0")
        fields += [*point, str((VISIBLE if visible else HIDDEN) if present else 0)]
    return " ".join(fields)
