"""Label Studio's JSON export: a list of tasks, each with a film, annotations and predictions.

A vertebra is a box labelled with its level and keypoints in it, labelled with their corner (joined by their region
tree, by a relation, or by lying in the box); or keypoints labelled with level and corner; or four keypoints or a
polygon labelled with the level alone. A keypoint with the per-region choice `hidden` cannot be seen; an absent corner
has no keypoint. Coordinates are percent of the film's width and height. A task's `data` may have the columns of
`films.csv`. Predictions are drafts, not labels, and are not read. If a film has the annotations of several people,
`reader` in `mapping.yaml` chooses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.names import FILM_SUFFIXES
from spondylo_ml.data.readers.fields import finite_numbers, read_json
from spondylo_ml.data.readers.films_csv import COLUMNS, says_unlabelled
from spondylo_ml.data.readers.remarks import Remark
from spondylo_ml.data.readers.tools import dataset
from spondylo_ml.data.readers.tools.drawing import Drawing, DrawnBody, DrawnBox, DrawnPoint, Words, in_boxes
from spondylo_ml.data.readers.tools.mapping import Mapping as NameMapping
from spondylo_ml.errors import FileError

JSON = (".json",)
HIDDEN_CHOICES = {"hidden", "occluded", "not visible"}
MIN_EXPORT = "is Label Studio's JSON-MIN export, which leaves out what is needed: export it as JSON"

_KEYS = re.compile(r'"(annotations|predictions|completions|keypointlabels|original_width)"\s*:')
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")
"""Label Studio writes this before the names of uploaded files."""


class LabelStudioReader:
    """Reads the layout described above."""

    kind = "label-studio"
    layout = "films in images/, and Label Studio's JSON export beside images/"
    marks: tuple[str, ...] = ("images",)

    def recognises(self, root: Path) -> bool:
        """Whether there are films and a JSON file that begins as a list of tasks."""
        return dataset.has_tool_file(root, JSON, is_export)

    def files(self, root: Path) -> list[Path]:
        """The files with annotations."""
        return dataset.tool_files(root, JSON, is_export)

    def parse(self, path: Path, mapping: NameMapping) -> list[Drawing]:
        """See `tasks_of`."""
        return tasks_of(path, mapping.reader)

    def read(self, root: Path) -> FilmSet:
        """All films of all tasks."""
        return dataset.read_dataset(self.kind, root, self.files(root), self.parse, dataset.no_scale)


@dataclass(frozen=True)
class _Region:
    """A region of the film: all results with one id."""

    kind: str
    words: Words
    value: Mapping[str, Any]
    hidden: bool
    parent: str | None


def is_export(path: Path) -> bool:
    """Whether a file begins as a list of tasks."""
    text = dataset.head(path).lstrip()
    return text.startswith("[") and _KEYS.search(text) is not None


def tasks_of(path: Path, reader: str | None) -> list[Drawing]:
    """The drawing of each task; what is wrong with a task is the error of its drawing.

    Raises:
        FileError: not a list of tasks, or a task without a film.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise FileError(path.name, "must be a list of tasks, as Label Studio exports it as JSON")
    if any("data" not in task for task in tasks):
        raise FileError(path.name, MIN_EXPORT)
    return [_task(path, task, number, reader) for number, task in enumerate(tasks)]


def film_name(address: str) -> str:
    """The file name in the address of a film, without what Label Studio writes before it."""
    parts = urlsplit(address)
    inner = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]
    return _UPLOAD.sub("", PurePosixPath(inner.replace("\\", "/")).name, count=1)


def _task(path: Path, task: Mapping[str, Any], number: int, reader: str | None) -> Drawing:
    data = task["data"]
    if not isinstance(data, dict):
        raise FileError(path.name, f"task {number}: data must be names and values")
    drawing = Drawing(path, _film(path, data, number), unit="percent", fields=_fields(data))
    try:
        annotation, drafts = _annotation(task, drawing.film, reader)
        if annotation is None:
            return replace(drawing, error=None if says_unlabelled(drawing.fields) else drafts)
        return _drawn(drawing, annotation)
    except FileError as error:
        return replace(drawing, error=error)


def _film(path: Path, data: Mapping[str, Any], number: int) -> str:
    """The film's name: the only value of the task's data that is the address of a film."""
    names = {key: film_name(value) for key, value in data.items() if isinstance(value, str) and key not in COLUMNS}
    films = [name for name in names.values() if PurePosixPath(name).suffix.lower() in FILM_SUFFIXES]
    if len(films) == 1:
        return films[0]
    if "image" in names:
        return names["image"]
    raise FileError(path.name, f"task {number}: its data has {len(films)} films, one is needed: name it image")


def _fields(data: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in data.items() if key in COLUMNS[1:] and value is not None}


def _annotation(
    task: Mapping[str, Any], film: str, reader: str | None
) -> tuple[Mapping[str, Any] | None, FileError | None]:
    """The annotation to read; or None, with the reason."""
    entries = task.get("annotations", task.get("completions")) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FileError(film, "annotations must be a list of objects: export the tasks as JSON")
    done = [entry for entry in entries if not entry.get("was_cancelled")]
    if reader is not None and len(done) > 1:
        done = [entry for entry in done if _reader(entry) == reader]
    if len(done) > 1:
        names = ", ".join(dict.fromkeys(_reader(entry) or "unknown" for entry in done))
        raise FileError(
            film, f"{len(done)} annotations of one film: choose one by reader in mapping.yaml", f", of {names}"
        )
    if done:
        return done[0], None
    drafts = " (only predictions, which are drafts)" if task.get("predictions") else ""
    return None, FileError(film, f"no label: its task has no annotation{drafts}")


def _reader(annotation: Mapping[str, Any]) -> str:
    """E-mail address, name or number of the person who annotated; empty if unknown."""
    person = annotation.get("completed_by")
    if isinstance(person, dict):
        full = " ".join(str(person[key]) for key in ("first_name", "last_name") if person.get(key))
        return str(person.get("email") or full or person.get("id") or "")
    return "" if person is None else str(person)


def _drawn(drawing: Drawing, annotation: Mapping[str, Any]) -> Drawing:
    results = annotation.get("result")
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise FileError(drawing.film, "the result of an annotation must be a list of objects")
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
    person = _reader(annotation) or drawing.fields.get("reader", "")
    return replace(
        drawing,
        bodies=(*bodies, *polygons),
        loose=outside,
        size_hw=_size_hw(results, drawing.film),
        fields={**drawing.fields, "reader": person},
        remarks=tuple(remarks),
    )


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
        kind = str(result.get("type", "")).removesuffix("labels")
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
