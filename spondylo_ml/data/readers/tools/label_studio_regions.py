"""The regions of an annotation in Label Studio's JSON export: boxes, keypoints and polygons, and what joins them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spondylo_ml.data.readers.fields import finite_numbers
from spondylo_ml.data.readers.remarks import Remark
from spondylo_ml.data.readers.tools.drawing import Drawing, DrawnBody, DrawnBox, DrawnPoint, Words, in_boxes
from spondylo_ml.errors import FileError

HIDDEN_CHOICES = {"hidden", "occluded", "not visible"}
GEOMETRIES = ("rectangle", "keypoint", "polygon", "ellipse", "brush", "bitmask", "vector")
"""Kinds of results that draw; others say something about what is drawn."""

SIZE = ("original_height", "original_width")
ONE_FILM = "make a task for each film, and label them there"


@dataclass(frozen=True)
class _Region:
    """A region of the film: all results with one id."""

    kind: str
    words: Words
    value: Mapping[str, Any]
    hidden: bool
    parent: str | None


def drawn(drawing: Drawing, results: object) -> Drawing:
    """The drawing of a film with the regions of an annotation.

    Args:
        results: the annotation's results, as they are in the file.

    Raises:
        FileError: a result that cannot be read, or results on several films.
    """
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise FileError(drawing.film, "the result of an annotation must be a list of objects")
    _require_one_film(results, drawing.film)
    regions = _regions(results, drawing.film)
    boxes = {key: _box(region, drawing.film) for key, region in regions.items() if region.kind == "rectangle"}
    points = {key: _point(region, drawing.film) for key, region in regions.items() if region.kind == "keypoint"}
    joined = _boxes_of_points(regions, results, drawing.film)
    loose = tuple(point for key, point in points.items() if key not in joined)
    bodies, outside = in_boxes(loose, tuple(boxes.values()), drawing.film)
    children = {box: tuple(points[key] for key, parent in joined.items() if parent == box) for box in boxes}
    bodies = tuple(replace(body, points=body.points + children[box]) for box, body in zip(boxes, bodies, strict=True))
    polygons = tuple(_polygon(region, drawing.film) for region in regions.values() if region.kind == "polygon")
    others = [region for region in regions.values() if region.kind not in ("rectangle", "keypoint", "polygon")]
    remarks = [Remark(f"{len(others)} region(s) that are no points, boxes or polygons: skipped")] if others else []
    return replace(
        drawing,
        bodies=(*bodies, *polygons),
        loose=outside,
        size_hw=_size_hw(results, drawing.film),
        remarks=(*drawing.remarks, *remarks),
    )


def _require_one_film(results: Sequence[Mapping[str, Any]], film: str) -> None:
    """Raise `FileError` if results lie on several films, or on another page than the first."""
    if any(result.get("item_index") not in (None, 0) for result in results):
        raise FileError(film, f"its task has pages (item_index): {ONE_FILM}")
    if len(films_of(results)) > 1:
        raise FileError(film, f"its results are on several films (to_name): {ONE_FILM}")


def films_of(results: object) -> set[str]:
    """Names of the image tags on which results draw, as the labelling configuration has them."""
    entries = [result for result in results if isinstance(result, dict)] if isinstance(results, list) else []
    return {
        str(result["to_name"])
        for result in entries
        if result.get("to_name") is not None and _kind(result) in GEOMETRIES
    }


def _kind(result: Mapping[str, Any]) -> str:
    return str(result.get("type", "")).removesuffix("labels")


def _regions(results: Sequence[Mapping[str, Any]], film: str) -> dict[str, _Region]:
    """Regions by id. Several results may share an id: geometry, labels and choices of one region."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for number, result in enumerate(results):
        if result.get("image_rotation"):
            raise FileError(film, "the film was turned in Label Studio: turn it back there, and export again")
        if isinstance(result.get("value"), dict) and result.get("type") != "relation":
            key = f"result {number}" if result.get("id") is None else str(result["id"])
            groups.setdefault(key, []).append(result)
    regions = {key: _region(members, film) for key, members in groups.items()}
    return {key: region for key, region in regions.items() if region.kind}


