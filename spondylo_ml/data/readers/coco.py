"""COCO keypoints for one's own films.

Layout: `images/` (with folders within, if `file_name` says so) and one or several JSON files, `annotations/*.json` or
`annotations*.json`. Each annotation is a vertebra of four keypoints; visibility 0 is absent, 1 hidden, 2 visible. Its
category's `keypoints` name the corners. The level is the annotation's `attributes.level`, or else its category's name
(S1, L5, ...); where no annotation of a film has one, the lowest vertebra is taken for S1.

Of an image, fields beside the standard's say what the standard lacks, all of them optional: `patient`, `facing` (left,
right, none, unknown), `pixel_spacing_mm` ([x, y] or one number) and `pixel_spacing_from`, `pixel_aspect` (null:
stretched by an unknown amount; absent: as the spacing has it, or 1), `split` (train, val, test; else taken from
the JSON file's name, if that holds one of these words), `labelled` (false: no label on purpose), `sex` (F or M) and
`age_years`. In runs the films appear under pseudonyms.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from spondylo_ml.data.films import FileImage, FilmSet, Finding
from spondylo_ml.data.image_file import IMAGE_SUFFIXES, checked_size_hw
from spondylo_ml.data.names import is_hidden, is_listed, same_form
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers.base import ReadFilm, as_finding, film_set, read_each
from spondylo_ml.data.readers.bodies import corner_places, levelled, require_all_inside, slot_of_level, slots_of
from spondylo_ml.data.readers.fields import finite_numbers, read_json
from spondylo_ml.data.readers.own_films import age_of, facing_of, sex_of, spacing_of
from spondylo_ml.data.readers.pairing import files_in
from spondylo_ml.data.split import PARTS
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import CORNERS, Facing, Film, FloatArray, Spacing, Vertebra

HIDDEN, VISIBLE = 1, 2
SPACING_FROM = "pixel_spacing_mm of the annotations"

Entry = Mapping[str, Any]


class CocoReader:
    """Reads the layout described above."""

    kind = "coco"
    layout = "images/ and COCO keypoints in annotations/*.json or annotations*.json"
    marks: tuple[str, ...] = ("images", "annotations", "annotations.json")

    def recognises(self, root: Path) -> bool:
        """Whether there are images and annotations."""
        return (root / "images").is_dir() and bool(_annotation_files(root))

    def read(self, root: Path) -> FilmSet:
        """All films of all annotation files."""
        jobs: list[_Job] = []
        bad: list[Finding] = []
        films = _films(root)
        for path in _annotation_files(root):
            try:
                found, alone = _jobs(films, path)
            except FileError as error:
                bad.append(as_finding(error))
                continue
            jobs += found
            bad += alone
        counts = Counter(job.file_name for job in jobs)
        bad += [
            Finding(Path(name).name, f"listed {count} times in the annotations: two labels for one film; keep one")
            for name, count in counts.items()
            if count > 1
        ]
        bad += [
            Finding(path.name, "no label: not listed in any annotation file")
            for name, path in films.items()
            if name not in counts and path.suffix.lower() in IMAGE_SUFFIXES
        ]
        read, errors = read_each([job for job in jobs if counts[job.file_name] == 1], _read_film)
        slots = slots_of(one.film for one in read)
        return film_set(self.kind, root, read, slots, [*bad, *map(as_finding, errors)], private=True)


@dataclass(frozen=True)
class _Job:
    """An image's entry with the annotations that name it; `part` is what the JSON file's name says."""

    path: Path | None
    image: Entry
    annotations: tuple[Entry, ...]
    categories: Mapping[object, Entry]
    part: str | None
    unlabelled_file: bool

    @property
    def file_name(self) -> str:
        return _inner_name(self.image["file_name"])


def _annotation_files(root: Path) -> list[Path]:
    flat = [path for path in files_in(root, (".json",)) if path.name.lower().startswith("annotations")]
    return [*flat, *files_in(root / "annotations", (".json",))]


def _jobs(films: Mapping[str, Path], path: Path) -> tuple[list[_Job], list[Finding]]:
    """The films of an annotation file, and the entries that belong to none.

    Raises:
        FileError: it is no COCO file.
    """
    tree = read_json(path)
    lists = [tree.get(name) if isinstance(tree, dict) else None for name in ("images", "annotations", "categories")]
    if not all(isinstance(part, list) and all(isinstance(entry, dict) for entry in part) for part in lists):
        raise FileError(path.name, "images, annotations and categories must be lists of objects, as in COCO keypoints")
    images, annotations, categories = (list(part) for part in lists if isinstance(part, list))
    for number, entry in enumerate(images):
        if not isinstance(entry.get("file_name"), str) or not isinstance(entry.get("id"), int | str):
            raise FileError(path.name, f"images[{number}] needs an id and a file_name")
        if _leads_outside(entry["file_name"]):
            raise FileError(path.name, f"images[{number}]: file_name must be a path below images/")
    if len({entry["id"] for entry in images}) < len(images):
        raise FileError(path.name, "two images have one id")
    of_image: dict[object, list[Entry]] = {entry["id"]: [] for entry in images}
    bad = []
    for number, entry in enumerate(annotations):
        owner = entry.get("image_id")
        if isinstance(owner, int | str) and owner in of_image:
            of_image[owner].append(entry)
        else:
            bad.append(
                Finding(path.name, f"annotations[{number}] is a label without its film: no image has its image_id")
            )
    by_id = {entry["id"]: entry for entry in categories if isinstance(entry.get("id"), int | str)}
    words = [word for word in re.split(r"[^a-z]+", path.stem.lower()) if word in PARTS]
    part = words[0] if words else None
    jobs = [
        _Job(films.get(_inner_name(one["file_name"])), one, tuple(of_image[one["id"]]), by_id, part, not annotations)
        for one in images
    ]
    return jobs, bad


def _films(root: Path) -> dict[str, Path]:
    """The files below images/ by their path there, in one Unicode form."""
    images = root / "images"
    found = sorted(p for p in images.rglob("*") if is_listed(p))
    return {same_form(p.relative_to(images).as_posix()): p for p in found if not is_hidden(p, images)}


def _inner_name(file_name: str) -> str:
    """A film's path below images/, in one Unicode form."""
    inner = PurePosixPath(same_form(file_name).replace("\\", "/"))
    return (inner.relative_to("images") if inner.parts[:1] == ("images",) else inner).as_posix()


