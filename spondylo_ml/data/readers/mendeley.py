"""Spondylolisthesis Vertebral Landmark Dataset (Mendeley Data, doi 10.17632/5jdfdgp762.1): lateral films.

Layout: `Train/Keypointrcnn_data/images/{train,val}/<stem>.jpg` with `labels/{train,val}/<stem>.json` or `.txt`, and
`Test/` with films that have no labels. Two label formats lie in one folder, each with its own order of corners:
JSON holds BL, BR, TL, TR in px, TXT (YOLO-pose) TL, BL, BR, TR as shares of width and height.

No level is named. The lowest labelled vertebra is taken for S1, which it nearly always is; films say so in
`levels_from`. Facing is not labelled either.

Films of 640 x 640 px are exports, each stretched to that size by an amount that is not given. A `films.csv` (see
`own_films`) beside `Train/` may say it, and patient, facing and spacing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spondylo_ml.data.films import FileImage, FilmSet, Finding
from spondylo_ml.data.image_file import checked_size_hw
from spondylo_ml.data.names import stem_of
from spondylo_ml.data.readers.base import ReadFilm, as_finding, film_set, read_each
from spondylo_ml.data.readers.bodies import LOWEST_IS_S1, Visible, from_sacrum, require_all_inside
from spondylo_ml.data.readers.buu_name import buu_name
from spondylo_ml.data.readers.fields import finite_numbers, parse_floats, read_json, read_text_lines
from spondylo_ml.data.readers.own_films import Said, as_said, read_table
from spondylo_ml.data.readers.pairing import by_stem, doubled_stem, images_in, pair_by_stem
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import Facing, Film, FloatArray, SlotRange, Vertebra

SLOTS = SlotRange(first=0, count=10)
EXPORT_HW = (640, 640)

# Position of each corner of CORNERS (superior left, superior right, inferior left, inferior right) in the files.
JSON_ORDER = (2, 3, 0, 1)  # the file holds BL, BR, TL, TR
TXT_ORDER = (0, 3, 1, 2)  # the file holds TL, BL, BR, TR
TXT_FIELDS = 17  # class, box centre and size, then x, y, visibility of four corners


class MendeleyReader:
    """Reads the layout described above."""

    kind = "mendeley"
    layout = "Train/Keypointrcnn_data/images/{train,val}/ and labels/{train,val}/"
    marks: tuple[str, ...] = ("Train/Keypointrcnn_data/labels", "Train/Keypointrcnn_data/images")

    def recognises(self, root: Path) -> bool:
        """Whether the folder of labels exists."""
        return (root / "Train" / "Keypointrcnn_data" / "labels").is_dir()

    def read(self, root: Path) -> FilmSet:
        """All films of the three parts, unlabelled test films included."""
        data, table = root / "Train" / "Keypointrcnn_data", read_table(root)
        jobs: list[_Job] = []
        bad: list[Finding] = []
        for split in ("train", "val"):
            pairs, alone = pair_by_stem(data / "images" / split, data / "labels" / split, (".json", ".txt"), data)
            jobs += [_Job(image, label, split) for image, label in pairs]
            bad += alone
        for images in by_stem(images_in(root / "Test")).values():
            if len(images) == 1:
                jobs.append(_Job(images[0], None, "test"))
            else:
                bad += doubled_stem(images)
        read, errors = read_each(jobs, lambda job: _read_film(job, table.of(job.image.name)))
        notes = table.remarks([job.image for job in jobs], (Path(finding.file).stem for finding in bad))
        return film_set(self.kind, root, read, SLOTS, [*bad, *map(as_finding, errors)], notes)


@dataclass(frozen=True)
class _Job:
    image: Path
    label: Path | None
    split: str


def _read_film(job: _Job, said: Said) -> ReadFilm:
    size_hw = checked_size_hw(job.image)
    buu = buu_name(job.image.stem)
    notes: list[Finding] = []
    vertebrae: tuple[Vertebra, ...] | None = None
    if job.label:
        is_json = job.label.suffix.lower() == ".json"
        corners, visible = _read_json(job.label) if is_json else _read_txt(job.label, size_hw)
        require_all_inside(corners, size_hw, job.label.name)
        vertebrae, reasons = from_sacrum(corners, visible, SLOTS.first, job.label.name)
        notes = [Finding(job.label.name, reason) for reason in reasons]
    film = Film(
        film_id=stem_of(job.image),
        image=FileImage(job.image, job.image.name),
        size_hw=size_hw,
        vertebrae=vertebrae,
        facing=Facing.UNKNOWN,
        # Augmented exports of one film share the part of the name before the exporter's suffix.
        patient=buu.patient if buu else stem_of(job.image).split("_jpg.rf.")[0],
        source="buu" if buu else "honduras",
        split=job.split,
        levels_from=LOWEST_IS_S1,
        path=job.image,
        pixel_aspect=None if size_hw == EXPORT_HW else 1.0,
        sex=buu.sex if buu else "",
        age_years=buu.age_years if buu else None,
    )
    return ReadFilm(as_said(film, said), tuple(notes))


def _read_json(path: Path) -> tuple[FloatArray, Visible]:
    """(V, 4, 2) px and visibility, corners reordered; vertebrae as in the file."""
    tree = read_json(path)
    keypoints = tree.get("keypoints") if isinstance(tree, dict) else None
    if not isinstance(keypoints, list) or not keypoints:
        raise FileError(path.name, "'keypoints' must list at least one vertebra")
    rows = []
    for index, vertebra in enumerate(keypoints):
        shaped = isinstance(vertebra, list) and [len(c) if isinstance(c, list) else 0 for c in vertebra] == [3] * 4
        if not shaped:
            raise FileError(path.name, f"vertebra {index} must hold 4 corners of x, y, visibility")
        rows.append(finite_numbers([v for corner in vertebra for v in corner], path.name, f"vertebra {index}"))
    return _ordered(rows, JSON_ORDER)


def _read_txt(path: Path, size_hw: tuple[int, int]) -> tuple[FloatArray, Visible]:
    """As `_read_json`, from YOLO-pose lines in shares of width and height."""
    rows = []
    for number, fields in enumerate(read_text_lines(path), start=1):
        if len(fields) != TXT_FIELDS:
            raise FileError(path.name, f"line {number} has {len(fields)} fields, {TXT_FIELDS} are needed")
        rows.append(parse_floats(fields, path.name, f"line {number}")[5:])
    corners, visible = _ordered(rows, TXT_ORDER)
    return corners * np.array([size_hw[1], size_hw[0]]), visible


def _ordered(rows: list[list[float]], order: tuple[int, ...]) -> tuple[FloatArray, Visible]:
    table = np.array(rows).reshape(-1, 4, 3)[:, list(order)]
    corners, visible = table[..., :2].copy(), table[..., 2] > 0
    corners[~visible] = np.nan  # visibility 0 means that the corner was not labelled
    return corners, visible
