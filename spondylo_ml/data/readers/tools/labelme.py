"""LabelMe's JSON files, one for each film.

A vertebra is points with one `group_id`, and a rectangle or polygon of that group may name its level; or points whose
labels name level and corner; or points in a rectangle; or a polygon of four points labelled with the level. A point
with the flag `hidden` cannot be seen; an absent corner has no point. LabelMe keeps keys that it does not know: `film`
may have the columns of `films.csv`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.readers.fields import finite_numbers, read_json
from spondylo_ml.data.readers.film_row import COLUMNS
from spondylo_ml.data.readers.remarks import Remark, misnamed_remarks
from spondylo_ml.data.readers.tools import dataset
from spondylo_ml.data.readers.tools.drawing import Drawing, DrawnBody, DrawnBox, DrawnPoint, Words, in_boxes
from spondylo_ml.data.readers.tools.mapping import Mapping as NameMapping
from spondylo_ml.errors import FileError

JSON = (".json",)
FIELDS, HIDDEN = "film", "hidden"
SHAPES = ("point", "polygon", "rectangle")

_KEY = re.compile(r'"shapes"\s*:')
_IMAGE_KEY = re.compile(r'"(imageData|imagePath)"\s*:')

Shape = Mapping[str, Any]


class LabelMeReader:
    """Reads the layout described above."""

    kind = "labelme"
    layout = "films in images/, and LabelMe's JSON files beside them"
    marks: tuple[str, ...] = ("images",)

    def recognises(self, root: Path) -> bool:
        """Whether there are films and a JSON file that begins as LabelMe's."""
        return dataset.has_tool_file(root, JSON, is_label)

    def files(self, root: Path) -> list[Path]:
        """The files with annotations."""
        return dataset.tool_files(root, JSON, is_label)

    def parse(self, path: Path, mapping: NameMapping) -> list[Drawing]:
        """The drawing of the file's film."""
        return [drawing_of(path)]

    def read(self, root: Path) -> FilmSet:
        """All films that have a file."""
        return dataset.read_dataset(self.kind, root, self.files(root), self.parse, dataset.no_scale)


def is_label(path: Path) -> bool:
    """Whether a file begins as LabelMe's."""
    text = dataset.head(path).lstrip()
    if not text.startswith("{"):
        return False
    if _KEY.search(text):
        return True
    # The image may stand before the shapes, and is longer than the part that is read here.
    return _IMAGE_KEY.search(text) is not None and path.stat().st_size > dataset.HEAD_BYTES


def drawing_of(path: Path) -> Drawing:
    """The drawing of a file; what is wrong with its shapes is the error of the drawing.

    Raises:
        FileError: not a file of LabelMe.
    """
    tree = read_json(path)
    shapes = tree.get("shapes") if isinstance(tree, dict) else None
    if not isinstance(tree, dict) or not isinstance(shapes, list) or not all(isinstance(s, dict) for s in shapes):
        raise FileError(path.name, "shapes must be a list of objects, as LabelMe writes them")
    image = tree.get("imagePath")
    film = PurePosixPath(image.replace("\\", "/")).name if isinstance(image, str) else ""
    film = film or path.stem
    drawing = Drawing(path, film)
    try:
        drawing = replace(drawing, fields=_fields(tree.get(FIELDS), film), size_hw=_size_hw(tree, film))
        misnamed = misnamed_remarks(tree.get(FIELDS) or (), COLUMNS[1:])
        return _drawn(replace(drawing, remarks=tuple(misnamed)), shapes)
    except FileError as error:
        return replace(drawing, error=error)


def _fields(fields: object, film: str) -> dict[str, str]:
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise FileError(film, f"{FIELDS} must be names and values, the columns of films.csv")
    return {name: str(value) for name, value in fields.items() if name in COLUMNS[1:] and value is not None}


def _size_hw(tree: Mapping[str, Any], film: str) -> tuple[int, int] | None:
    sides = [tree.get("imageHeight"), tree.get("imageWidth")]
    if None in sides:
        return None
    height, width = finite_numbers(sides, film, "imageHeight and imageWidth")
    return int(height), int(width)


def _drawn(drawing: Drawing, shapes: Sequence[Shape]) -> Drawing:
    film = drawing.film
    known = [shape for shape in shapes if shape.get("shape_type", "polygon") in SHAPES]
    groups: dict[object, list[Shape]] = {}
    for shape in known:
        if shape.get("group_id") is not None:
            groups.setdefault(str(shape["group_id"]), []).append(shape)
    whole = [members for members in groups.values() if any(_kind(shape) == "point" for shape in members)]
    bodies = [_group(members, film) for members in whole]
    # Without a point, a group joins nothing: its shapes are read one by one.
    grouped = {id(shape) for members in whole for shape in members}
    single = [shape for shape in known if id(shape) not in grouped]
    bodies += [_polygon(shape, film) for shape in single if _kind(shape) == "polygon"]
    loose = tuple(_points(shape, film)[0] for shape in single if _kind(shape) == "point")
    boxes = tuple(_box(shape, film) for shape in single if _kind(shape) == "rectangle")
    boxed, outside = in_boxes(loose, boxes, film)
    others = len(shapes) - len(known)
    skipped = [Remark(f"{others} shape(s) that are no points, rectangles or polygons: skipped")] if others else []
    return replace(drawing, bodies=(*bodies, *boxed), loose=outside, remarks=(*drawing.remarks, *skipped))


def _group(members: Sequence[Shape], film: str) -> DrawnBody:
    """The vertebra of a group: its points, named by its other shapes."""
    points = tuple(point for shape in members if _kind(shape) == "point" for point in _points(shape, film))
    return DrawnBody(tuple(word for s in members if _kind(s) != "point" for word in _words(s)), points)


def _kind(shape: Shape) -> str:
    return str(shape.get("shape_type", "polygon"))


def _words(shape: Shape) -> Words:
    label = shape.get("label")
    return (str(label),) if label not in (None, "") else ()


def _points(shape: Shape, film: str) -> tuple[DrawnPoint, ...]:
    flags = shape.get("flags")
    hidden = isinstance(flags, dict) and flags.get(HIDDEN) is True
    return tuple(DrawnPoint(_words(shape), xy, hidden) for xy in _pairs(shape, film))


def _polygon(shape: Shape, film: str) -> DrawnBody:
    return DrawnBody(_words(shape), tuple(DrawnPoint((), xy) for xy in _pairs(shape, film)))


def _box(shape: Shape, film: str) -> DrawnBox:
    (x1, y1), (x2, y2) = _pairs(shape, film)[0], _pairs(shape, film)[-1 if len(_pairs(shape, film)) == 2 else 2]
    return DrawnBox(_words(shape), (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)))


def _pairs(shape: Shape, film: str) -> list[tuple[float, float]]:
    points = shape.get("points")
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise FileError(film, "the points of a shape must be pairs [x, y]")
    kind = _kind(shape)
    if (kind == "point" and len(points) != 1) or (kind == "rectangle" and len(points) not in (2, 4)):
        raise FileError(film, f"a {kind} has {len(points)} points")
    numbers = [finite_numbers(point, film, "the points of a shape") for point in points]
    return [(x, y) for x, y in numbers]