def _region(members: Sequence[Mapping[str, Any]], film: str) -> _Region:
    """The region of results with one id: the result that draws says where it is, whatever stands first."""
    shapes = [(_kind(result), _place(result["value"])) for result in members if _kind(result) in GEOMETRIES]
    if any(shape != shapes[0] for shape in shapes[1:]):
        raise FileError(film, "two different regions have one id: delete one in Label Studio, and draw it again")
    said = [kind for result in members if (kind := _kind(result)) not in ("", "choices")]
    kind, value = shapes[0] if shapes else (said[0] if said else "", {})
    words = [str(word) for result in members for words in _labels(result["value"]) for word in words]
    parents = [parent for result in members if (parent := result.get("parentID")) is not None]
    if not all(isinstance(parent, str | int) for parent in parents):
        raise FileError(film, "the parentID of a result must be the id of a region")
    hidden = any(_says_hidden(result["value"], film) for result in members)
    return _Region(kind, tuple(dict.fromkeys(words)), value, hidden, str(parents[0]) if parents else None)


def _place(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value[name] for name in ("x", "y", "width", "height", "rotation", "points") if name in value}


def _says_hidden(value: Mapping[str, Any], film: str) -> bool:
    choices = value.get("choices")
    if choices is not None and not isinstance(choices, list):
        raise FileError(film, "the choices of a result must be a list")
    return any(str(choice).lower() in HIDDEN_CHOICES for choice in choices or ())


def _boxes_of_points(regions: Mapping[str, _Region], results: Sequence[Mapping[str, Any]], film: str) -> dict[str, str]:
    """The box of each keypoint that is joined with one, by the region tree or by a relation in either direction."""
    pairs = [(key, region.parent) for key, region in regions.items() if region.parent is not None]
    pairs += [pair for one, other in _relations(results) for pair in ((one, other), (other, one))]
    kinds = {key: region.kind for key, region in regions.items()}
    joined: dict[str, str] = {}
    for point, box in pairs:
        if (kinds.get(point), kinds.get(box)) != ("keypoint", "rectangle"):
            continue
        if joined.setdefault(point, box) != box:
            raise FileError(film, "a keypoint is joined with two boxes: keep one parent or relation")
    return joined


def _labels(value: Mapping[str, Any]) -> Iterator[list[object]]:
    for key, words in value.items():
        if key.endswith("labels") and isinstance(words, list):
            yield words


def _relations(results: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for result in results:
        if result.get("type") == "relation":
            yield str(result.get("from_id")), str(result.get("to_id"))


def _numbers(region: _Region, names: Sequence[str], film: str) -> list[float]:
    return finite_numbers([region.value.get(name) for name in names], film, f"{', '.join(names)} of a region")


def _box(region: _Region, film: str) -> DrawnBox:
    x, y, width, height = _numbers(region, ("x", "y", "width", "height"), film)
    return DrawnBox(region.words, (x, y, x + width, y + height), turned=bool(region.value.get("rotation")))


def _point(region: _Region, film: str) -> DrawnPoint:
    x, y = _numbers(region, ("x", "y"), film)
    return DrawnPoint(region.words, (x, y), region.hidden)


def _polygon(region: _Region, film: str) -> DrawnBody:
    points = region.value.get("points")
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise FileError(film, "a polygon must have points [x, y]")
    pairs = [finite_numbers(point, film, "points of a polygon") for point in points]
    return DrawnBody(region.words, tuple(DrawnPoint((), (x, y)) for x, y in pairs))


def _size_hw(results: Sequence[Mapping[str, Any]], film: str) -> tuple[int, int] | None:
    """The film's size in px, as the results give it; None if they do not."""
    sizes = {
        tuple(finite_numbers([r[name] for name in SIZE], film, " and ".join(SIZE)))
        for r in results
        if all(name in r for name in SIZE)
    }
    if len(sizes) > 1:
        raise FileError(film, "its results give the film several sizes")
    for height, width in sizes:
        return int(height), int(width)
    return None
