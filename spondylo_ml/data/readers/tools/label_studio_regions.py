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
    joined = {key: parent for key in points if (parent := regions[key].parent) in boxes}
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
    regions: dict[str, _Region] = {}
    for number, result in enumerate(results):
        if result.get("image_rotation"):
            raise FileError(film, "the film was turned in Label Studio: turn it back there, and export again")
        value = result.get("value")
        if not isinstance(value, dict) or result.get("type") == "relation":
            continue
        key = str(result.get("id", number))
        words = tuple(str(word) for words in _labels(value) for word in words)
        hidden = any(str(choice).lower() in HIDDEN_CHOICES for choice in value.get("choices", ()))
        kind = _kind(result)
        old = regions.get(key, _Region("", (), {}, False, None))
        regions[key] = _Region(
            kind if not old.kind or old.kind in ("", "choices") else old.kind,
            tuple(dict.fromkeys((*old.words, *words))),
            {**old.value, **value},
            old.hidden or hidden,
            result.get("parentID") or old.parent,
        )
    for one, other in _relations(results):
        for point, box in ((one, other), (other, one)):
            if point in regions and box in regions and regions[point].kind == "keypoint":
                regions[point] = replace(regions[point], parent=regions[point].parent or box)
    return {key: region for key, region in regions.items() if region.kind not in ("choices", "")}


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
        (r["original_height"], r["original_width"]) for r in results if "original_height" in r and "original_width" in r
    }
    if len(sizes) > 1:
        raise FileError(film, "its results give the film several sizes")
    if not sizes:
        return None
    height, width = finite_numbers(sizes.pop(), film, "original_height and original_width")
    return int(height), int(width)
