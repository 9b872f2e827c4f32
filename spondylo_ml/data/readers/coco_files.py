"""Find the annotation files of a COCO dataset and the films that they list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from spondylo_ml.data.films import FileFinding
from spondylo_ml.data.names import is_hidden, is_listed, same_form
from spondylo_ml.data.readers.base import as_finding
from spondylo_ml.data.readers.coco_entries import Entry, is_id
from spondylo_ml.data.readers.fields import read_json
from spondylo_ml.data.readers.pairing import files_in, images_in
from spondylo_ml.data.readers.parts import find_part, parse_part, part_folders_in
from spondylo_ml.data.readers.tools.label_studio import is_export
from spondylo_ml.data.readers.tools.labelme import is_label
from spondylo_ml.data.readers.tools.slicer import is_markups
from spondylo_ml.errors import FileError

ROBOFLOW = "_annotations.coco.json"


@dataclass(frozen=True)
class Job:
    """An image entry with its annotations.

    Attributes:
        file: the annotation file.
        path: the film; None if it is missing.
        image: the image entry.
        annotations: the annotations of this image.
        categories: categories of the annotation file by id.
        part: split named by the annotation file or its folder, or None.
        unlabelled_file: whether the annotation file has no annotations at all.
    """

    file: Path
    path: Path | None
    image: Entry
    annotations: tuple[Entry, ...]
    categories: Mapping[object, Entry]
    part: str | None
    unlabelled_file: bool

    @property
    def key(self) -> str:
        """Equal for two entries of the same film."""
        return str(self.path or inner_name(self.image["file_name"]))


@dataclass(frozen=True)
class _Source:
    """An annotation file, the films it may list by name, and its split."""

    path: Path
    films: Mapping[str, Path]
    part: str | None


def has_annotations(root: Path) -> bool:
    """Whether there are images and annotations, in the usual folders or as Roboflow exports them."""
    usual = (root / "images").is_dir() and not all(map(_of_a_tool, _usual_files(root)))
    return usual or any(images_in(path.parent) for path in _roboflow_files(root))


def read_jobs(root: Path) -> tuple[list[Job], list[FileFinding], list[FileFinding]]:
    """Read all annotation files of a dataset.

    Returns:
        One job for each image entry, findings on what cannot be used, and notes on files without keypoints.
    """
    jobs: list[list[Job]] = []
    bad: list[FileFinding] = []
    boxes: list[tuple[_Source, list[Job]]] = []
    sources = _sources(root)
    for source in sources:
        try:
            file_jobs, unmatched = _jobs(source)
        except FileError as error:
            bad.append(as_finding(error))
            continue
        entries = [entry for job in file_jobs for entry in job.annotations]
        if entries and not any("keypoints" in entry for entry in entries):
            boxes.append((source, file_jobs))
            continue
        jobs.append(file_jobs)
        bad += unmatched
    annotated_keys = {job.key for file_jobs in jobs for job in file_jobs}
    notes = []
    for source, file_jobs in boxes:
        if {job.key for job in file_jobs} <= annotated_keys:
            count = sum(len(job.annotations) for job in file_jobs)
            notes.append(
                FileFinding(source.path.name, f"{count} annotations without keypoints (boxes, outlines): not read")
            )
        else:
            bad.append(FileFinding(source.path.name, "none of its annotations has keypoints: boxes are not labels"))
            annotated_keys |= {job.key for job in file_jobs}
    bad += _films_not_listed(sources, annotated_keys)
    return [job for file_jobs in jobs for job in file_jobs], bad, notes


def inner_name(file_name: str) -> str:
    """A film's path below images/, in a single Unicode normal form."""
    inner = PurePosixPath(same_form(file_name).replace("\\", "/"))
    return (inner.relative_to("images") if inner.parts[:1] == ("images",) else inner).as_posix()


def _usual_files(root: Path) -> list[Path]:
    flat = [path for path in files_in(root, (".json",)) if path.name.lower().startswith("annotations")]
    return [*flat, *files_in(root / "annotations", (".json",))]


def _of_a_tool(path: Path) -> bool:
    """Whether a JSON file is that of a labelling tool with a format of its own."""
    return is_export(path) or is_label(path) or is_markups(path)


def _roboflow_files(root: Path) -> list[Path]:
    return [path for folder in (root, *part_folders_in(root)) if (path := folder / ROBOFLOW).is_file()]


