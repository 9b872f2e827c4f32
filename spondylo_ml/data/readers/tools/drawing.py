"""What a labelling tool's file says about a film, before names and corners are understood.

Every tool joins points in its own way; a parser turns that into bodies, each with the words of its points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from spondylo_ml.data.readers.remarks import Remark
from spondylo_ml.errors import FileError

Unit = Literal["px", "percent", "mm"]
Words = tuple[str, ...]
"""The labels that a person gave to a point or body, as they are in the file."""


@dataclass(frozen=True)
class DrawnPoint:
    """A point.

    Attributes:
        words: its labels.
        xy: in the unit of the film; None if the file says that the corner is absent.
        hidden: whether the file says that the corner cannot be seen.
    """

    words: Words
    xy: tuple[float, float] | None
    hidden: bool = False


@dataclass(frozen=True)
class DrawnBody:
    """Points that the tool joined: by a box, a group, a skeleton or a polygon.

    Attributes:
        words: labels of the whole.
        points: empty for a box without points.
    """

    words: Words
    points: tuple[DrawnPoint, ...]


@dataclass(frozen=True)
class Drawing:
    """The annotations of one film.

    Attributes:
        file: the annotation file.
        film: name of the film, as the file gives it; empty, with an error, if it gives none.
        bodies: points that are joined.
        loose: points that are not.
        unit: of all points; percent is that of the film's width and height, mm that of 3D Slicer.
        size_hw: size of the film in px, if the file states it.
        fields: metadata by the columns of `films.csv`, as text.
        part: split that the file names.
        remarks: what the parser left out.
        error: why the annotations of this film cannot be read.
        only_draft: whether the file has nothing but predictions for this film.
    """

    file: Path
    film: str
    bodies: tuple[DrawnBody, ...] = ()
    loose: tuple[DrawnPoint, ...] = ()
    unit: Unit = "px"
    size_hw: tuple[int, int] | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    part: str | None = None
    remarks: tuple[Remark, ...] = ()
    error: FileError | None = None
    only_draft: bool = False


@dataclass(frozen=True)
class DrawnBox:
    """A box that names the vertebra of the points in it; sides in the unit of the film.

    Attributes:
        turned: whether the box was turned, so that its sides do not show what lies in it.
    """

    words: Words
    xyxy: tuple[float, float, float, float]
    turned: bool = False

    def holds(self, point: DrawnPoint) -> bool:
        """Whether the point lies in the box or on its edge."""
        left, top, right, bottom = self.xyxy
        return point.xy is not None and left <= point.xy[0] <= right and top <= point.xy[1] <= bottom


def in_boxes(
    loose: tuple[DrawnPoint, ...], boxes: tuple[DrawnBox, ...], file: str
) -> tuple[tuple[DrawnBody, ...], tuple[DrawnPoint, ...]]:
    """The bodies of boxes, with the points that lie in them, and the points that lie in none.

    Raises:
        FileError: a point lies in several boxes, or a box is turned.
    """
    if loose and any(box.turned for box in boxes):
        raise FileError(
            file, "a box is turned, so that the points in it cannot be told: join them to it, or turn it back"
        )
    members: list[list[DrawnPoint]] = [[] for _ in boxes]
    outside = []
    for point in loose:
        inside = [index for index, box in enumerate(boxes) if box.holds(point)]
        if len(inside) > 1:
            raise FileError(
                file, "a point lies in several boxes: join the points to their box, or name the level in their labels"
            )
        if inside:
            members[inside[0]].append(point)
        else:
            outside.append(point)
    bodies = tuple(DrawnBody(box.words, tuple(points)) for box, points in zip(boxes, members, strict=True))
    return bodies, tuple(outside)
