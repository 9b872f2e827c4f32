"""CVAT's format "CVAT for images 1.1": one XML file for all films of a task or project.

A vertebra is a skeleton with a point for each corner (a point that is outside is an absent corner, an occluded one
cannot be seen); or points and boxes of one group; or points in a box; or a shape of four points, or a polygon, labelled
with the level. The level is the label of the whole or its attribute `level`. A tag may have attributes named as the
columns of `films.csv`. The reader is the tag's attribute `reader`, or else the assignee of the job or task: who is
assigned need not have drawn or corrected anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.readers.fields import parse_floats
from spondylo_ml.data.readers.film_row import COLUMNS
from spondylo_ml.data.readers.parts import parse_part
from spondylo_ml.data.readers.remarks import DRAFT_OF, Remark, misnamed_remarks
from spondylo_ml.data.readers.tools import dataset
from spondylo_ml.data.readers.tools.drawing import Drawing, DrawnBody, DrawnBox, DrawnPoint, Words, in_boxes
from spondylo_ml.data.readers.tools.mapping import Mapping as NameMapping
from spondylo_ml.data.readers.tools.xml_file import read_xml
from spondylo_ml.errors import FileError

XML = (".xml",)
NAMING = ("level", "corner")
"""Attributes of a shape that name it as its label does."""

UNSET = ("", "__undefined__")
SHAPES = ("skeleton", "points", "polygon", "box")
TWO_READERS = "the attribute reader of its tag and the assignee differ: the attribute is taken"


class CvatReader:
    """Reads the layout described above."""

    kind = "cvat"
    layout = "films in images/, and annotations.xml of CVAT for images 1.1 beside images/"
    marks: tuple[str, ...] = ("images", "annotations.xml")

    def recognises(self, root: Path) -> bool:
        """Whether there are films and an XML file that begins as CVAT's."""
        return dataset.has_tool_file(root, XML, is_export)

    def files(self, root: Path) -> list[Path]:
        """The files with annotations."""
        return dataset.tool_files(root, XML, is_export)

    def parse(self, path: Path, mapping: NameMapping) -> list[Drawing]:
        """See `images_of`."""
        return images_of(path)

    def read(self, root: Path) -> FilmSet:
        """All films of all files."""
        return dataset.read_dataset(self.kind, root, self.files(root), self.parse, dataset.no_scale)


def is_export(path: Path) -> bool:
    """Whether a file begins as CVAT's."""
    return "<annotations" in dataset.head(path)


def images_of(path: Path) -> list[Drawing]:
    """The drawing of each image; what is wrong with one is the error of its drawing.

    Raises:
        FileError: not CVAT for images 1.1.
    """
    root = read_xml(path)
    if root.find("track") is not None:
        raise FileError(path.name, "is CVAT for video: export as CVAT for images 1.1")
    if root.find("image") is None:
        raise FileError(path.name, "has no image: export as CVAT for images 1.1")
    readers = _readers(root)
    return [_image(path, image, readers) for image in root.iterfind("image")]


def _readers(root: Element) -> dict[str | None, str]:
    """Assignee by the id of the task; that of the only job or task under None."""
    readers: dict[str | None, str] = {}
    for place in ("meta/task", "meta/job", "meta/project/tasks/task"):
        for task in root.iterfind(place):
            if name := (task.findtext("assignee/username") or "").strip():
                readers[task.findtext("id") if "project" in place else None] = name
    return readers


def _image(path: Path, image: Element, readers: Mapping[str | None, str]) -> Drawing:
    name = image.get("name")
    if not name:
        return Drawing(path, "", error=FileError(path.name, "an image has no name"))
    found = _tag_fields(image)
    fields = {name: value for name, value in found.items() if name in COLUMNS[1:] and value not in UNSET}
    assignee = readers.get(image.get("task_id")) or readers.get(None) or ""
    stated = fields.get("reader", "")
    differ = stated and assignee and stated != assignee and not stated.startswith(DRAFT_OF)
    drawing = Drawing(
        path,
        name,
        fields={**fields, "reader": stated or assignee},
        part=parse_part(image.get("subset", "")),
        remarks=(*([Remark(TWO_READERS)] if differ else []), *misnamed_remarks(found, COLUMNS[1:])),
    )
    try:
        return _drawn(replace(drawing, size_hw=_size_hw(image, name)), image)
    except FileError as error:
        return replace(drawing, error=error)