def _sources(root: Path) -> list[_Source]:
    films = _films(root / "images")
    usual = [_Source(path, films, find_part(path.stem)) for path in _usual_files(root)]
    roboflow = [
        _Source(path, {same_form(image.name): image for image in images_in(path.parent)}, parse_part(path.parent.name))
        for path in _roboflow_files(root)
    ]
    return [*usual, *(_Source(s.path, s.films, s.part if s.path.parent != root else None) for s in roboflow)]


def _films(images: Path) -> dict[str, Path]:
    """The files below images/ by their path there, in a single Unicode normal form."""
    files = sorted(p for p in images.rglob("*") if is_listed(p)) if images.is_dir() else []
    return {same_form(p.relative_to(images).as_posix()): p for p in files if not is_hidden(p, images)}


def _film_path(source: _Source, file_name: str) -> Path | None:
    """The film of an entry: at its path below images/, or in the subfolder named as the annotation file's split."""
    inner = inner_name(file_name)
    if (path := source.films.get(inner)) is not None:
        return path
    folders = {name.split("/")[0] for name in source.films if "/" in name}
    paths = [f"{folder}/{inner}" for folder in sorted(folders) if source.part and find_part(folder) == source.part]
    return next((source.films[path] for path in paths if path in source.films), None)


def _jobs(source: _Source) -> tuple[list[Job], list[FileFinding]]:
    """The films of an annotation file, and findings on annotations that belong to none.

    Raises:
        FileError: not a COCO file.
    """
    file = source.path.name
    images, annotations, categories = _lists(read_json(source.path), file)
    for number, entry in enumerate(images):
        if not isinstance(entry.get("file_name"), str) or not is_id(entry.get("id")):
            raise FileError(file, f"images[{number}] needs an id and a file_name")
        if _leads_outside(entry["file_name"]):
            raise FileError(file, f"images[{number}]: file_name must be a path below images/")
    if len({entry["id"] for entry in images}) < len(images):
        raise FileError(file, "two images have the same id")
    by_image: dict[object, list[Entry]] = {entry["id"]: [] for entry in images}
    bad = []
    for number, entry in enumerate(annotations):
        owner = entry.get("image_id")
        if is_id(owner) and owner in by_image:
            by_image[owner].append(entry)
        else:
            bad.append(
                FileFinding(file, f"annotations[{number}] is a label without its film: no image has its image_id")
            )
    by_id = _categories(categories, file)
    jobs = [
        Job(
            source.path,
            _film_path(source, image["file_name"]),
            image,
            tuple(by_image[image["id"]]),
            by_id,
            source.part,
            not annotations,
        )
        for image in images
    ]
    return jobs, bad


def _lists(tree: object, file: str) -> tuple[list[Entry], list[Entry], list[Entry]]:
    lists: list[Any] = [
        tree.get(n) if isinstance(tree, dict) else None for n in ("images", "annotations", "categories")
    ]
    if not all(isinstance(part, list) and all(isinstance(entry, dict) for entry in part) for part in lists):
        raise FileError(file, "images, annotations and categories must be lists of objects, as in COCO keypoints")
    return lists[0], lists[1], lists[2]


def _categories(categories: Sequence[Entry], file: str) -> dict[object, Entry]:
    if not all(is_id(entry.get("id")) for entry in categories):
        raise FileError(file, "each of the categories needs an id, a number or a word")
    if not all(entry.get("name") is None or is_id(entry["name"]) for entry in categories):
        raise FileError(file, "the name of a category must be a word")
    by_id = {entry["id"]: entry for entry in categories}
    if len(by_id) < len(categories):
        raise FileError(file, "two categories have the same id")
    return by_id


def _films_not_listed(sources: Sequence[_Source], annotated_keys: set[str]) -> list[FileFinding]:
    files = dict.fromkeys(path for source in sources for path in source.films.values())
    films = {
        path for source in sources for folder in {p.parent for p in source.films.values()} for path in images_in(folder)
    }
    return [
        FileFinding(path.name, "no label: not listed in any annotation file")
        for path in files
        if path in films and str(path) not in annotated_keys
    ]


def _leads_outside(file_name: str) -> bool:
    inner = PurePosixPath(file_name.replace("\\", "/"))
    return inner.is_absolute() or ".." in inner.parts or not inner.name
