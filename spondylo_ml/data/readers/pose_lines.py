"""Read the lines of a YOLO-pose label: class, box, and four points with or without visibility."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spondylo_ml.data.readers.fields import parse_floats, read_text_lines, require_classes, require_visibility
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import CORNERS, FloatArray

BOX_FIELDS = 5  # class, centre and size of the box
VISIBLE = 2
BOX_SHARES = (-0.5, 1.5)
"""Range of box coordinates: a box may extend beyond the film with a corner, but coordinates in px are rejected."""


@dataclass(frozen=True)
class PoseLines:
    """Vertebrae in the order of the file.

    Attributes:
        classes: (V,) class of each vertebra.
        points: (V, 4, 3) x and y as fractions of width and height, and visibility.
    """

    classes: tuple[int, ...]
    points: FloatArray


def read_pose_lines(path: Path, values_a_point: int = 3) -> PoseLines:
    """Read the lines of a label file.

    Args:
        values_a_point: 3 with visibility; 2 without, where all points count as visible.

    Raises:
        FileError: the file is not text, or a line is invalid.
    """
    n_fields = BOX_FIELDS + values_a_point * len(CORNERS)
    classes, rows = [], []
    for number, fields in enumerate(read_text_lines(path), start=1):
        where = f"line {number}"
        if len(fields) != n_fields:
            raise FileError(path.name, f"{where} has {len(fields)} fields, {n_fields} are needed{_hint(len(fields))}")
        numbers = parse_floats(fields, path.name, where)
        require_classes(numbers[:1], path.name, where)
        _require_box(numbers[1:BOX_FIELDS], path.name, where)
        classes.append(int(numbers[0]))
        points = np.array(numbers[BOX_FIELDS:]).reshape(len(CORNERS), values_a_point)
        if values_a_point == 2:
            if (points == 0).all(axis=1).any():
                raise FileError(
                    path.name,
                    f"{where}: a point at 0 0, which may stand for an absent one: give visibilities, kpt_shape: [4, 3]",
                )
            points = np.concatenate([points, np.full((len(CORNERS), 1), VISIBLE)], axis=1)
        require_visibility(points[:, 2], path.name, where)
        rows.append(points)
    return PoseLines(tuple(classes), np.stack(rows))


def _require_box(box: list[float], file: str, where: str) -> None:
    low, high = BOX_SHARES
    if not all(low <= value <= high for value in box) or min(box[2:]) < 0:
        raise FileError(file, f"{where}: the box must be shares of width and height, between 0 and 1")


def _hint(n_fields: int) -> str:
    """What a line of another length probably is."""
    hints = {
        BOX_FIELDS: ": it is a box without points",
        BOX_FIELDS + 2 * len(CORNERS): ": two values a point are read where data.yaml says kpt_shape: [4, 2]",
        BOX_FIELDS + 3 * len(CORNERS): ": it has a visibility for each point, which data.yaml denies by its kpt_shape",
    }
    return hints.get(n_fields, "")