def _tag_fields(image: Element) -> dict[str, str]:
    cells = [attribute for tag in image.iterfind("tag") for attribute in tag.iterfind("attribute")]
    return {cell.get("name", ""): (cell.text or "").strip() for cell in cells}


def _size_hw(image: Element, film: str) -> tuple[int, int] | None:
    if image.get("width") is None or image.get("height") is None:
        return None
    height, width = parse_floats([image.get("height", ""), image.get("width", "")], film, "width and height")
    return int(height), int(width)


def _drawn(drawing: Drawing, image: Element) -> Drawing:
    film = drawing.film
    shapes = [shape for shape in image if shape.tag in SHAPES]
    others = sum(shape.tag not in (*SHAPES, "tag") for shape in image)
    groups: dict[str, list[Element]] = {}
    single: list[Element] = []
    for shape in shapes:
        group = shape.get("group_id", "0")
        if group != "0" and shape.tag in ("points", "box"):
            groups.setdefault(group, []).append(shape)
        else:
            single.append(shape)
    bodies = [_skeleton(shape, film) for shape in single if shape.tag == "skeleton"]
    bodies += [_group(members, film) for members in groups.values()]
    bodies += [
        DrawnBody(_words(shape), tuple(DrawnPoint((), point.xy, point.hidden) for point in _points(shape, film)))
        for shape in single
        if shape.tag == "polygon" or (shape.tag == "points" and len(_points(shape, film)) > 1)
    ]
    loose = [points[0] for shape in single if shape.tag == "points" and len(points := _points(shape, film)) == 1]
    boxes = tuple(_box(shape, film) for shape in single if shape.tag == "box")
    boxed, outside = in_boxes(tuple(loose), boxes, film)
    skipped = [Remark(f"{others} shape(s) that are no points, boxes, skeletons or polygons: skipped")] if others else []
    return replace(drawing, bodies=(*bodies, *boxed), loose=outside, remarks=(*drawing.remarks, *skipped))


def _skeleton(shape: Element, film: str) -> DrawnBody:
    points = tuple(point for child in shape.iterfind("points") for point in _points(child, film))
    return DrawnBody(_words(shape), points)


def _group(members: list[Element], film: str) -> DrawnBody:
    """The points of a group, named by its box, if it has one."""
    words = tuple(word for member in members if member.tag == "box" for word in _words(member))
    return DrawnBody(words, tuple(p for member in members if member.tag == "points" for p in _points(member, film)))


def _points(shape: Element, film: str) -> tuple[DrawnPoint, ...]:
    """The points of a shape, each with its labels."""
    pairs = [pair.split(",") for pair in shape.get("points", "").split(";")]
    if any(len(pair) != 2 for pair in pairs):
        raise FileError(film, "points must be x,y, separated by semicolons")
    if shape.get("outside") == "1":
        return tuple(DrawnPoint(_words(shape), None) for _ in pairs)
    hidden = shape.get("occluded") == "1"
    numbers = [parse_floats(pair, film, "coordinates of points") for pair in pairs]
    return tuple(DrawnPoint(_words(shape), (x, y), hidden) for x, y in numbers)


def _box(shape: Element, film: str) -> DrawnBox:
    sides = [shape.get(name, "") for name in ("xtl", "ytl", "xbr", "ybr")]
    left, top, right, bottom = parse_floats(sides, film, "sides of a box")
    turned = shape.get("rotation", "0").strip("0.") != ""
    return DrawnBox(_words(shape), (left, top, right, bottom), turned)


def _words(shape: Element) -> Words:
    """The label of a shape, and its attributes that name it."""
    return tuple(word for word in (shape.get("label", ""), *_naming(shape)) if word not in UNSET)


def _naming(shape: Element) -> Iterator[str]:
    for attribute in shape.iterfind("attribute"):
        if attribute.get("name", "").lower() in NAMING:
            yield (attribute.text or "").strip()