def _leads_outside(file_name: str) -> bool:
    inner = PurePosixPath(file_name.replace("\\", "/"))
    return inner.is_absolute() or ".." in inner.parts or not inner.name


def _read_film(job: _Job) -> ReadFilm:
    path = job.path
    if path is None:
        name = PurePosixPath(job.file_name).name
        raise FileError(name, "label without its film: listed in the annotations, but missing in images/")
    name = pseudonym(path.stem)
    size_hw = checked_size_hw(path, name)
    facing, spacing, split = _said(job, path.name, size_hw)
    vertebrae, levels_from, reasons = _vertebrae(job, path.name, size_hw, facing)
    patient, age = job.image.get("patient"), job.image.get("age_years")
    aspect = _pixel_aspect(job.image, path.name, spacing)
    film = Film(
        film_id=name,
        image=FileImage(path, name),
        size_hw=size_hw,
        vertebrae=vertebrae,
        facing=facing,
        patient=name if patient is None else pseudonym(str(patient)),
        source="own",
        split=split,
        levels_from=levels_from,
        spacing=spacing,
        pixel_aspect=aspect,
        aspect_given="pixel_aspect" in job.image and aspect is not None,
        path=path,
        sex=sex_of(job.image.get("sex", ""), path.name, "image"),
        age_years=age_of(age, path.name, "image") if age is not None else None,
    )
    return ReadFilm(film, tuple(Finding(path.name, reason) for reason in reasons))


def _pixel_aspect(image: Entry, file: str, spacing: Spacing | None) -> float | None:
    """Width over height of a pixel: as said, where null is an unknown stretch, else as the spacing has it, else 1."""
    if "pixel_aspect" not in image:
        return spacing.pixel_aspect if spacing else 1.0
    if image["pixel_aspect"] is None:
        return None
    (aspect,) = finite_numbers([image["pixel_aspect"]], file, "pixel_aspect")
    if aspect <= 0:
        raise FileError(file, "pixel_aspect must be above 0, or null for a film stretched by an unknown amount")
    return aspect


