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
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.names import FILM_SUFFIXES
from spondylo_ml.data.readers.fields import read_json
from spondylo_ml.data.readers.film_row import COLUMNS, says_unlabelled
from spondylo_ml.data.readers.remarks import DRAFT_OF, Remark, misnamed_remarks
from spondylo_ml.data.readers.tools import dataset
from spondylo_ml.data.readers.tools.drawing import Drawing
from spondylo_ml.data.readers.tools.label_studio_regions import ONE_FILM, drawn, films_of
from spondylo_ml.data.readers.tools.mapping import Mapping as NameMapping
from spondylo_ml.errors import FileError

JSON = (".json",)
IMAGE = "image"
"""Usual name of the film in a task's data, and of the tag that shows it."""

OTHER_READER = "its only annotation does not name the reader in mapping.yaml: it is read all the same"
MIN_EXPORT = "is Label Studio's JSON-MIN export, which leaves out what is needed: export it as JSON"

_KEYS = re.compile(r'"(annotations|predictions|completions|keypointlabels|original_width)"\s*:')
_UPLOADS = "/data/upload/"
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


def is_export(path: Path) -> bool:
    """Whether a file begins as a list of tasks."""
    text = dataset.head(path).lstrip()
    return text.startswith("[") and _KEYS.search(text) is not None


def tasks_of(path: Path, reader: str | None) -> list[Drawing]:
    """The drawing of each task; what is wrong with a task is the error of its drawing.

    Raises:
        FileError: not a list of tasks with data.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list) or (tasks and not any(isinstance(task, dict) for task in tasks)):
        raise FileError(path.name, "must be a list of tasks, as Label Studio exports it as JSON")
    if tasks and not any(isinstance(task, dict) and "data" in task for task in tasks):
        raise FileError(path.name, MIN_EXPORT)
    return [_task(path, task, number, reader) for number, task in enumerate(tasks)]


def film_name(address: str) -> str:
    """The file name in the address of a film, without what Label Studio writes before the name of an uploaded one.

    Empty if the address cannot be parsed.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    inner = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]
    name = PurePosixPath(inner.replace("\\", "/")).name
    uploaded = _UPLOADS in parts.path and parts.scheme in ("", "http", "https")
    return _UPLOAD.sub("", name, count=1) if uploaded else name


def _task(path: Path, task: object, number: int, reader: str | None) -> Drawing:
    data = task.get("data") if isinstance(task, dict) else None
    if not isinstance(task, dict) or not isinstance(data, dict):
        return Drawing(path, "", error=FileError(path.name, f"task {number}: its data must be names and values"))
    try:
        drawing = Drawing(path, _film(path, data, number), unit="percent", fields=_fields(data))
    except FileError as error:
        return Drawing(path, "", error=error)
    try:
        annotation, drafts = _annotation(task, drawing.film, reader)
        if annotation is None:
            why = None if says_unlabelled(drawing.fields) else drafts
            return replace(drawing, error=why, only_draft=bool(task.get("predictions")))
        _require_labelled_film(data, annotation, drawing.film)
        person = _agreed_reader(annotation, drawing.fields.get("reader", ""), drawing.film)
        other = reader is not None and reader not in (person, _reader(annotation))
        remarks = (*([Remark(OTHER_READER)] if other else []), *misnamed_remarks(data, COLUMNS[1:]))
        drawing = replace(drawing, fields={**drawing.fields, "reader": person}, remarks=remarks)
        return drawn(drawing, annotation.get("result"))
    except FileError as error:
        return replace(drawing, error=error)


def _film(path: Path, data: Mapping[str, Any], number: int) -> str:
    """The film's name: the only value of the task's data that is the address of a film."""
    films = _films(data)
    if len(films) == 1:
        return next(iter(films.values()))
    image = data.get(IMAGE)
    if isinstance(image, str) and (name := film_name(image)):
        return name
    raise FileError(path.name, f"task {number}: its data has {len(films)} films, one is needed: name it {IMAGE}")


def _films(data: Mapping[str, Any]) -> dict[str, str]:
    """The names of the films in a task's data, by their keys."""
    names = {key: film_name(value) for key, value in data.items() if isinstance(value, str) and key not in COLUMNS}
    return {key: name for key, name in names.items() if PurePosixPath(name).suffix.lower() in FILM_SUFFIXES}


def _require_labelled_film(data: Mapping[str, Any], annotation: Mapping[str, Any], film: str) -> None:
    """Raise `FileError` if it is not certain which of a task's films was labelled: only the configuration says that."""
    if len(_films(data)) > 1 and films_of(annotation.get("result")) - {IMAGE}:
        raise FileError(
            film,
            f"its task has several films, and its results are not on {IMAGE}, so that theirs is unknown: {ONE_FILM}",
        )


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
    names = ", ".join(dict.fromkeys(_reader(entry) or "unknown" for entry in done))
    if reader is not None and len(done) > 1:
        chosen = [entry for entry in done if _reader(entry) == reader]
        if not chosen:
            raise FileError(
                film,
                f"no label: none of its {len(done)} annotations is by the reader in mapping.yaml",
                f", but of {names}",
            )
        done = chosen
    if len(done) > 1:
        raise FileError(
            film, f"{len(done)} annotations of one film: choose one by reader in mapping.yaml", f", of {names}"
        )
    if done:
        return done[0], None
    drafts = " (only predictions, which are drafts)" if task.get("predictions") else ""
    return None, FileError(film, f"no label: its task has no annotation{drafts}")


def _agreed_reader(annotation: Mapping[str, Any], stated: str, film: str) -> str:
    """Who placed the corners: the reader in the task's data, or else the person who annotated.

    Label Studio may export no more than the number of that person, which contradicts no name. Importing a draft as an
    annotation makes the person who imported it its author: a draft stays one.
    """
    person, stated = _reader(annotation), stated.strip()
    if stated and person and person != stated and not person.isdecimal() and not stated.startswith(DRAFT_OF):
        raise FileError(
            film,
            "the reader in its task's data and the person who annotated differ: correct one",
            f", {stated} and {person}",
        )
    return stated or person


def _reader(annotation: Mapping[str, Any]) -> str:
    """E-mail address, name or number of the person who annotated; empty if unknown."""
    person = annotation.get("completed_by")
    if isinstance(person, dict):
        full = " ".join(str(person[key]) for key in ("first_name", "last_name") if person.get(key))
        return str(person.get("email") or full or person.get("id") or "")
    return "" if person is None else str(person)
