"""YOLO-pose labels for one's own films: a line a vertebra, a file a film.

Layout: `images/{train,val,test}/<film>` with `labels/{train,val,test}/<film>.txt`, or flat, `images/` and `labels/`
without parts. A line holds 17 fields, `class cx cy w h` and four times `x y visibility`, as shares of width and height;
visibility 0 is absent, 1 labelled but hidden, 2 visible.

`data.yaml`, where there is one, says what the classes are and in what order the corners come: `names` (a class for each
level, such as S1, L5; else the lowest vertebra is taken for S1) and `kpt_names` (else superior left, superior right,
inferior left, inferior right). `films.csv` (see `own_films`) carries patient, facing, spacing, and films that have no
label on purpose. In runs the films appear under pseudonyms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from spondylo_ml.data.films import FileImage, FilmSet, Finding
from spondylo_ml.data.image_file import checked_size_hw
from spondylo_ml.data.names import is_hidden
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.quadrilateral import turns
from spondylo_ml.data.readers.base import ReadFilm, as_finding, film_set, read_each
from spondylo_ml.data.readers.bodies import corner_places, levelled, require_all_inside, slot_of_level, slots_of
from spondylo_ml.data.readers.fields import parse_floats, read_text_lines
from spondylo_ml.data.readers.own_films import FilmTable, Said, read_table
from spondylo_ml.data.readers.pairing import images_in, pair_by_stem
from spondylo_ml.data.split import PARTS
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import CORNERS, Film, FloatArray, Vertebra

CLASSES_FILE = "data.yaml"
LINE_FIELDS = 5 + 3 * len(CORNERS)
HIDDEN, VISIBLE = 1, 2


class YoloReader:
    """Reads the layout described above."""

    kind = "yolo"
    layout = "images/{train,val,test}/ and labels/{train,val,test}/ with YOLO-pose .txt, or images/ and labels/ alone"
    marks: tuple[str, ...] = ("images", "labels")

    def recognises(self, root: Path) -> bool:
        """Whether both folders lie in `root`."""
        return (root / "images").is_dir() and (root / "labels").is_dir()

    def read(self, root: Path) -> FilmSet:
        """All films of all parts.

        Raises:
            FileError: data.yaml or films.csv cannot be understood.
        """
        table, classes = read_table(root), _read_classes(root / CLASSES_FILE)
        jobs: list[_Job] = []
        bad: list[Finding] = _strange_folders(root)
        for part in (None, *PARTS):
            found, alone = _jobs(root, part, table)
            jobs += found
            bad += alone
        read, errors = read_each(jobs, lambda job: _read_film(job, classes))
        notes = table.remarks([job.image for job in jobs], (Path(finding.file).stem for finding in bad))
        slots = slots_of(one.film for one in read)
        return film_set(self.kind, root, read, slots, [*bad, *map(as_finding, errors)], notes, private=True)


@dataclass(frozen=True)
class _Job:
    image: Path
    label: Path | None
    split: str | None
    said: Said


@dataclass(frozen=True)
class _Classes:
    """Slot of each class, None where classes are no levels; place of each corner in a line."""

    slots: Mapping[int, int | None] | None = None
    places: tuple[int, ...] = tuple(range(len(CORNERS)))


def _jobs(root: Path, part: str | None, table: FilmTable) -> tuple[list[_Job], list[Finding]]:
    images, labels = (root / name / (part or "") for name in ("images", "labels"))
    pairs, alone = pair_by_stem(images, labels, (".txt",), root)
    jobs = [_Job(image, label, part, table.of(image.name)) for image, label in pairs]
    unlabelled = {p.name: p for p in images_in(images) if not table.of(p.name).labelled}
    wanted = {finding.file for finding in alone if finding.reason == "no label"} & unlabelled.keys()
    jobs += [_Job(unlabelled[name], None, part, table.of(name)) for name in sorted(wanted)]
    said_not = {job.image.name for job in jobs if job.label and not job.said.labelled}
    bad = [finding for finding in alone if finding.file not in wanted]
    bad += [Finding(name, "has a label, but films.csv says that it has none") for name in sorted(said_not)]
    return [job for job in jobs if job.image.name not in said_not], bad


def _strange_folders(root: Path) -> list[Finding]:
    """Folders within images/ and labels/ that are no part: nobody would miss their films."""
    found = [p for name in ("images", "labels") for p in sorted((root / name).iterdir()) if p.is_dir()]
    found = [p for p in found if not is_hidden(p)]
    allowed = ", ".join(PARTS)
    return [
        Finding(p.name, f"a folder of {p.parent.name}/ that is not read: parts are named {allowed}, in small letters")
        for p in found
        if p.name not in PARTS
    ]


def _read_film(job: _Job, classes: _Classes) -> ReadFilm:
    name = pseudonym(job.image.stem)
    size_hw = checked_size_hw(job.image, name)
    vertebrae: tuple[Vertebra, ...] | None = None
    levels_from, reasons = "label", list[str]()
    if job.label:
        corners, visibility, slots = _read_label(job.label, classes)
        corners = corners * np.array([size_hw[1], size_hw[0]])
        require_all_inside(corners, size_hw, job.label.name)
        seen = visibility == VISIBLE
        vertebrae, levels_from, reasons = levelled(corners, seen, slots, job.said.facing, job.label.name)
    film = Film(
        film_id=name,
        image=FileImage(job.image, name),
        size_hw=size_hw,
        vertebrae=vertebrae,
        facing=job.said.facing,
        patient=pseudonym(job.said.patient) if job.said.patient else name,
        source="own",
        split=job.split,
        levels_from=levels_from,
        spacing=job.said.spacing,
        sex=job.said.sex,
        age_years=job.said.age_years,
        pixel_aspect=job.said.spacing.pixel_aspect if job.said.spacing else 1.0,
        path=job.image,
    )
    return ReadFilm(film, tuple(Finding(job.image.name, reason) for reason in reasons))


def _read_label(path: Path, classes: _Classes) -> tuple[FloatArray, FloatArray, list[int | None]]:
    """(V, 4, 2) shares, NaN where absent; (V, 4) visibility; slots. Vertebrae as in the file."""
    rows, slots = [], []
    for number, fields in enumerate(read_text_lines(path), start=1):
        if len(fields) != LINE_FIELDS:
            raise FileError(path.name, f"line {number} has {len(fields)} fields, {LINE_FIELDS} are needed")
        numbers = parse_floats(fields, path.name, f"line {number}")
        if classes.slots is not None and numbers[0] not in classes.slots:
            raise FileError(path.name, f"line {number}: class {numbers[0]:g} is not among the names of {CLASSES_FILE}")
        slots.append(classes.slots[int(numbers[0])] if classes.slots is not None else None)
        rows.append(numbers[5:])
    table = np.array(rows).reshape(-1, 4, 3)[:, list(classes.places)]
    corners, visibility = table[..., :2].copy(), table[..., 2]
    if not np.isin(visibility, (0, HIDDEN, VISIBLE)).all():
        raise FileError(path.name, "visibility must be 0 (absent), 1 (hidden) or 2 (visible)")
    corners[visibility == 0] = np.nan
    whole = corners[~np.isnan(corners).any(axis=(1, 2))]
    if len(whole) > 1 and all(np.sum(turns(quad) > 0) == 2 for quad in whole):
        raise FileError(
            path.name, f"every outline crosses itself: name the order of the corners in {CLASSES_FILE}, kpt_names"
        )
    return corners, visibility, slots


def _read_classes(path: Path) -> _Classes:
    if not path.is_file():
        return _Classes()
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise FileError(path.name, "not valid YAML (truncated, or another format)") from None
    if not isinstance(tree, dict):
        raise FileError(path.name, "must hold names and values, such as names: [S1, L5, L4]")
    return _Classes(_class_slots(tree.get("names"), path.name), _places(tree.get("kpt_names"), path.name))


def _class_slots(names: object, file: str) -> dict[int, int | None] | None:
    if names is None:
        return None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(isinstance(key, int) for key in names):
        raise FileError(file, "names must be a list of classes, or a mapping from their numbers")
    slots = {int(key): slot_of_level(str(name)) for key, name in names.items()}
    if len({slot is None for slot in slots.values()}) > 1:
        raise FileError(file, "names must be levels (S1, L5, ..., T1), all of them or none")
    return slots


def _places(names: object, file: str) -> tuple[int, ...]:
    if names is None:
        return _Classes.places
    if isinstance(names, dict):  # one list a class: they must agree
        lists = list(names.values())
        names = lists[0] if lists and all(one == lists[0] for one in lists) else None
    if not isinstance(names, list):
        raise FileError(file, "kpt_names must be one list of four corners, the same for every class")
    return corner_places(names, file)