def _said(job: _Job, file: str, size_hw: tuple[int, int]) -> tuple[Facing, Spacing | None, str | None]:
    """What the image's entry says beside its labels."""
    image = job.image
    said_hw = (image.get("height", size_hw[0]), image.get("width", size_hw[1]))
    if said_hw != size_hw:
        raise FileError(
            file, f"the annotations are for {said_hw[1]} x {said_hw[0]} px, the film is {size_hw[1]} x {size_hw[0]}"
        )
    facing = facing_of(image["facing"], file, "image") if "facing" in image else Facing.UNKNOWN
    split = image.get("split", job.part)
    if split is not None and split not in PARTS:
        raise FileError(file, f"split must be one of {', '.join(PARTS)}")
    if job.part is not None and split != job.part:
        raise FileError(file, f"its entry says split {split}, but lies in the annotations for {job.part}")
    spacing = None
    if (given := image.get("pixel_spacing_mm")) is not None:
        values = finite_numbers(given if isinstance(given, list) else [given, given], file, "pixel_spacing_mm")
        if len(values) != 2:
            raise FileError(file, "pixel_spacing_mm must be [x, y], or one number for both")
        spacing = spacing_of(values[0], values[1], str(image.get("pixel_spacing_from", SPACING_FROM)), file, "image")
    return facing, spacing, split


def _vertebrae(
    job: _Job, file: str, size_hw: tuple[int, int], facing: Facing
) -> tuple[tuple[Vertebra, ...] | None, str, list[str]]:
    """Vertebrae (None without a label on purpose), where their levels come from, and notes."""
    said_labelled = job.image.get("labelled", not job.unlabelled_file)
    if not isinstance(said_labelled, bool):
        raise FileError(file, "labelled must be true or false")
    if not job.annotations:
        if not said_labelled:
            return None, "label", []
        if "labelled" in job.image:
            return (), "label", []
        raise FileError(file, 'no label: no annotation of it; if that is meant, give its image "labelled": false')
    if not said_labelled:
        raise FileError(file, 'has annotations, but its image says "labelled": false')
    read = [_annotation(entry, job.categories, file, index) for index, entry in enumerate(job.annotations)]
    corners, visibility = np.stack([one[0] for one in read]), np.stack([one[1] for one in read])
    require_all_inside(corners, size_hw, file)
    return levelled(corners, visibility == VISIBLE, [one[2] for one in read], facing, file)


def _annotation(
    entry: Entry, categories: Mapping[object, Entry], file: str, index: int
) -> tuple[FloatArray, FloatArray, int | None]:
    """(4, 2) corners, NaN where absent; (4,) visibility; slot, or None."""
    where = f"vertebra {index}"
    category = categories.get(entry.get("category_id"))
    names = category.get("keypoints") if category else None
    if category is None or not isinstance(names, list):
        raise FileError(file, f"{where}: its category must exist and name its keypoints")
    places = list(corner_places(names, file))
    keypoints = entry.get("keypoints")
    if not isinstance(keypoints, list) or len(keypoints) != 3 * len(CORNERS):
        count = len(keypoints) if isinstance(keypoints, list) else "no"
        raise FileError(file, f"{where} has {count} keypoint values, {3 * len(CORNERS)} are needed (x, y, visibility)")
    table = np.array(finite_numbers(keypoints, file, where)).reshape(4, 3)[places]
    corners, visibility = table[:, :2].copy(), table[:, 2]
    if not np.isin(visibility, (0, HIDDEN, VISIBLE)).all():
        raise FileError(file, f"{where}: visibility must be 0 (absent), 1 (hidden) or 2 (visible)")
    corners[visibility == 0] = np.nan
    attributes = entry.get("attributes")
    level = attributes.get("level") if isinstance(attributes, dict) else None
    if level is not None and slot_of_level(str(level)) is None:
        raise FileError(file, f"{where}: level must be S1, L5 ... L1, T12 ... T1", f", found {str(level)[:20]!r}")
    return corners, visibility, slot_of_level(str(category.get("name") if level is None else level))
